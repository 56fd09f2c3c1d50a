"""The editor and the server: the same picture as Render Head, in time, during a prompt, and nobody else's head."""
from __future__ import annotations

import json

import numpy as np
from editor import GRAPH, SIDE, Editor, open_editor
from PIL import Image

TALL = {"width": 1400, "height": 1100}
POSE = {"yaw_degrees": 25.0, "pitch_degrees": -10.0, "x": 0.05, "scale": 0.9, "smile": 0.7, "jaw_degrees": 6.0, "relight": True,
        "light_azimuth": 50.0}
TIMES = """async ([values, side]) => {
    const { HeadView } = await import('/extensions/comfyui-caphuman/editor/head_view.js');
    const body = JSON.stringify({ model: 'built-in', width: side, height: side }), headers = { 'Content-Type': 'application/json' };
    const answer = await app.api.fetchApi('/caphuman/editor/new_head', { method: 'POST', headers, body });
    const canvas = document.createElement('canvas');
    canvas.style.cssText = `position:fixed;left:0;top:0;width:${side}px;height:${side}px`;
    document.body.append(canvas);
    const view = new HeadView(canvas), times = [];
    view.setHead(await answer.json());
    view.draw(values);
    while (!canvas.dataset.drawn) await new Promise(requestAnimationFrame);
    for (let turn = 0; turn < 60; turn++) {
        view.draw({ ...values, yaw_degrees: turn * 6 - 180 }, { held: true });
        times.push(view.stats.drawMs);
        if (turn % 6 === 5) await new Promise(requestAnimationFrame);
    }
    const { triangles, width } = view.stats;
    view.dispose();
    canvas.remove();
    return { times, triangles, width };
}"""


def posed(width: int = SIDE, height: int = SIDE) -> dict:
    graph = json.loads(json.dumps(GRAPH))
    graph["3"]["inputs"].update(POSE)
    graph["4"]["inputs"].update(width=width, height=height)
    return graph


def test_the_view_shows_what_render_head_renders(open_page):
    page = open_page(False, viewport=TALL)
    editor = open_editor(page, posed())
    height, width = editor.pixels().shape[:2]
    size = (width * 2, height * 2)                      # and pooled: so the view smooths its edges
    page.page.evaluate("""([id, [width, height]]) => { for (const widget of app.graph.getNodeById(id).widgets)
        if (widget.name === 'width') widget.value = width; else if (widget.name === 'height') widget.value = height; }""",
                       ["4", list(size)])
    rendered = np.asarray(page.picture(page.queue_and_wait(), 5).resize((width, height), Image.Resampling.BOX)).astype(int)
    page.wait(lambda: editor.root.get_attribute("data-head") == "fitted")
    settled = []

    def still() -> bool:
        settled.append(editor.pixels())
        return len(settled) > 1 and np.array_equal(settled[-1], settled[-2])
    page.wait(still)
    difference = np.abs(settled[-1][..., :3].astype(int) - rendered).max(-1)
    head = rendered.max(-1) > 8
    # Vertices travel in 16 bits and colours are rounded once more: a level or two inside, more now and then at an edge.
    assert np.median(difference[head]) <= 2
    assert (difference[head] > 12).mean() < 0.02
    assert (difference[~head] > 12).mean() < 0.005
    page.screenshot("editor_equals_render")


def test_a_redraw_takes_milliseconds(open_page, record_property):
    page = open_page(False)
    values = {**POSE, "mode": "add", "roll_degrees": 0, "y": 0, "turn_light": False, "light_elevation": 25, "light_intensity": 0.6,
              "light_ambient": 0.7, "light_colour": "#ffffff"}
    found = page.page.evaluate(TIMES, [values, SIDE])
    median = float(np.median(found["times"]))
    record_property("redraw_ms", median)
    record_property("triangles", found["triangles"])
    assert found["width"] == SIDE
    assert found["triangles"] > 9000
    assert min(found["times"]) < 12                     # what the page can do; the median is the machine's load as well
    assert median < 60


