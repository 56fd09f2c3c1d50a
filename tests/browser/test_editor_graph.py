"""The editor sees through what stands between it and the nodes that make its head: Set, Get, reroutes, subgraphs, primitives."""
from __future__ import annotations

from typing import Any

import pytest
from editor import GRAPH, SIDE, open_editor

# What other packs register: nodes of the browser alone. Get nodes answer as KJNodes' do, and complain aloud when asked in vain.
REGISTER = """() => {
    window.complaints = 0;
    const virtual = (inputs, outputs, widget) => class extends LiteGraph.LGraphNode {
        constructor(title) {
            super(title);
            this.isVirtualNode = true;
            for (let i = 0; i < inputs; i++) this.addInput('*', '*');
            for (let i = 0; i < outputs; i++) this.addOutput('*', '*');
            if (widget) this.addWidget('text', 'Constant', '', () => {});
        }
    };
    const sets = virtual(1, 1, true), gets = class extends virtual(0, 1, true) {
        getInputLink(slot) {
            const setter = this.graph.nodes.find((n) => n.type === 'SetNode' && n.widgets[0].value === this.widgets[0].value);
            if (!setter) window.complaints++;
            return setter ? this.graph.getLink?.(setter.inputs[slot].link) ?? this.graph.links.get(setter.inputs[slot].link) : null;
        }
    };
    const constant = class extends LiteGraph.LGraphNode {
        constructor(title) { super(title); this.addOutput('value', 'INT'); this.addWidget('number', 'value', 0, () => {}); }
    };
    const teleport = class extends virtual(0, 1, false) {
        resolveVirtualOutput() { return { node: app.graph.getNodeById(2), slot: 0 }; }
    };
    for (const [name, type] of Object.entries({ 'SetNode': sets, 'GetNode': gets, 'easy setNode': class extends sets {},
        'easy getNode': class extends gets {}, 'Reroute (rgthree)': virtual(1, 1, false), 'Riddle': virtual(0, 1, false),
        'INTConstant': constant, 'Teleport': teleport })) LiteGraph.registerNodeType(name, type);
}"""
ADD = """([type, value, graph]) => {
    const node = LiteGraph.createNode(type);
    (graph ?? app.graph).add(node);
    if (node.widgets?.length) node.widgets[0].value = value;
    return node.id;
}"""
LINK = "([from, slot, to, name]) => { const target = app.graph.getNodeById(to);" \
       "app.graph.getNodeById(from).connect(slot, target, target.inputs.findIndex((input) => input.name === name)); }"
ASK = """async (holder) => {
    const { pictureSize, chosenModel } = await import('/extensions/comfyui-caphuman/editor/incoming_head.js');
    const graph = holder === null ? app.graph : app.graph.getNodeById(holder).subgraph;
    const node = graph.nodes.find((each) => each.comfyClass === 'CapHumanEditHead');
    return { size: pictureSize(node), model: chosenModel(node).name };
}"""
FOUND = {"size": [SIDE, SIDE], "model": "built-in"}


class Graph:
    """The page's graph, as a hand changes it."""

    def __init__(self, page: Any) -> None:
        self.page = page.page
        self.page.evaluate(REGISTER)

    def add(self, kind: str, value: Any = None) -> int:
        return self.page.evaluate(ADD, [kind, value])

    def link(self, source: int, target: int, name: str, slot: int = 0) -> None:
        self.page.evaluate(LINK, [source, slot, target, name])

    def seen(self, holder: int | None = None) -> dict[str, Any]:
        """What the editor takes for its head's size and model."""
        return self.page.evaluate(ASK, holder)


@pytest.fixture
def graph(open_page):
    page = open_page(False)
    open_editor(page)
    made = Graph(page)
    assert made.seen() == FOUND
    return made


def hide(graph: Graph, setter: str, getter: str, name: str = "h") -> None:
    """Head and model reach the editor through Set and Get nodes only."""
    for node, slot in ((2, "head"), (1, "head_model")):
        put, take = graph.add(setter, f"{name} {slot}"), graph.add(getter, f"{name} {slot}")
        graph.link(node, put, "*")
        graph.link(take, 3, slot)


@pytest.mark.parametrize(("setter", "getter"), [("SetNode", "GetNode"), ("easy setNode", "easy getNode")])
def test_through_set_and_get(graph, setter, getter):
    hide(graph, setter, getter)
    assert graph.seen() == FOUND


def test_a_get_node_without_its_set_node_tells_nothing_and_nobody_complains(graph):
    for slot in ("head", "head_model"):
        graph.link(graph.add("GetNode", "nowhere"), 3, slot)
    assert graph.seen() == {"size": [512, 512], "model": None}
    assert graph.page.evaluate("() => window.complaints") == 0


def test_set_and_get_in_a_circle_end(graph):
    put, take = graph.add("SetNode", "round"), graph.add("GetNode", "round")
    graph.link(take, put, "*")
    graph.link(take, 3, "head")
    assert graph.seen()["size"] == [512, 512]


def test_through_reroutes_of_other_packs_and_bypassed_nodes(graph):
    first, second = graph.add("Reroute (rgthree)"), graph.add("Reroute (rgthree)")
    graph.link(2, first, "*")
    graph.link(first, second, "*")
    graph.link(second, 3, "head")
    assert graph.seen() == FOUND


def test_through_nodes_that_tell_where_they_lead(graph):
    graph.link(graph.add("Teleport"), 3, "head")
    assert graph.seen() == FOUND


def test_an_unknown_virtual_node_ends_in_a_new_head_of_the_usual_size(graph):
    for slot in ("head", "head_model"):
        graph.link(graph.add("Riddle"), 3, slot)
    assert graph.seen() == {"size": [512, 512], "model": None}


def test_primitives_and_constants_before_the_first_run(graph):
    for name, kind, value in (("width", "PrimitiveInt", 320), ("height", "INTConstant", 192)):
        graph.link(graph.add(kind, value), 2, name)
    assert graph.seen()["size"] == [320, 192]
    hide(graph, "SetNode", "GetNode")
    assert graph.seen() == {"size": [320, 192], "model": "built-in"}


def test_a_size_that_is_reckoned_is_not_half_known(graph):
    """Width known, height the output of a node that reckons: not a head of a wrong shape."""
    graph.link(graph.add("PrimitiveInt", 320), 2, "width")
    graph.link(graph.add("Riddle"), 2, "height")
    assert graph.seen()["size"] == [512, 512]


def test_a_get_node_within_a_subgraph_finds_the_set_node_outside(graph):
    hide(graph, "SetNode", "GetNode")
    holder = graph.page.evaluate("""() => {
        const getters = app.graph.nodes.filter((node) => node.type === 'GetNode');
        return app.graph.convertToSubgraph(new Set([app.graph.getNodeById(3), ...getters])).node.id;
    }""")
    assert graph.seen(holder) == FOUND


def test_through_the_border_of_a_subgraph_that_makes_the_head(graph):
    graph.page.evaluate("() => app.graph.convertToSubgraph(new Set([app.graph.getNodeById(2)]))")
    assert graph.seen() == FOUND
    assert GRAPH["2"]["inputs"]["width"] == SIDE
