"""What an editor makes of old, broken and foreign files, in both rendering modes."""
from __future__ import annotations

import copy
import math

import pytest
from editor import GRAPH, Editor, open_editor

TALL = {"width": 1400, "height": 1100}
# CapHumanEditHead as its first version saved it: seven numbers of the pose, nineteen expressions, mode, turn_light.
FIRST_VERSION = [12.5, -3.0, 4.0, 0.1, -0.2, 1.5, 7.0, *[0.05 * step for step in range(19)], "set", True]


@pytest.fixture(params=[False, True], ids=["classic", "vue"])
def vue(request):
    """Both rendering modes of the frontend."""
    return request.param


@pytest.fixture
def saved(open_page, vue):
    """saved(change) -> Editor: the small graph as a file, its node 3 changed, dropped on the canvas."""
    page = open_page(vue, viewport=TALL)
    page.load_api(GRAPH)
    graph = page.export_workflow()

    def _saved(change) -> Editor:
        changed = copy.deepcopy(graph)
        change(changed)
        page.drop_workflow(changed)
        page.look_at(3)
        return Editor(page).wait_ready()
    return _saved


def node(graph: dict, number: int) -> dict:
    return next(node for node in graph["nodes"] if str(node["id"]) == str(number))


def sane(editor: Editor) -> None:
    """Every number is one, and the prompt is taken and runs."""
    values = editor.values()
    assert all(math.isfinite(value) for value in values.values() if isinstance(value, (int, float)))
    assert values["mode"] in ("add", "set")
    editor.page.queue_and_wait()


def test_a_file_of_the_first_version_opens_and_runs(saved):
    def older(graph):
        entry = node(graph, 3)
        entry["widgets_values"] = FIRST_VERSION
        names = {"photo", "relight", "light_azimuth", "light_elevation", "light_intensity", "light_ambient", "light_colour"}
        entry["inputs"] = [slot for slot in entry["inputs"] if slot["name"] not in names]
    editor = saved(older)
    assert editor.page.missing_nodes() is None
    values = editor.values()
    assert list(values.values())[:len(FIRST_VERSION)] == FIRST_VERSION
    assert values["relight"] is False
    assert values["light_colour"] == "#ffffff"
    sane(editor)


@pytest.mark.parametrize("bad", [None, "NaN", "", 1e9, {}], ids=["null", "NaN as text", "empty", "far too large", "object"])
def test_values_that_are_no_numbers_are_repaired(saved, vue, bad):
    def broken(graph):
        entry = node(graph, 3)
        entry["widgets_values"] = [bad, *entry["widgets_values"][1:5], bad, *entry["widgets_values"][6:]]
    editor = saved(broken)
    values = editor.values()
    assert -180 <= values["yaw_degrees"] <= 180
    assert 0.05 <= values["scale"] <= 10
    if bad == "NaN":
        assert editor.part("notice").is_visible()
        editor.page.screenshot(f"editor_repaired_{'vue' if vue else 'classic'}")
    sane(editor)


def test_a_head_model_that_vanished_is_told_in_the_view(saved, vue):
    def vanished(graph):
        node(graph, 1)["widgets_values"] = ["gone.safetensors"]
    editor = saved(vanished)
    notice = editor.part("notice")
    notice.wait_for()
    assert "gone.safetensors" in notice.inner_text()
    editor.drag(0.1)
    editor.wait_values(lambda values: values["yaw_degrees"] != 0)
    editor.page.screenshot(f"editor_vanished_{'vue' if vue else 'classic'}")


def test_a_number_written_as_text_is_that_number(saved):
    """As the server reads it, which gets the file without a browser."""
    def worded(graph):
        node(graph, 3)["widgets_values"][:2] = ["12.5", " -3 "]
    editor = saved(worded)
    values = editor.values()
    assert (values["yaw_degrees"], values["pitch_degrees"]) == (12.5, -3)
    sane(editor)


def test_a_head_model_that_vanishes_while_the_page_is_open_is_told(open_page):
    page = open_page(False, viewport=TALL)
    page.forgive(r"404")
    editor = open_editor(page)
    notice, vertices = editor.part("notice"), "**/caphuman/editor/vertices"
    page.page.route(vertices, lambda route: route.fulfill(status=404, json={"error": "the head model is gone: choose another"}))
    editor.tab("expression")
    editor.type_number("smile", "0.8")
    notice.wait_for()
    assert "is gone" in notice.inner_text()
    page.page.unroute(vertices)
    with editor.redrawn():
        editor.type_number("smile", "0.6")
    notice.wait_for(state="hidden")


def test_an_unconnected_node_still_edits(open_page, vue):
    page = open_page(vue, viewport=TALL)
    editor = open_editor(page, {"3": {"class_type": "CapHumanEditHead", "inputs": {"mode": "add"}}})
    editor.drag(0.1)
    editor.wait_values(lambda values: values["yaw_degrees"] != 0)
