"""Pictures to choose from, and a hand on the face itself."""
from __future__ import annotations

import numpy as np
import pytest
from editor import Editor, open_editor, thumbnail

TALL = {"width": 1400, "height": 1100}


@pytest.fixture
def page(open_page):
    """In one rendering mode: what they do differently with the view is test_editor's and test_editor_life's matter."""
    return open_page(False, viewport=TALL)


def pictured(editor: Editor, kind: str) -> dict[str, np.ndarray]:
    """The pictures of a page by name, each [H, W, 3], when all are drawn."""
    places = editor.root.locator(f"button[data-testid^='caphuman-{kind}-']:has(canvas), "
                                 f"button[data-testid^='caphuman-{kind}-']:not([data-testid='caphuman-look-shaded'],"
                                 "[data-testid='caphuman-look-normal'],[data-testid='caphuman-look-photo'])")
    editor.page.wait(lambda: places.count() and all(places.nth(n).get_attribute("data-pictured") for n in range(places.count())))
    return {places.nth(n).get_attribute("data-testid").removeprefix(f"caphuman-{kind}-"): thumbnail(places.nth(n))
            for n in range(places.count())}


def all_differ(pictures: dict[str, np.ndarray]) -> None:
    names = list(pictures)
    for k, name in enumerate(names):
        assert (pictures[name].max(-1) > 25).mean() > 0.15, name        # a head, not an empty frame
        for other in names[k + 1:]:
            assert np.abs(pictures[name] - pictures[other]).max() > 12, (name, other)


def shot(page, text: str) -> None:
    page.screenshot(f"editor_{text}_{'vue' if page.vue else 'classic'}")


def test_expressions_are_chosen_by_their_pictures(page):
    editor = open_editor(page)
    editor.tab("expression")
    pictures = pictured(editor, "expression")
    assert len(pictures) == 26
    all_differ(pictures)
    shot(page, "expressions")
    editor.click("expression-surprise")
    editor.wait_values(lambda values: values["surprise"] == 1)
    assert editor.part("expression-surprise").get_attribute("aria-pressed") == "true"
    editor.click("expression-surprise")
    editor.wait_values(lambda values: values["surprise"] == 0)


def test_lights_are_chosen_by_their_pictures(page):
    editor = open_editor(page)
    editor.tab("light")
    pictures = pictured(editor, "light")
    all_differ(pictures)
    halves = np.split(pictures["split"].mean(-1), 2, axis=1)
    assert halves[1].mean() > 2 * halves[0].mean()                      # split: the picture's right in light, its left in shadow
    assert pictures["high_key"].mean() > pictures["back"].mean() * 1.5
    shot(page, "lights")
    editor.click("light-rim")
    lit = editor.wait_values(lambda values: values["relight"])
    assert lit["light_rim"] > 1 > lit["light_intensity"]
    page.wait(lambda: editor.part("light-rim").get_attribute("aria-pressed") == "true")
    editor.type_number("light_azimuth", "-114.25")
    shot(page, "light_numbers")
    for name in ("light_azimuth", "light_elevation", "light_intensity"):
        assert editor.part(f"number-{name}").evaluate("(field) => field.scrollWidth <= field.clientWidth"), f"all of {name} is seen"
    page.queue_and_wait()


def test_poses_and_own_presets_show_pictures(page):
    editor = open_editor(page)
    editor.drag(0.0, 0.0, key="Shift")
    editor.tab("presets")
    pictures = pictured(editor, "look")
    assert len(pictures) == 12
    all_differ(pictures)
    editor.click("look-laugh")
    values = editor.wait_values(lambda now: now["smile"] == 1)
    assert values["yaw_degrees"] == 12
    editor.click("preset-save")
    editor.part("preset-name").fill("with picture")
    editor.part("preset-name").press("Enter")
    mine = editor.root.locator("[data-testid=caphuman-user-preset][data-name='with picture'] [data-testid=caphuman-preset-apply]")
    page.wait(lambda: mine.count() and mine.get_attribute("data-pictured"))
    assert np.abs(thumbnail(mine) - pictures["laugh"]).mean() < 2       # the same pose, the same picture
    assert np.abs(thumbnail(mine) - pictures["sad"]).mean() > 4
    shot(page, "poses")
    editor.click("look-passport")
    assert editor.wait_values(lambda now: now["smile"] == 0)["yaw_degrees"] == 0
    editor.root.locator("[data-name='with picture'] [data-testid=caphuman-preset-delete]").click()
    page.wait(lambda: mine.count() == 0)


def pull(editor: Editor, name: str, right: float, down: float) -> None:
    """Take hold of a point of the face and draw it, pixels of the screen."""
    mouse, box = editor.page.page.mouse, editor.part(f"handle-{name}").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + right, y + down, steps=5)
    mouse.up()


def test_a_hand_on_the_face_moves_what_it_holds(page):
    editor = open_editor(page)
    assert editor.part("handle-chin").is_hidden()                       # the view is for turning, but in the tab of expressions
    editor.tab("expression")
    editor.part("handle-chin").wait_for()
    start = editor.values()
    pull(editor, "mouth_left", 0, -8)
    smiling = editor.wait_values(lambda values: values["smile"] > 0.2)
    assert smiling["frown"] == 0
    assert smiling["yaw_degrees"] == 0                                  # the head did not turn
    pull(editor, "mouth_right", 0, 20)
    assert editor.wait_values(lambda values: values["frown"] > 0.2)["smile"] == 0
    pull(editor, "mouth_right", -8, 0)                                  # the person's right is the picture's left: outwards
    assert editor.wait_values(lambda values: values["wide_mouth"] > 0.2)["pucker"] == 0
    pull(editor, "brow_left", 0, -8)
    assert editor.wait_values(lambda values: values["brows_up"] > 0.2)["brows_down"] == 0
    pull(editor, "lid_right", 0, 6)
    assert editor.wait_values(lambda values: values["blink_right"] > 0.2)["blink_left"] == 0
    before = editor.part("handle-chin").bounding_box()["y"]
    pull(editor, "chin", 0, 15)
    opened = editor.wait_values(lambda values: values["jaw_degrees"] > 3)
    page.wait(lambda: editor.part("handle-chin").bounding_box()["y"] > before + 6)      # it follows the hand
    pull(editor, "chin", 10, 0)
    assert editor.wait_values(lambda values: values["jaw_left"] > 0.2)["jaw_right"] == 0
    assert opened["x"] == opened["y"] == 0
    shot(page, "handles")
    for _ in range(7):                                  # one step a pull
        editor.click("undo")
    editor.wait_values(lambda values: values["smile"] == start["smile"] and values["jaw_degrees"] == 0)


def test_points_that_are_turned_away_are_not_in_the_way(page):
    editor = open_editor(page)
    editor.tab("expression")
    editor.part("handle-mouth_left").wait_for()
    editor.click("preset-profile_right")                         # to the picture's right: the person's left side is behind
    editor.part("handle-mouth_left").wait_for(state="hidden")
    editor.click("preset-frontal")
    editor.part("handle-mouth_left").wait_for()
