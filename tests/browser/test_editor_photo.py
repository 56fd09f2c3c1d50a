"""The photo behind a fitted head: opacity, comparing, close-up; and badges where the head is not what a run would give."""
from __future__ import annotations

import copy
import json

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


@pytest.fixture
def page(open_page):
    """In one rendering mode: what they do differently with the view is test_editor's and test_editor_life's matter."""
    return open_page(True, viewport=TALL)


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


def test_points_are_drawn_by_keyboard_too(page):
    """Tab and arrows choose one, Shift and arrows move it, Delete lets it go, Escape leaves; a row of presses is one step."""
    editor = open_editor(page, FITTED)
    page.queue_and_wait()
    page.wait(lambda: editor.root.get_attribute("data-head") == "fitted")
    editor.click("points")
    editor.part("point-mouth_left").wait_for()
    editor.still()
    keyboard = page.page.keyboard

    def focused() -> str:
        return page.page.evaluate("() => document.activeElement?.closest('[data-testid]')?.dataset.testid ?? ''")

    def pins() -> dict[str, list[float]]:
        return json.loads(editor.values()["corrections"] or "{}")
    keys = editor.part("point-mouth_right").locator("input")
    keys.focus()
    assert keys.get_attribute("aria-label").startswith("Mouth, right corner. Arrow keys")
    ring = "(point) => getComputedStyle(point).outlineStyle"
    assert editor.part("point-mouth_right").evaluate(ring) == "solid"
    assert editor.part("point-mouth_left").evaluate(ring) == "none"
    keyboard.press("Tab")
    assert focused() == "caphuman-point-lip_upper", "the next one of the order"
    keyboard.press("Shift+Tab")
    keyboard.press("ArrowRight")
    assert focused() in ("caphuman-point-lip_upper", "caphuman-point-lip_lower", "caphuman-point-nose_right")
    keys.focus()
    keyboard.press("ArrowDown")
    assert focused() in ("caphuman-point-chin", "caphuman-point-jaw_right", "caphuman-point-lip_lower")
    assert not pins(), "to choose changes nothing"

    keys.focus()
    box = editor.part("point-mouth_right").bounding_box()
    places = []
    for press in ("Shift+ArrowUp", "Shift+ArrowLeft", "Shift+Alt+ArrowLeft"):
        keyboard.press(press)
        places.append(pins()["mouth_right"])
    (start, height), (near, level), (far, _) = places
    assert level == height
    assert 1 / 512 - 2e-5 <= start - near < 4 / 512, "a pixel of the photo, or of the screen"
    assert near - far == pytest.approx(10 * (start - near), abs=1e-4)
    page.wait(lambda: "caphuman-pinned" in editor.part("point-mouth_right").get_attribute("class"))
    page.wait(lambda: editor.part("point-mouth_right").bounding_box()["x"] < box["x"] - 4)
    page.screenshot(f"editor_points_keyboard_{'vue' if page.vue else 'classic'}")
    editor.wait_values(lambda now: now["corrections"])
    page.page.wait_for_timeout(700)                                     # the row of presses is over
    keyboard.press("Control+z")
    editor.wait_values(lambda now: not now["corrections"])
    keyboard.press("Control+Shift+z")
    editor.wait_values(lambda now: now["corrections"])
    assert pins()["mouth_right"] == places[-1]
    keyboard.press("Delete")
    editor.wait_values(lambda now: not now["corrections"])
    assert page.page.evaluate("() => Boolean(app.graph.getNodeById('3') ?? app.graph.getNodeById(3))"), "the node stays"
    keyboard.press("Escape")
    editor.part("point-mouth_left").wait_for(state="hidden")
    assert editor.part("points").get_attribute("aria-pressed") == "false"
    assert focused() == "caphuman-keys", "back in the view"


def test_the_skin_of_a_photo_is_seen_on_the_head(page):
    """As the node's own preview has it; a view without it would be another."""
    graph = copy.deepcopy(FITTED)
    graph["14"] = {"class_type": "CapHumanRefineHead", "inputs": {
        "image": ["10", 0], "faces": ["12", 0], "head": ["13", 0], "head_model": ["1", 0], "texture_from_photo": True}}
    graph["11"]["inputs"]["backend"] = "mediapipe"                      # five points are too few for a skin
    graph["3"]["inputs"]["head"] = ["14", 0]
    editor = open_editor(page, graph)
    page.queue_and_wait()
    page.wait(lambda: editor.root.get_attribute("data-head") == "fitted")
    editor.click("look-shaded")
    editor.click("close-up")
    worn = editor.still()
    page.screenshot(f"editor_skin_{'vue' if page.vue else 'classic'}")
    put(editor, 14, "texture_from_photo", False)
    page.queue_and_wait()
    head = worn[..., :3].max(-1) > 8
    page.wait(lambda: np.abs(worn - editor.still())[head].max() > 40)       # the head without it comes after the run's end
    bare = editor.still()
    assert 1.0 < np.abs(worn - bare)[head].mean() < 40.0, "the same head, in another skin"
