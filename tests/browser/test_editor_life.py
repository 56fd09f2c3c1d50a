"""Many editors, live switching, subgraphs, zoom, dense screens, keyboard and touch: every view lives, and nothing is left."""
from __future__ import annotations

import numpy as np
import pytest
from editor import GRAPH, Editor, open_editor
from heap import Heap

TALL = {"width": 1400, "height": 1100}
VIEWS = "(await import('/extensions/comfyui-caphuman/editor/head_view.js')).HeadView.prototype"
CANVASES = "HTMLCanvasElement.prototype"
INPUTS = "HTMLInputElement.prototype"                       # an editor has about a hundred and twenty


def held(heap: Heap) -> dict[str, int]:
    return {"canvases": heap.count(CANVASES), "inputs": heap.count(INPUTS),
            "listeners": heap.listeners()}


@pytest.fixture(params=[False, True], ids=["classic", "vue"])
def vue(request):
    """Both rendering modes of the frontend."""
    return request.param


def wait_views(page, heap: Heap, count: int) -> None:
    """Until just so many views are left: one that waits for an answer of the server lives until that has come,
    and the frontend holds the node that was hovered last until the mouse moves elsewhere."""
    page.page.mouse.move(1300, 1000)
    page.wait(lambda: heap.count(VIEWS) == count, lambda: f"{heap.count(VIEWS)} views, not {count}\n{heap.holders('HeadView')}")


def alive(editor: Editor) -> None:
    """The view follows a drag."""
    before = editor.values()
    with editor.redrawn():
        editor.drag(0.1)
    assert editor.values()["yaw_degrees"] != before["yaw_degrees"]


@pytest.mark.thorough
def test_live_switching_of_the_mode_leaves_no_dead_view(open_page):
    page = open_page(False, fresh=True, viewport=TALL)
    editor = open_editor(page)
    heap = Heap(page)
    alive(editor)
    for mode in (True, False, True, False):
        page.switch_mode(mode)
        page.look_at(3)
        editor.view.wait_for()
        page.wait(lambda: editor.root.count() == 1)
        alive(editor)
        assert np.ptp(editor.pixels()[..., :3]) > 50        # a picture, not a blank canvas
        wait_views(page, heap, 1)
    page.screenshot("editor_switched_back")


@pytest.mark.thorough
def test_twenty_editors_live_and_leave_nothing(open_page):
    page = open_page(False, fresh=True, viewport=TALL)
    editor = open_editor(page)
    heap = Heap(page)
    wait_views(page, heap, 1)
    one = held(heap)
    many = dict(GRAPH)
    for node in range(10, 29):
        many[str(node)] = {"class_type": "CapHumanEditHead",
                           "inputs": {"head": ["2", 0], "head_model": ["1", 0], "mode": "add", "yaw_degrees": 4.0 * (node - 19)}}
    page.load_api(many)
    page.page.evaluate("""() => {
        const is = (node) => node.type === 'CapHumanEditHead', nodes = app.graph.nodes, { size } = nodes.find(is);
        nodes.filter(is).forEach((node, index) => {
            node.pos = [(index % 7) * (size[0] + 30), Math.floor(index / 7) * (size[1] + 60)]; });
        nodes.filter((node) => !is(node)).forEach((node, index) => { node.pos = [-400, 300 * index]; });
    }""")
    page.look_at(3, 0.33)
    editors = [Editor(page, node) for node in (3, *range(10, 29))]
    for each in editors:
        each.wait_ready()
    page.screenshot("editor_twenty_classic")
    wait_views(page, heap, 20)
    pictures = {each.pixels().tobytes() for each in editors}
    assert len(pictures) >= 19                              # each its own head; only nodes 3 and 19 look the same way

    page.load_api(GRAPH)
    page.look_at(3)
    editor.wait_ready()
    wait_views(page, heap, 1)
    left = held(heap)
    # The frontend may go on holding the editor that the mouse was over last; nineteen would be twenty times as many.
    assert left["canvases"] < 3 * one["canvases"], (one, left)
    assert left["inputs"] < 3 * one["inputs"], (one, left)
    # An editor's inputs alone have a listener each and more. (Vue mode itself keeps every node it has shown, of any pack, with its
    # own listeners, so this is the classic mode.)
    assert left["listeners"] - one["listeners"] < 10 * one["inputs"], (one, left)
    alive(editor)


def test_deleting_copying_and_undoing_leaves_nothing(open_page, vue):
    page = open_page(vue, fresh=True, viewport=TALL)
    editor = open_editor(page)
    heap = Heap(page)
    page.click_canvas()                                     # the keys go to the graph
    for _ in range(3):                                      # selected without clicks: two quick ones would be a double-click
        page.page.evaluate("() => app.canvas.select(app.graph.getNodeById(3))")
        page.press("Control+c")                             # makes a node that is thrown away
        page.press("Delete")
        page.page.wait_for_function("() => !app.graph.getNodeById(3)")
        page.wait(lambda: editor.root.count() == 0, editor.root.count)
        page.press("Control+z")
        page.page.wait_for_function("() => app.graph.getNodeById(3)")
        page.look_at(3)
        editor.wait_ready()
        page.wait(lambda: editor.root.count() == 1)
    alive(editor)
    wait_views(page, heap, 1)


