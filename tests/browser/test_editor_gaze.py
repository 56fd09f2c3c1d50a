"""A hand that makes the eyes look somewhere, the neck beside it, and the page of shape."""
from __future__ import annotations

import numpy as np
import pytest
from editor import Editor, open_editor, thumbnail

GAZE = ("gaze_yaw_degrees", "gaze_pitch_degrees", "gaze_convergence_degrees")
VIEW = {"width": 1400, "height": 1100}


@pytest.fixture
def page(open_page):
    """In one rendering mode: what they do differently with the view is test_editor's and test_editor_life's matter."""
    return open_page(True, viewport=VIEW)


def middle(editor: Editor) -> tuple[float, float]:
    box = editor.part("handle-gaze").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def pull(editor: Editor, right: float, down: float) -> None:
    """Draw the gaze's point, pixels of the screen."""
    mouse, (x, y) = editor.page.page.mouse, middle(editor)
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + right, y + down, steps=5)
    mouse.up()
    editor.settle()


def shot(page, text: str) -> None:
    page.screenshot(f"editor_{text}_{'vue' if page.vue else 'classic'}")


def test_the_eyes_look_where_the_point_is_drawn(page):
    editor = open_editor(page)
    editor.tab("expression")
    editor.part("handle-gaze").wait_for()
    x, y = middle(editor)
    before = editor.pixels().astype(int)
    with editor.redrawn():
        pull(editor, 40, -30)
    values = editor.wait_values(lambda now: now["gaze_yaw_degrees"] > 5)
    assert values["gaze_pitch_degrees"] > 4
    assert values["yaw_degrees"] == values["smile"] == 0                    # neither the head nor its face
    page.wait(lambda: np.hypot(middle(editor)[0] - x - 40, middle(editor)[1] - y + 30) < 3)      # it is under the hand
    page.wait(lambda: np.abs(editor.pixels().astype(int) - before).max() > 60)
    shot(page, "gaze")
    assert editor.part("number-gaze_yaw_degrees").input_value() == f"{values['gaze_yaw_degrees']:g}"
    page.page.keyboard.press("ArrowLeft")                                   # the hand has left the keyboard there
    page.page.keyboard.press("ArrowDown")
    nudged = editor.wait_values(lambda now: now["gaze_pitch_degrees"] < values["gaze_pitch_degrees"])
    assert nudged["gaze_yaw_degrees"] == pytest.approx(values["gaze_yaw_degrees"] - 2)
    page.page.keyboard.press("Delete")                                      # straight ahead; the node stays
    editor.wait_values(lambda now: not any(now[name] for name in GAZE))
    page.page.keyboard.press("Control+z")
    editor.wait_values(lambda now: now["gaze_yaw_degrees"] == nudged["gaze_yaw_degrees"])
    editor.part("handle-gaze").dblclick()
    editor.wait_values(lambda now: not any(now[name] for name in GAZE))
    editor.type_number("gaze_convergence_degrees", "6")
    assert editor.wait_values(lambda now: now["gaze_convergence_degrees"] == 6)["gaze_yaw_degrees"] == 0
    editor.click("mirror")
    assert editor.values()["gaze_convergence_degrees"] == 6
    editor.click("reset")
    editor.wait_values(lambda now: not any(now[name] for name in GAZE))
    with editor.redrawn():
        editor.click("preset-three_quarter_right")
    editor.settle()
    x, y = middle(editor)
    pull(editor, -30, 15)                                                   # also on a turned head it stays under the hand
    editor.wait_values(lambda now: now["gaze_yaw_degrees"] < -5)
    page.wait(lambda: np.hypot(middle(editor)[0] - x + 30, middle(editor)[1] - y - 15) < 3)


