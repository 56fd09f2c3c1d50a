"""How the pack's nodes look on the graph, in both rendering modes: socket colours, labels in words, whole titles."""
from __future__ import annotations

import json

import pytest
from editor import GRAPH

APPLY = {**GRAPH, "9": {"class_type": "CapHumanApplyCapFace", "inputs": {"hint": ["4", 0]}}}
NODE = "app.graph.getNodeById({})"
PROPERTY = "(name) => getComputedStyle(document.documentElement).getPropertyValue(name)"
DOT = """([id, name]) => {
    const node = document.querySelector(`[data-node-id="${id}"]`);
    const slot = [...node.querySelectorAll('.lg-slot')].find((each) => each.textContent.trim() === name);
    return [...slot.querySelectorAll('*')].map((each) => getComputedStyle(each).backgroundColor);
}"""


@pytest.fixture
def page(browser_page):
    browser_page.load_api(APPLY)
    browser_page.look_at(3, 0.6)
    return browser_page


def types_of(page) -> set[str]:
    """Every socket type that only this pack has."""
    found = set()
    for about in json.loads(page.get("/object_info")).values():
        if about["name"].startswith("CapHuman"):
            kinds = [spec[0] for group in ("required", "optional") for spec in about["input"].get(group, {}).values()]
            found |= {kind for kind in (*kinds, *about["output"]) if isinstance(kind, str) and kind.startswith("CAPHUMAN_")}
    return found


def test_each_socket_type_has_a_colour_of_its_own(page):
    types = types_of(page)
    assert len(types) >= 10
    classic = page.page.evaluate("() => LGraphCanvas.link_type_colors")
    vue = {kind: page.page.evaluate(PROPERTY, f"--color-datatype-{kind}").strip() for kind in types}
    assert {kind: classic.get(kind) for kind in types} == vue
    assert len(set(vue.values())) == len(types)
    assert not set(vue.values()) & {colour for kind, colour in classic.items() if kind not in types}
    if page.vue:
        red, green, blue = (int(vue["CAPHUMAN_HEAD"][at:at + 2], 16) for at in (1, 3, 5))
        page.wait(lambda: f"rgb({red}, {green}, {blue})" in page.page.evaluate(DOT, ["3", "head"]))
    page.screenshot(f"sockets_{'vue' if page.vue else 'classic'}")


def test_labels_are_words_and_names_stay(page):
    labels = dict(page.page.evaluate(f"() => {NODE.format(9)}.widgets.map((each) => [each.name, each.label ?? each.name])"))
    assert labels["id_dropout_tau"] == "identity dropout"
    assert labels["start_percent"] == "start percent"
    assert "id_dropout_tau" in page.export_api()["9"]["inputs"]


def test_titles_are_whole(page):
    width, drawn = page.page.evaluate("""() => {
        const node = LiteGraph.createNode('CapHumanLoadIdentityEncoder'), pen = document.createElement('canvas').getContext('2d');
        app.graph.add(node);
        pen.font = '14px Inter, Arial, sans-serif';
        return [node.size[0], pen.measureText(node.title).width];
    }""")
    assert width > drawn + 40                           # the fold mark stands before it


FOLD = """([over, under]) => {
    const [edit, render] = [under, over].map((id) => app.graph.getNodeById(id));
    render.pos = [edit.pos[0] + 100, edit.pos[1] + 60];
    app.canvas.bringToFront(render);
}"""


def test_an_opened_node_lies_on_top(page):
    """Where two nodes lie over each other, the one that was just opened is seen."""
    if page.vue:
        page.look_at(3)
        fold = page.page.locator("[data-node-id='3'] [data-testid=node-collapse-button]")
        fold.click()
        page.page.evaluate(FOLD, ["4", "3"])
        fold.click()
        seen = "(id) => { const { x, y } = document.querySelector(`[data-node-id='${id}']`).getBoundingClientRect();" \
            " return document.elementFromPoint(x + 9, y + 9)?.closest('[data-node-id]')?.dataset.nodeId; }"
        page.wait(lambda: page.page.evaluate(seen, "4") == "3", lambda: page.page.evaluate(seen, "4"))
        return
    page.page.evaluate("() => app.graph.getNodeById('3').collapse()")
    page.page.evaluate(FOLD, ["4", "3"])
    page.page.evaluate("() => app.graph.getNodeById('3').collapse()")
    order = page.page.evaluate("() => ['3', '4'].map((id) => app.graph._nodes.indexOf(app.graph.getNodeById(id)))")
    assert order[0] > order[1]