def test_in_a_subgraph(open_page, vue):
    page = open_page(vue, viewport=TALL)
    editor = open_editor(page)
    editor.drag(0.1)
    kept = editor.values()
    page.page.evaluate("""() => { const { node } = app.graph.convertToSubgraph(new Set([app.graph.getNodeById(3)]));
        app.canvas.openSubgraph(node.subgraph, node); }""")
    page.page.wait_for_function("() => app.canvas.graph !== app.graph && app.canvas.graph.nodes.length === 1")
    inner = page.page.evaluate("() => app.canvas.graph.nodes[0].id")
    page.look_at(inner)
    inside = Editor(page, inner).wait_ready()
    assert inside.values() == kept
    alive(inside)
    assert inside.root.get_attribute("data-model") == "built-in"    # found through the subgraph's boundary
    page.screenshot(f"editor_subgraph_{'vue' if vue else 'classic'}")
    turned = inside.values()["yaw_degrees"]
    page.page.evaluate("() => app.canvas.setGraph(app.graph)")
    (edit,) = [entry for entry in page.export_api().values() if entry["class_type"] == "CapHumanEditHead"]
    assert edit["inputs"]["yaw_degrees"] == turned
    page.queue_and_wait()


@pytest.mark.thorough
def test_collapsed_zoomed_and_on_a_dense_screen(open_page):
    page = open_page(True, viewport=TALL, device_scale_factor=2)
    editor = open_editor(page)
    width = editor.box()[2]
    assert editor.pixels().shape[1] >= min(512, 1.9 * width)        # drawn at the screen's own density, within the view's limit
    yaws = []
    for scale in (1.0, 0.6, 1.6):
        page.look_at(3, scale)
        page.wait(lambda scale=scale: abs(editor.box()[2] - scale * width) < 3)
        before = editor.values()["yaw_degrees"]
        editor.drag(0.1)
        yaws.append(editor.values()["yaw_degrees"] - before)
        page.screenshot(f"editor_zoom_{scale}")
    assert yaws == pytest.approx([yaws[0]] * 3, abs=1.5)    # the same share of the view turns as far; half degrees, whole pixels
    page.look_at(3)
    page.page.evaluate("() => app.graph.getNodeById(3).collapse()")
    page.wait(lambda: not editor.view.is_visible())
    page.page.evaluate("() => app.graph.getNodeById(3).collapse()")
    editor.view.wait_for()
    alive(editor)


def test_keyboard(open_page, vue):
    page = open_page(vue, viewport=TALL)
    editor = open_editor(page)
    editor.focus()
    keys = page.page.keyboard
    keys.press("ArrowRight")
    turned = editor.wait_values(lambda values: values["yaw_degrees"] > 0)
    keys.press("ArrowUp")
    editor.wait_values(lambda values: values["pitch_degrees"] > 0)
    keys.press("Shift+ArrowRight")
    editor.wait_values(lambda values: values["x"] > 0)
    keys.press("Control+z")
    editor.wait_values(lambda values: values["x"] == 0)
    assert editor.values()["yaw_degrees"] == turned["yaw_degrees"]
    assert editor.root.count() == 1
    keys.press("Delete")                                    # typed into the editor, it must not delete the node
    assert page.page.evaluate("() => !!app.graph.getNodeById(3)")
    editor.tab("expression")
    editor.type_number("smile", "0.7")
    editor.focus()
    keys.press("r")                                         # turn, place and size, as a double-click
    assert editor.wait_values(lambda values: values["yaw_degrees"] == 0)["smile"] == 0.7
    editor.tab("pose")
    editor.part("slider-roll_degrees").focus()
    before = editor.values()["roll_degrees"]
    keys.press("ArrowRight")
    editor.wait_values(lambda values: values["roll_degrees"] != before)


def touch(session, kind: str, *points: tuple[float, float]) -> None:
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y, "id": index}
                                                                            for index, (x, y) in enumerate(points)]})


def test_touch(open_page, vue):
    page = open_page(vue, viewport=TALL, has_touch=True)
    editor = open_editor(page)
    session = page.context.new_cdp_session(page.page)
    offset = page.page.evaluate("() => [...app.canvas.ds.offset, app.canvas.ds.scale]")
    touch(session, "touchStart", editor.at(0.5, 0.5))
    for step in range(1, 7):
        touch(session, "touchMove", editor.at(0.5 + 0.03 * step, 0.5))
    touch(session, "touchEnd")
    editor.wait_values(lambda values: values["yaw_degrees"] > 5)

    before = editor.values()
    touch(session, "touchStart", editor.at(0.4, 0.5), editor.at(0.6, 0.5))
    for step in range(1, 7):
        touch(session, "touchMove", editor.at(0.4 - 0.02 * step, 0.5), editor.at(0.6 + 0.02 * step, 0.5))
    touch(session, "touchEnd")
    pinched = editor.wait_values(lambda values: values["scale"] > 1.2)
    assert pinched["yaw_degrees"] == pytest.approx(before["yaw_degrees"], abs=5)
    assert page.page.evaluate("() => [...app.canvas.ds.offset, app.canvas.ds.scale]") == offset     # the graph did not move
    page.screenshot(f"editor_touched_{'vue' if vue else 'classic'}")
