"""Framing a head for the picture, the note about faces that are too small, and a mode that changes without a jump."""
from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from editor import GRAPH, Editor, open_editor

TALL = {"width": 1400, "height": 1100}
FIELDS = "(await import('/extensions/comfyui-caphuman/editor/pose_values.js')).FIELDS"
KINDS = {"FLOAT": "number", "BOOLEAN": "flag", "COMBO": "choice", "COLOR": "colour", "STRING": "text"}


@pytest.fixture
def page(open_page):
    """In one rendering mode: what they do differently with the view is test_editor's and test_editor_life's matter."""
    return open_page(False, viewport=TALL)


def graph(side: int = 512, **values) -> dict:
    prompt = copy.deepcopy(GRAPH)
    prompt["2"]["inputs"].update(width=1024, height=768)
    prompt["3"]["inputs"].update(values)
    prompt["4"]["inputs"].update(width=side, height=side)
    return prompt


def extent(editor: Editor) -> np.ndarray:
    """Left, top, right, bottom of the head in shares of the view."""
    rows, columns = np.nonzero(editor.pixels()[..., :3].max(-1) > 8)
    height, width = editor.pixels().shape[:2]
    return np.array([columns.min() / width, rows.min() / height, columns.max() / width, rows.max() / height])


def test_a_small_face_is_told_and_framed(page):
    prompt = graph(x=0.3, y=-0.1, scale=0.35, yaw_degrees=30.0, smile=0.4)
    editor = open_editor(page, prompt)
    notice = editor.part("notice")
    page.wait(notice.is_visible)
    page.wait(lambda: "512 × 512" in notice.inner_text(), notice.inner_text)
    pixels = int(notice.inner_text().split(" pixels")[0].split()[-1])
    assert pixels == int(0.35 * 0.133 / 0.42 * 768 * 512 / 1024)       # contained: the frame's width fills the picture's
    page.screenshot(f"editor_small_face_{'vue' if page.vue else 'classic'}")
    run = page.queue_and_wait()
    (note,) = run.outputs["4"]["caphuman_note"]         # Render Head says the same
    assert f"{pixels} pixels" in note
    page.page.locator(".p-toast-detail", has_text="press Frame").first.wait_for()
    before = editor.values()
    editor.click("frame")
    framed = editor.wait_values(lambda values: values["scale"] != before["scale"])
    assert {name for name in framed if framed[name] != before[name]} == {"x", "y", "scale"}
    notice.wait_for(state="hidden")
    picture = np.asarray(page.picture(page.queue_and_wait(), 5))
    rows = np.nonzero(picture.max(-1) > 8)[0]
    assert 0.6 < (rows.max() - rows.min()) / 512 < 0.95                # three quarters of the picture, in its middle
    assert abs((rows.max() + rows.min()) / 2 / 512 - 0.5) < 0.1


def test_the_frame_input_frames_whatever_comes_in(page):
    prompt = graph(side=768, x=0.3, y=-0.2, scale=0.4)
    prompt["6"] = {"class_type": "CapHumanEditHead", "inputs": {"head": ["3", 0], "head_model": ["1", 0], "mode": "add"}}
    prompt["4"]["inputs"]["head"] = ["6", 0]
    editor = open_editor(page, prompt, 6)
    page.queue_and_wait()
    page.wait(lambda: editor.root.get_attribute("data-head") == "fitted")
    editor.click("close-up")
    page.wait(lambda: editor.pixels().shape[1] > editor.pixels().shape[0] and extent(editor)[0] > 0.6)
    editor.click("check-frame")
    assert editor.wait_values(lambda values: values["frame"] is True)["scale"] == 1
    page.wait(lambda: extent(editor)[0] < 0.4)
    left, top, right, bottom = extent(editor)
    picture = np.asarray(page.picture(page.queue_and_wait(), 5))
    rows, columns = np.nonzero(picture.max(-1) > 8)
    band = 768 * 768 / 1024                             # the frame's height in the square picture
    assert [columns.min() / 768, columns.max() / 768] == pytest.approx([left, right], abs=0.01)
    assert [(value - (768 - band) / 2) / band for value in (rows.min(), rows.max())] == pytest.approx([top, bottom], abs=0.015)


def test_add_to_set_and_back_moves_nothing(page):
    prompt = graph(x=0.2, y=0.1, scale=0.7, yaw_degrees=25.0, pitch_degrees=10.0, roll_degrees=-8.0, jaw_degrees=9.0, smile=0.6)
    prompt["6"] = {"class_type": "CapHumanEditHead", "inputs": {
        "head": ["3", 0], "head_model": ["1", 0], "mode": "add", "yaw_degrees": -40.0, "x": 0.05, "scale": 1.2, "jaw_degrees": 3.0,
        "brows_up": 0.5}}
    prompt["4"]["inputs"]["head"] = ["6", 0]
    editor = open_editor(page, prompt, 6)
    page.queue_and_wait()
    page.wait(lambda: editor.root.get_attribute("data-head") == "fitted")

    before, added = editor.still(), editor.values()
    for mode in ("set", "add"):
        with editor.redrawn():
            editor.click(f"mode-{mode}")
        assert np.abs(editor.still() - before).mean() < 0.5
    back = editor.values()
    assert {name: back[name] for name in added if isinstance(added[name], float)} == pytest.approx(
        {name: value for name, value in added.items() if isinstance(value, float)}, abs=0.01)
    editor.click("mode-set")
    values = editor.wait_values(lambda now: now["mode"] == "set")
    assert values["jaw_degrees"] == pytest.approx(12.0, abs=0.01)
    assert values["scale"] == pytest.approx(0.84, abs=0.002)
    assert values["smile"] > 0.3                        # the incoming head's own, under its name


def test_the_editor_s_fields_are_the_node_s_inputs(open_page):
    page = open_page(False)
    fields = page.page.evaluate(f"async () => ({FIELDS})")
    schema = json.loads(page.get("/object_info/CapHumanEditHead"))["CapHumanEditHead"]["input"]
    inputs = {name: about for group in ("required", "optional") for name, about in schema[group].items()}
    assert set(fields) == set(inputs) - {"head", "head_model", "photo"}
    for name, field in fields.items():
        kind, about = inputs[name]
        assert KINDS["COMBO" if isinstance(kind, list) else kind] == field["kind"], name
        assert about.get("default") == field["start"], name
        if field["kind"] == "number":
            assert (about["min"], about["max"], about["step"]) == (field["low"], field["high"], field["step"]), name
