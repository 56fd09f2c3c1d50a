"""The photo behind a fitted head: opacity, comparing, close-up; and badges where the head is not what a run would give."""
from __future__ import annotations

import copy

import numpy as np
import pytest
from editor import GRAPH, Editor, open_editor

TALL = {"width": 1400, "height": 1100}
FITTED = {
    "1": GRAPH["1"],
    "10": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "11": {"class_type": "CapHumanLoadFaceDetector", "inputs": {"backend": "mtcnn"}},
    "12": {"class_type": "CapHumanDetectFaces", "inputs": {"image": ["10", 0], "detector": ["11", 0]}},
    "13": {"class_type": "CapHumanFitHeadLandmarks", "inputs": {"image": ["10", 0], "faces": ["12", 0], "head_model": ["1", 0]}},
    "3": {"class_type": "CapHumanEditHead",
          "inputs": {"head": ["13", 0], "head_model": ["1", 0], "photo": ["10", 0], "mode": "add"}},
    "5": {"class_type": "PreviewImage", "inputs": {"images": ["3", 1]}},
}


@pytest.fixture(params=[False, True], ids=["classic", "vue"])
def page(open_page, request):
    return open_page(request.param, viewport=TALL)


def put(editor: Editor, node: int, name: str, value) -> None:
    """Another value of a widget, as the user would choose it: the graph notices with the next click."""
    editor.page.page.evaluate("""([id, name, value]) => {
        const widget = app.graph.getNodeById(id).widgets.find((each) => each.name === name);
        widget.value = value;
        widget.callback?.(value);
    }""", [str(node), name, value])
    editor.page.click_canvas()


def test_badges_say_what_a_run_would_change(page):
    graph = copy.deepcopy(FITTED)
    graph["12"]["inputs"]["min_confidence"] = 0.5 + 0.01 * page.vue        # its own run in each mode, not one from the cache
    editor = open_editor(page, graph)
    badge = editor.part("badge")
    badge.wait_for()
    assert "Generic head" in badge.inner_text()
    page.screenshot(f"editor_generic_{'vue' if page.vue else 'classic'}")
    page.queue_and_wait()
    page.wait(lambda: editor.root.get_attribute("data-head") == "fitted")
    badge.wait_for(state="hidden")
    editor.drag(0.1)                                    # what the editor itself changes is shown already
    page.click_canvas()
    assert badge.is_hidden()
    put(editor, 10, "image", "photo.jpg")
    badge.wait_for()
    assert "Photo changed" in badge.inner_text()
    put(editor, 10, "image", "example.png")
    badge.wait_for(state="hidden")
    put(editor, 12, "min_confidence", 0.7)
    badge.wait_for()
    assert "Inputs changed" in badge.inner_text()
    badge.click()                                       # runs
    badge.wait_for(state="hidden")


def test_a_new_head_has_no_badge(page):
    editor = open_editor(page)
    assert editor.part("badge").is_hidden()
    assert editor.part("compare").is_hidden()


def test_the_head_fades_over_the_photo_and_is_away_while_a_hand_compares(page):
    editor = open_editor(page, FITTED)
    assert editor.part("opacity").is_hidden()
    page.queue_and_wait()
    page.wait(lambda: editor.part("look-photo").get_attribute("aria-pressed") == "true")
    over, slider, compare = editor.still(), editor.part("opacity"), editor.part("compare")
    slider.fill("0")
    page.wait(lambda: not np.array_equal(editor.pixels(), over))
    photo = editor.still()
    slider.fill("0.5")
    page.wait(lambda: not np.array_equal(editor.pixels(), photo))
    half, head = editor.still(), np.abs(photo - over).max(-1) > 30
    assert head.mean() > 0.02
    assert np.abs(half - (photo + over) / 2)[head].mean() < 2
    page.screenshot(f"editor_faded_{'vue' if page.vue else 'classic'}")

    box, mouse = compare.bounding_box(), page.page.mouse
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    mouse.down()
    page.wait(lambda: np.array_equal(editor.pixels(), photo))
    mouse.up()
    page.wait(lambda: np.array_equal(editor.pixels(), half))
    editor.focus()
    page.page.keyboard.down("c")
    page.wait(lambda: np.array_equal(editor.pixels(), photo))
    page.page.keyboard.up("c")
    page.wait(lambda: np.array_equal(editor.pixels(), half))
    editor.click("look-shaded")
    page.wait(slider.is_hidden)
    assert (editor.still()[..., :3].max(-1) < 8).mean() > 0.3            # the head alone, as ever
    slider_values = editor.values()
    assert "opacity" not in slider_values               # of the view alone


def test_a_head_that_fills_its_picture_has_a_close_up_too(page):
    editor = open_editor(page)

    def covered() -> float:
        return float((editor.pixels()[..., :3].max(-1) > 8).mean())
    whole = covered()
    editor.click("close-up")
    page.wait(lambda: covered() > 1.5 * whole, covered)
    page.screenshot(f"editor_close_up_large_{'vue' if page.vue else 'classic'}")
    editor.click("close-up")
    page.wait(lambda: covered() == pytest.approx(whole, abs=0.002))


def test_points_are_drawn_to_where_they_are_in_the_photo(page):
    """The head follows when the hand lets go; the correction is a widget, undone like one; a run makes what is shown."""
    editor = open_editor(page, FITTED)
    page.queue_and_wait()
    page.wait(lambda: editor.root.get_attribute("data-head") == "fitted")
    editor.type_number("yaw_degrees", "15")
    editor.click("points")
    point = editor.part("point-mouth_left")
    point.wait_for()
    assert editor.part("points").get_attribute("aria-pressed") == "true"
    start, before, box = editor.values(), editor.still(), point.bounding_box()
    mouse = page.page.mouse
    mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    mouse.down()
    mouse.move(box["x"] + box["width"] / 2 + 6, box["y"] + box["height"] / 2 - 4, steps=4)
    mouse.up()
    values = editor.wait_values(lambda now: now["corrections"])
    assert {name for name in values if values[name] != start[name]} == {"corrections"}
    page.wait(lambda: "caphuman-pinned" in point.get_attribute("class"))
    page.wait(lambda: np.abs(editor.pixels().astype(int) - before).max() > 30)
    there = {"x": box["x"] + 6, "y": box["y"] - 4}
    page.wait(lambda: all(abs(point.bounding_box()[axis] - there[axis]) < 2 for axis in there))
    after = editor.still()
    page.screenshot(f"editor_points_{'vue' if page.vue else 'classic'}")
    page.queue_and_wait()                                               # the node makes the same of it
    assert np.abs(editor.still() - after).mean() < 0.5
    editor.click("undo")
    assert editor.wait_values(lambda now: not now["corrections"])["yaw_degrees"] == 15
    page.wait(lambda: np.abs(editor.pixels().astype(int) - before).mean() < 0.5)
    editor.click("redo")
    editor.wait_values(lambda now: now["corrections"])
    page.wait(lambda: "caphuman-pinned" in point.get_attribute("class"))
    point.dblclick()
    editor.wait_values(lambda now: not now["corrections"])
    editor.click("points")
    point.wait_for(state="hidden")
