"""The head editor in both rendering modes: what the hand does is in the widgets, in the picture, and in the saved file."""
from __future__ import annotations

import json

import numpy as np
import pytest
from editor import GRAPH, Editor, open_editor

TALL = {"width": 1400, "height": 1100}


@pytest.fixture(params=[False, True], ids=["classic", "vue"])
def vue(request):
    """Both rendering modes of the frontend."""
    return request.param


@pytest.fixture
def page(open_page, vue):
    return open_page(vue, viewport=TALL)


@pytest.fixture
def name(vue):
    """screenshot names end with the mode."""
    return lambda text: f"editor_{text}_{'vue' if vue else 'classic'}"


def centre(picture: np.ndarray) -> tuple[float, float, float]:
    """Centre of what is not black, x and y as shares of the size, and the share that it covers."""
    rows, columns = np.nonzero(np.asarray(picture)[..., :3].max(-1) > 8)
    height, width = picture.shape[:2]
    return columns.mean() / width, rows.mean() / height, len(rows) / (height * width)


def test_a_pose_by_hand_reaches_the_picture(page, name):
    page.load_api(GRAPH)
    page.drop_workflow(page.export_workflow())
    assert page.missing_nodes() is None
    page.look_at(3)
    editor = Editor(page).wait_ready()
    assert editor.root.get_attribute("data-head") == "new"
    before = page.picture(page.queue_and_wait(), 5)

    with editor.redrawn():
        editor.drag(0.25, -0.1)
    values = editor.values()
    assert values["yaw_degrees"] > 5                    # the face follows the hand: right is positive, up is positive
    assert values["pitch_degrees"] > 2
    assert values["x"] == values["y"] == 0
    with editor.redrawn():
        editor.drag(-0.1, 0.05, key="Shift")
    shifted = editor.values()
    assert (shifted["yaw_degrees"], shifted["pitch_degrees"]) == (values["yaw_degrees"], values["pitch_degrees"])
    assert shifted["x"] < 0 < shifted["y"]
    with editor.redrawn():
        editor.drag(-0.05, 0.0, button="right")
    assert editor.values()["x"] < shifted["x"]
    editor.focus()
    with editor.redrawn():
        editor.wheel(200, key="Shift")
    assert 0.5 < editor.values()["scale"] < 0.95        # pulled towards oneself: smaller
    editor.tab("expression")
    with editor.redrawn():
        editor.type_number("smile", "0.8")
    page.screenshot(name("posed"))

    final = editor.values()
    assert page.export_api()["3"]["inputs"] == {**final, "head": ["2", 0], "head_model": ["1", 0]}
    after = page.picture(page.queue_and_wait(), 5)
    left, _, covered = centre(np.asarray(before))
    moved_left, _, smaller = centre(np.asarray(after))
    assert moved_left - left < final["x"] + 0.05 < 0       # to the left by x; the turned head's outline shifts by itself too
    assert smaller / covered == pytest.approx(final["scale"] ** 2, rel=0.3)     # and covers another share, and the neck is cut off
    page.wait(lambda: editor.root.get_attribute("data-head") == "fitted")


@pytest.mark.parametrize("vue", [True], ids=["vue"], indirect=True)
def test_the_state_is_the_widgets_and_survives_a_reload(open_page, vue, name):
    page = open_page(vue, {"Comfy.Workflow.Persist": True}, fresh=True, viewport=TALL)
    editor = open_editor(page)
    editor.drag(0.2, 0.1)
    editor.tab("light")
    editor.click("check-relight")
    editor.wait_values(lambda values: values["relight"] is True)
    kept = editor.values()
    node = next(node for node in page.export_workflow()["nodes"] if str(node["id"]) == "3")
    names = list(kept)
    assert [node["widgets_values"][names.index(key)] for key in names] == list(kept.values())
    assert all(not isinstance(value, (dict, list)) for value in node["widgets_values"])
    assert set(node.get("properties", {})) <= {"Node name for S&R", "cnr_id", "aux_id", "ver"}

    # The frontend keeps a draft of the open workflow a moment after each change.
    draft = json.dumps(list(kept.values()), separators=(",", ":"))[1:-1]
    page.page.wait_for_function("""(draft) => Object.values({...localStorage, ...sessionStorage})
        .some((text) => text.replaceAll('\\\\', '').includes(draft))""", arg=draft)
    page.reload()
    page.page.wait_for_function("() => app.graph.getNodeById(3)")
    page.look_at(3)
    editor = Editor(page).wait_ready()
    assert editor.values() == kept
    page.screenshot(name("reloaded"))


def test_undo_of_the_graph_is_one_step_a_drag_and_leaves_a_living_view(page, name):
    editor = open_editor(page)
    start = editor.values()
    editor.drag(0.2, 0.1)
    first = editor.values()
    editor.drag(-0.1, 0.1)
    second = editor.values()
    assert start != first != second

    page.click_canvas()                                 # once: twice would be a double-click, which opens the node search
    for text, expected in (("Control+z", first), ("Control+z", start), ("Control+y", first), ("Control+y", second)):
        page.press(text)
        editor.wait_same(expected)
    page.look_at(3)                                     # undo may have moved the canvas
    editor.wait_ready()
    with editor.redrawn():                              # not the dead picture of the node that undo replaced
        editor.drag(0.1)
    assert editor.values()["yaw_degrees"] != second["yaw_degrees"]
    assert editor.root.count() == 1
    page.screenshot(name("undone"))