def test_expressions_arrive_while_a_prompt_runs(open_page):
    page = open_page(False, viewport=TALL)
    slow = posed(3072, 3072)
    slow["6"] = {"class_type": "CapHumanRenderHead", "inputs": {**slow["4"]["inputs"], "width": 3064}}
    slow["7"] = {"class_type": "PreviewImage", "inputs": {"images": ["6", 5]}}
    editor = open_editor(page, slow)
    run = page.queue()
    running = page.wait(lambda: json.loads(page.get("/queue"))["queue_running"])
    editor.tab("expression")
    for value in ("0.2", "0.9"):
        before = editor.pixels()
        with editor.redrawn():
            editor.type_number("surprise", value)
        page.wait(lambda before=before: not np.array_equal(before, editor.pixels()))
    assert json.loads(page.get("/queue"))["queue_running"] == running      # still the same prompt: we did not wait for it
    page.wait_for_run(run)


def test_two_browsers_do_not_see_each_other_s_heads(open_page):
    mine, other = open_page(False, viewport=TALL), open_page(True, viewport=TALL)
    # Each asks for a head of its own: of what is all in its cache the host runs nothing, and so tells nothing.
    graphs = [posed(), json.loads(json.dumps(GRAPH))]
    for graph, roll in zip(graphs, (7.0, 3.5), strict=True):
        graph["3"]["inputs"]["roll_degrees"] = roll
    fitted, waiting = open_editor(mine, graphs[0]), open_editor(other, graphs[1])
    other.page.evaluate("() => { window.__told = 0; app.api.addEventListener('executed', () => window.__told++); }")
    before = waiting.pixels()
    mine.page.bring_to_front()                          # a page in the background does not draw
    mine.queue_and_wait()
    mine.wait(lambda: fitted.root.get_attribute("data-head") == "fitted")
    other.page.bring_to_front()
    assert waiting.root.get_attribute("data-head") == "new"
    other.queue_and_wait()                              # its own run comes after: whatever was to arrive has arrived
    seen = [about["node"] for kind, about in other.page.evaluate("() => window.__events") if kind == "executed"]
    assert len(seen) == len(set(seen)) == other.page.evaluate("() => window.__told")
    other.wait(lambda: waiting.root.get_attribute("data-head") == "fitted")
    assert waiting.values()["yaw_degrees"] == 0
    other.wait(lambda: np.abs(waiting.pixels().astype(int) - before.astype(int)).mean() < 1)


def test_a_fitted_head_lies_over_its_photo(open_page):
    """After a run the editor shows the head that came in, over the photo."""
    graph = {
        "1": GRAPH["1"],
        "10": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "11": {"class_type": "CapHumanLoadFaceDetector", "inputs": {"backend": "mtcnn"}},
        "12": {"class_type": "CapHumanDetectFaces", "inputs": {"image": ["10", 0], "detector": ["11", 0]}},
        "13": {"class_type": "CapHumanFitHeadLandmarks",
               "inputs": {"image": ["10", 0], "faces": ["12", 0], "head_model": ["1", 0]}},
        "3": {"class_type": "CapHumanEditHead", "inputs": {"head": ["13", 0], "head_model": ["1", 0], "photo": ["10", 0],
                                                           "mode": "add"}},
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["3", 1]}},
    }
    page = open_page(True, viewport=TALL)
    editor: Editor = open_editor(page, graph)
    before = editor.pixels()
    page.queue_and_wait()
    page.wait(lambda: editor.root.get_attribute("data-head") == "fitted")
    page.wait(lambda: not np.array_equal(before, editor.pixels()))
    page.wait(lambda: editor.part("look-photo").get_attribute("aria-pressed") == "true")
    page.wait(lambda: (editor.pixels()[..., :3].max(-1) > 8).mean() > 0.7)     # the photo, with its dark parts
    page.screenshot("editor_over_photo")


def test_after_a_reload_an_unchanged_run_shows_the_fitted_head_again(open_page):
    """Nothing is computed anew then, and the host would visit no node; one that looks into it gets nobody's head before."""
    page = open_page(False, {"Comfy.Workflow.Persist": True}, fresh=True, viewport=TALL)
    graph = posed()
    graph["3"]["inputs"]["roll_degrees"] = -11.0
    editor = open_editor(page, graph)
    page.queue_and_wait()
    page.wait(lambda: editor.root.get_attribute("data-head") == "fitted")
    page.page.wait_for_function("() => Object.values({...localStorage}).some((text) => text.includes('-11'))")      # its draft
    page.reload()
    page.page.wait_for_function("() => app.graph.getNodeById(3)")
    page.look_at(3)
    editor = Editor(page).wait_ready()
    assert editor.root.get_attribute("data-head") == "new"
    run = page.queue_and_wait()
    assert "3" in run.outputs
    page.wait(lambda: editor.root.get_attribute("data-head") == "fitted")
