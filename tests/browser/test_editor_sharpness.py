"""The view is as sharp as the screen shows it, at every zoom and density, and quick while a hand moves."""
from __future__ import annotations

import numpy as np
import pytest
from editor import Editor, open_editor

TALL = {"width": 1400, "height": 1100}
UNDER_THE_HAND = 768                                    # pixels: sharpness.js


def covered(editor: Editor, density: float) -> int:
    """Pixels of the screen across which the view's square picture is shown."""
    return round(min(editor.box()[2:]) * density)


def painted(editor: Editor) -> int:
    """The size the head was painted in last, pixels."""
    return int((editor.view.get_attribute("data-painted") or "0x0").split("x")[0])


@pytest.mark.parametrize(("vue", "density"), [(False, 1), (True, 2)], ids=["classic-1", "vue-2"])
def test_every_pixel_of_the_screen_is_drawn_without_a_touch(open_page, vue, density):
    page = open_page(vue, viewport=TALL, device_scale_factor=density)
    editor = open_editor(page)
    for zoom in (1.0, 0.35, 1.7, 0.8):
        page.look_at(3, zoom)
        page.wait(lambda: abs(editor.pixels().shape[1] - covered(editor, density)) <= 1,
                  lambda: (editor.pixels().shape, editor.box()))
        page.wait(lambda: painted(editor) >= covered(editor, density) - 1)
    page.screenshot(f"editor_sharp_{density}_{'vue' if vue else 'classic'}")


@pytest.mark.thorough
def test_edges_are_smooth_when_still(open_page):
    editor = open_editor(open_page(True, viewport=TALL))
    editor.click("look-normal")
    editor.page.wait(lambda: editor.part("look-normal").get_attribute("aria-pressed") == "true")
    editor.page.wait(lambda: painted(editor) == 2 * editor.pixels().shape[1])
    light = editor.pixels()[..., :3].max(-1).astype(int)
    outline = (light[:, 1:-1] > 8) & ((light[:, :-2] == 0) | (light[:, 2:] == 0))
    # A normal's colour has a channel of at least 0.5 + 0.5/sqrt(3); a pixel with less is covered in part.
    assert (light[:, 1:-1][outline] < 160).mean() > 0.3


def test_under_the_hand_the_head_is_painted_smaller_and_the_view_stays(open_page):
    page = open_page(True, viewport=TALL, device_scale_factor=2)
    editor = open_editor(page)
    page.look_at(3, 1.6)
    page.wait(lambda: editor.pixels().shape[1] > UNDER_THE_HAND)
    full = editor.pixels().shape
    mouse = page.page.mouse
    mouse.move(*editor.at(0.5, 0.5))
    mouse.down()
    with editor.redrawn():
        mouse.move(*editor.at(0.6, 0.5), steps=3)
    page.wait(lambda: 0 < painted(editor) <= UNDER_THE_HAND)
    assert editor.pixels().shape == full
    held = editor.pixels()
    mouse.up()
    page.wait(lambda: painted(editor) >= full[1])
    assert 0 < np.abs(editor.pixels().astype(int) - held).mean() < 6       # the same picture, sharper
