"""The view's camera: it shows more or less of the picture, and the head in it stays what it is."""
from __future__ import annotations

import numpy as np
import pytest
from editor import Editor, open_editor

TALL = {"width": 1400, "height": 1100}


@pytest.fixture(params=[False, True], ids=["classic", "vue"])
def page(open_page, request):
    return open_page(request.param, viewport=TALL)


def heads(editor: Editor) -> np.ndarray:
    """Where the head is, bool [H, W]: in the look *Normals* it is the only thing with strong colours."""
    pixels = editor.pixels()[..., :3].astype(int)
    return pixels.max(-1) - pixels.min(-1) > 30


def shown(editor: Editor) -> tuple[float, float, float]:
    """Middle of the head, shares of the view, and the share that it covers."""
    rows, columns = np.nonzero(heads(editor))
    height, width = editor.pixels().shape[:2]
    return columns.mean() / width, rows.mean() / height, len(rows) / (width * height)


def normals(page) -> Editor:
    editor = open_editor(page)
    editor.click("look-normal")
    page.wait(lambda: heads(editor).mean() > 0.1)
    return editor


def test_the_wheel_zooms_the_view_towards_the_pointer_and_leaves_the_head(page):
    editor = normals(page)
    graph = page.page.evaluate("() => [...app.canvas.ds.offset, app.canvas.ds.scale]")
    editor.focus()
    editor.page.wait(lambda: heads(editor).mean() > 0.1)
    values, before = editor.values(), shown(editor)
    top = np.nonzero(heads(editor).any(1))[0][0] / editor.pixels().shape[0]
    assert editor.part("zoom").is_hidden()
    with editor.redrawn():
        editor.wheel(250, at=(0.5, top))                # away
    page.wait(lambda: shown(editor)[2] < before[2] * 0.6)
    page.wait(lambda: abs(np.nonzero(heads(editor).any(1))[0][0] / editor.pixels().shape[0] - top) < 0.02)
    assert editor.part("zoom").is_visible()
    with editor.redrawn():
        editor.click("zoom")
    page.wait(lambda: shown(editor) == pytest.approx(before, abs=0.005))
    assert editor.part("zoom").is_hidden()
    assert editor.values() == values
    assert page.page.evaluate("() => [...app.canvas.ds.offset, app.canvas.ds.scale]") == graph
    page.screenshot(f"editor_camera_{'vue' if page.vue else 'classic'}")


def test_space_and_a_drag_pan_as_far_as_the_hand_goes(page):
    editor = normals(page)
    values, graph = editor.values(), page.page.evaluate("() => [...app.canvas.ds.offset, app.canvas.ds.scale]")
    editor.focus()
    editor.wheel(200)
    page.wait(lambda: editor.part("zoom").is_visible())
    view = min(editor.box()[2:]) / editor.box()[2]      # the square picture's share of the view's width
    before = shown(editor)
    with editor.redrawn():
        editor.drag(0.1 * view, 0.0, key=" ")
    page.wait(lambda: shown(editor)[0] - before[0] == pytest.approx(0.1, abs=0.02), lambda: shown(editor))
    assert editor.values() == values
    assert page.page.evaluate("() => [...app.canvas.ds.offset, app.canvas.ds.scale]") == graph


def test_keys_frame_the_head_and_show_the_picture(page):
    editor = normals(page)
    before = shown(editor)
    editor.focus()
    keys = page.page.keyboard
    keys.press("PageDown")
    page.wait(lambda: shown(editor)[2] < before[2] * 0.75)
    keys.press("f")                                     # a head that fills its picture is shown closer still
    page.wait(lambda: shown(editor)[2] > before[2] * 1.2)
    assert editor.part("close-up").get_attribute("aria-pressed") == "true"
    keys.press("PageUp")
    page.wait(lambda: editor.part("zoom").is_visible())
    keys.press("Home")
    page.wait(lambda: shown(editor) == pytest.approx(before, abs=0.005))
    assert editor.part("close-up").get_attribute("aria-pressed") == "false"


def test_outside_the_picture_is_marked_and_a_hand_moves_the_head_as_far_as_itself(page):
    editor = normals(page)
    editor.focus()
    editor.wheel(400)
    page.wait(lambda: shown(editor)[2] < 0.2)
    assert editor.pixels()[6, 6, 3] < 128               # fainter than the picture's black
    before = shown(editor)
    view = min(editor.box()[2:]) / editor.box()[2]
    with editor.redrawn():
        editor.drag(0.2 * view, 0.0, key="Shift")
    page.wait(lambda: shown(editor)[0] - before[0] == pytest.approx(0.2, abs=0.02), lambda: (before, shown(editor)))