@pytest.mark.thorough
def test_changing_the_mode_keeps_gaze_and_neck_and_the_neck_moves_the_bust_alone(open_page):
    """A head that comes in with both: what the numbers say changes, what is seen does not."""
    looking = {"yaw_degrees": 50.0, "gaze_yaw_degrees": -12.0, "gaze_pitch_degrees": 5.0, "gaze_convergence_degrees": 3.0,
               "neck_share": 0.4}
    graph = {
        "1": {"class_type": "CapHumanLoadHeadModel", "inputs": {"head_model_name": "built-in"}},
        "2": {"class_type": "CapHumanNewHead", "inputs": {"head_model": ["1", 0], "width": 256, "height": 256}},
        "6": {"class_type": "CapHumanEditHead", "inputs": {"head": ["2", 0], "head_model": ["1", 0], "mode": "add", **looking}},
        "3": {"class_type": "CapHumanEditHead", "inputs": {"head": ["6", 0], "head_model": ["1", 0], "mode": "add"}},
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["3", 1]}},
    }
    page = open_page(False, viewport=VIEW)
    editor = open_editor(page, graph)
    page.queue_and_wait()
    page.wait(lambda: editor.root.get_attribute("data-head") == "fitted")
    editor.still()
    before = editor.pixels().astype(int)
    with editor.redrawn():
        editor.click("mode-set")
    values = editor.wait_values(lambda now: now["mode"] == "set")
    assert [values[name] for name in GAZE] == pytest.approx([-12, 5, 3], abs=0.01)
    assert values["neck_share"] == pytest.approx(0.4, abs=0.001)
    page.wait(lambda: np.abs(editor.pixels().astype(int) - before).mean() < 0.5)
    editor.click("mode-add")
    values = editor.wait_values(lambda now: now["mode"] == "add")
    assert [values[name] for name in (*GAZE, "neck_share")] == pytest.approx([0, 0, 0, 0], abs=0.01)
    with editor.redrawn():
        editor.type_number("neck_share", "0.6")

    def moved():
        """Shares of the upper half and of the lowest quarter that are not as they were."""
        changed = np.abs(editor.pixels().astype(int) - before).max(-1) > 12
        return changed[:len(changed) // 2].mean(), changed[len(changed) * 3 // 4:].mean()
    # Brows and crown are where they were, once the drawing is as sharp as the one before.
    page.wait(lambda: (seen := moved())[0] < 0.006 and seen[1] > 0.03, moved)
    page.screenshot("editor_neck_classic")


def small(editor: Editor, name: str) -> np.ndarray:
    """The small picture of an expression, [H, W, 3], when it is drawn."""
    place = editor.part(f"expression-{name}")
    editor.page.wait(lambda: place.get_attribute("data-pictured"))
    return thumbnail(place)


def seen_in_small(editor: Editor, before: np.ndarray, least: float) -> np.ndarray:
    """The small picture of a pucker, when it differs from an earlier one by so many levels in the mean."""
    editor.tab("expression")
    editor.page.wait(lambda: np.abs(small(editor, "pucker") - before).mean() > least)
    still_one = small(editor, "pucker")
    editor.tab("shape")
    return still_one


def test_who_it_is_changes_by_the_page_of_shape(open_page):
    page = open_page(True, viewport=VIEW)
    editor = open_editor(page)
    editor.tab("expression")
    plain = small(editor, "pucker")
    editor.tab("shape")
    row = editor.part("row-shape_1")
    page.wait(lambda: "Shape 1" not in row.inner_text())                    # the built-in head's directions have names
    before = editor.pixels().astype(int)
    with editor.redrawn():
        editor.type_number("shape_2", "2.5")
    page.wait(lambda: np.abs(editor.pixels().astype(int) - before).mean() > 1)
    shaped = editor.pixels().astype(int)
    with editor.redrawn():
        editor.type_number("texture_1", "2")
    page.wait(lambda: np.abs(editor.pixels().astype(int) - shaped).mean() > 1)
    older = seen_in_small(editor, plain, 3)                                 # the small pictures show whom the hand has made
    bald = editor.pixels().astype(int)
    editor.click("hair-long")
    assert editor.wait_values(lambda now: now["hair"] == "long")["shape_2"] == 2.5
    assert editor.part("hair-long").get_attribute("aria-pressed") == "true"
    page.wait(lambda: np.abs(editor.pixels().astype(int) - bald).mean() > 8)
    haired = seen_in_small(editor, older, 3)
    editor.click("look-normal")                                             # as CapFace sees it: without
    editor.still()
    normals = editor.pixels().astype(int)
    editor.click("hair-bald")
    editor.still()
    assert np.abs(editor.pixels().astype(int) - normals).max() == 0
    editor.click("hair-long")
    editor.click("look-shaded")
    editor.still()
    shot(page, "shape")
    editor.tab("expression")
    editor.type_number("gaze_yaw_degrees", "30")
    looking = seen_in_small(editor, haired, 0.3)
    assert np.abs(looking - haired).mean() < 3, "the eyes alone have moved"
    editor.tab("expression")
    shot(page, "as_edited")
    editor.tab("presets")
    shot(page, "poses_as_edited")
    editor.tab("shape")
    editor.click("undo")
    editor.click("undo")
    editor.wait_values(lambda now: now["hair"] == "bald" and now["gaze_yaw_degrees"] == 0)
    offered = [k for k in range(1, 11) if editor.part(f"row-texture_{k}").is_visible()]
    assert offered == list(range(1, len(offered) + 1))
    editor.click("undo")
    assert editor.wait_values(lambda now: now["texture_1"] == 0)["shape_2"] == 2.5
    page.queue_and_wait()
    editor.click("shape-reset")
    assert editor.wait_values(lambda now: now["shape_2"] == 0)["yaw_degrees"] == 0
    page.wait(lambda: np.abs(editor.pixels().astype(int) - before).mean() < 0.5)
