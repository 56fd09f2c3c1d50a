"""The close-up of a small head: what it shows is a part of the render, and the hand works in it as in the whole picture."""
from __future__ import annotations

import copy

import numpy as np
import pytest
from editor import GRAPH, Editor, open_editor
from PIL import Image

TALL = {"width": 1400, "height": 1100}
WIDTH, HEIGHT, LARGER = 960, 640, 3
X, Y, SCALE = 0.4, -0.2, 0.2


def small() -> dict:
    """A head of a fifth of a large picture, far from its middle, rendered larger still."""
    graph = copy.deepcopy(GRAPH)
    graph["2"]["inputs"].update(width=WIDTH, height=HEIGHT)
    graph["3"]["inputs"].update(x=X, y=Y, scale=SCALE, yaw_degrees=25.0, smile=0.6)
    graph["4"]["inputs"].update(width=WIDTH * LARGER, height=HEIGHT * LARGER)
    return graph


@pytest.fixture(params=[False, True], ids=["classic", "vue"])
def page(open_page, request):
    return open_page(request.param, viewport=TALL)


def pressed(editor: Editor) -> bool:
    return editor.part("close-up").get_attribute("aria-pressed") == "true"


def stored(page) -> tuple:
    """What a file would keep of the editor's node."""
    (node,) = [node for node in page.export_workflow()["nodes"] if node["type"] == "CapHumanEditHead"]
    return node["widgets_values"], node["properties"], node["flags"]


def middle(picture: np.ndarray) -> np.ndarray:
    """Centre of what is not black, x and y in pixels."""
    rows, columns = np.nonzero(picture[..., :3].max(-1) > 8)
    return np.array([columns.mean(), rows.mean()])


def close_up(editor: Editor) -> np.ndarray:
    """Presses F, waits for the square, and returns its picture."""
    editor.focus()
    editor.page.page.keyboard.press("f")
    editor.page.wait(lambda: editor.pixels().shape[0] == editor.pixels().shape[1])
    assert pressed(editor)
    return editor.pixels()


def test_a_close_up_is_a_part_of_the_render(page):
    editor = open_editor(page, small())
    assert not pressed(editor)                              # the head comes in large: it is the edit that makes it small
    assert editor.pixels().shape[1] / editor.pixels().shape[0] == pytest.approx(WIDTH / HEIGHT, rel=0.02)
    before = stored(page)
    shown = close_up(editor)[..., :3].astype(int)
    assert stored(page) == before                           # it is no part of the graph
    rendered = page.picture(page.queue_and_wait(), 5)
    left, top = (WIDTH / 2 + (X - SCALE / 2) * HEIGHT) * LARGER, (HEIGHT / 2 + (Y - SCALE / 2) * HEIGHT) * LARGER
    side = SCALE * HEIGHT * LARGER
    part = rendered.resize(shown.shape[1::-1], Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    difference = np.abs(shown - np.asarray(part).astype(int)).max(-1)
    head = np.asarray(part).max(-1) > 8
    assert 0.2 < head.mean() < 0.7                          # a head that fills its square as a new head its picture
    assert np.median(difference[head]) <= 4                 # resampled: edges differ, surfaces do not
    assert (difference > 24).mean() < 0.03
    page.screenshot(f"editor_close_up_{'vue' if page.vue else 'classic'}")
    editor.click("close-up")
    page.wait(lambda: editor.pixels().shape[1] > editor.pixels().shape[0])


def test_the_hand_moves_the_head_as_far_as_itself(page):
    editor = open_editor(page, small())
    before = middle(close_up(editor))
    mouse, (_, _, width, height), far = page.page.mouse, editor.box(), np.array([60, -25])
    start = np.array(editor.at(0.5, 0.6))
    mouse.move(*start)
    with editor.redrawn():
        mouse.down(button="right")
        mouse.move(*(start + far), steps=4)
    editor.wait_values(lambda values: values["x"] != X)
    page.wait(lambda: np.abs((middle(editor.pixels()) - before) * min(width, height) / editor.pixels().shape[0] - far).max() < 2,
              lambda: middle(editor.pixels()) - before)     # the square stands still under the hand
    mouse.up(button="right")
    values = editor.values()
    share = SCALE / min(width, height)
    assert [values["x"] - X, values["y"] - Y] == pytest.approx(list(far * share), abs=0.002)
    page.page.keyboard.press("Shift+ArrowRight")
    editor.wait_values(lambda now: now["x"] == pytest.approx(values["x"] + 0.02 * SCALE))
    editor.wheel(-120, key="Shift")                         # larger, on the spot
    editor.wait_values(lambda now: now["scale"] > SCALE * 1.1)
    editor.tab("pose")
    editor.type_number("x", "-0.5")                         # gone from the square, which comes along
    page.wait(lambda: abs(middle(editor.pixels())[0] / editor.pixels().shape[1] - 0.5) < 0.1)
    assert pressed(editor)


def test_a_head_that_comes_in_small_is_shown_in_close_up_until_the_user_says_otherwise(page):
    graph = small()
    graph["6"] = {"class_type": "CapHumanEditHead", "inputs": {"head": ["3", 0], "head_model": ["1", 0], "mode": "add"}}
    graph["5"]["inputs"]["images"] = ["6", 1]
    editor = open_editor(page, graph, 6)
    assert not pressed(editor)
    page.queue_and_wait()
    page.wait(lambda: pressed(editor) and editor.pixels().shape[0] == editor.pixels().shape[1])
    editor.click("close-up")
    page.wait(lambda: not pressed(editor) and editor.pixels().shape[0] < editor.pixels().shape[1])
    editor.drag(0.1)
    page.click_canvas()
    page.press("Control+z")                                 # makes a new node and a new editor
    editor.wait_values(lambda values: values["yaw_degrees"] == 0)
    page.look_at(6)
    editor.wait_ready()
    page.wait(lambda: editor.pixels().shape[0] < editor.pixels().shape[1])
    assert not pressed(editor)