def test_a_copied_node_has_the_pose_and_a_life_of_its_own(page, name):
    editor = open_editor(page)
    editor.drag(0.2, 0.1)
    kept = editor.values()
    page.click_title(3)
    page.page.mouse.move(1200, 950)                     # pasted where the mouse is
    page.page.keyboard.press("Control+c")
    page.page.keyboard.press("Control+v")
    other = page.wait(lambda: page.page.evaluate(
        "() => app.graph.nodes.find((node) => node.type === 'CapHumanEditHead' && String(node.id) !== '3')?.id"))
    page.look_at(other)
    copy = Editor(page, other).wait_ready()
    assert copy.values() == kept
    copy.drag(0.1)
    assert copy.values()["yaw_degrees"] != kept["yaw_degrees"]
    assert editor.values() == kept
    page.screenshot(name("copied"))


def test_the_tools_of_the_panel(page, name):
    """Presets, mirror, reset, the editor's own undo, mode, light ball, and a pose carried from one node to another."""
    two = {**GRAPH, "6": {"class_type": "CapHumanEditHead", "inputs": {"head": ["2", 0], "head_model": ["1", 0], "mode": "add"}}}
    editor = open_editor(page, two)
    start = editor.values()
    editor.tab("presets")
    poses = {}
    for preset in ("frontal", "three_quarter_left", "three_quarter_right", "profile_left", "profile_right", "looking_up",
                   "looking_down"):
        editor.click(f"preset-{preset}")
        poses[preset] = editor.values()
    yaw = {preset: pose["yaw_degrees"] for preset, pose in poses.items()}
    assert yaw["frontal"] == 0
    assert 0 < abs(yaw["three_quarter_left"]) < abs(yaw["profile_left"])
    assert yaw["three_quarter_left"] == -yaw["three_quarter_right"]
    assert yaw["profile_left"] == -yaw["profile_right"]
    assert poses["looking_up"]["pitch_degrees"] > 0 > poses["looking_down"]["pitch_degrees"]

    editor.click("preset-three_quarter_left")
    before = editor.values()
    editor.click("mirror")
    mirrored = editor.wait_values(lambda values: values != before)
    assert mirrored["yaw_degrees"] == -before["yaw_degrees"]
    editor.click("undo")
    editor.wait_same(before)
    editor.click("redo")
    editor.wait_same(mirrored)
    editor.click("reset")
    editor.wait_values(lambda values: {**values, "mode": "add"} == start)
    editor.drag(0.2, 0.1)
    assert editor.values()["yaw_degrees"] != 0
    page.page.mouse.dblclick(*editor.at(0.5, 0.5))
    editor.wait_values(lambda values: values["yaw_degrees"] == values["pitch_degrees"] == 0)

    editor.tab("pose")
    editor.click("mode-set")
    editor.wait_values(lambda values: values["mode"] == "set")
    assert editor.part("mode-set").get_attribute("aria-pressed") == "true"
    editor.click("mode-add")
    editor.tab("light")
    ball = editor.part("ball")
    ball.scroll_into_view_if_needed()
    box = ball.bounding_box()
    with editor.redrawn():
        page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.page.mouse.down()
        page.page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.3, steps=5)
        page.page.mouse.up()
    lit = editor.wait_values(lambda values: values["relight"])
    assert (lit["light_azimuth"], lit["light_elevation"]) != (start["light_azimuth"], start["light_elevation"])
    page.screenshot(name("lit"))

    editor.tab("expression")
    editor.type_number("surprise", "1")
    editor.click("copy")
    page.look_at(6)
    other = Editor(page, 6).wait_ready()
    other.click("paste")
    pasted = other.wait_values(lambda values: values["surprise"] == 1)
    assert pasted["light_azimuth"] == lit["light_azimuth"]
    page.screenshot(name("pasted"))


@pytest.mark.parametrize("vue", [False], ids=["classic"], indirect=True)
def test_user_presets_are_kept_renamed_exported_and_deleted(page, name, tmp_path):
    editor = open_editor(page)
    editor.drag(0.2, 0.1)
    pose = editor.values()
    editor.tab("presets")
    editor.click("preset-save")
    editor.part("preset-name").fill("my look")
    editor.part("preset-name").press("Enter")
    row = editor.root.locator("[data-testid=caphuman-user-preset][data-name='my look']")
    row.wait_for()
    editor.click("preset-frontal")
    assert editor.values()["yaw_degrees"] == 0
    row.get_by_test_id("caphuman-preset-apply").click()
    editor.wait_same(pose)
    row.get_by_test_id("caphuman-preset-rename").click()
    editor.part("preset-name").fill("another <b>name</b>")
    editor.part("preset-name").press("Enter")
    renamed = editor.root.locator("[data-testid=caphuman-user-preset][data-name='another <b>name</b>']")
    renamed.wait_for()
    page.wait(lambda: row.count() == 0)
    assert renamed.locator("b").count() == 0            # a name is text, whoever wrote the file
    page.screenshot(name("presets"))
    with page.page.expect_download() as told:
        editor.click("preset-export")
    exported = tmp_path / "presets.json"
    told.value.save_as(exported)
    assert "another <b>name</b>" in json.dumps(json.loads(exported.read_text(encoding="utf-8")))
    renamed.get_by_test_id("caphuman-preset-delete").click()
    page.wait(lambda: renamed.count() == 0)
    editor.part("preset-file").set_input_files(exported)
    renamed.wait_for()
