"""A subgraph blueprint in the making: a graph with inputs and outputs of its own, shown to the user as one node."""
from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from . import layout
from .graph import NAMESPACE, WIDGETS, Graph
from .labels import words
from .node import Column, Info, Node, Output

INPUT, OUTPUT = -10, -20                             # the frontend's ids of a subgraph's two ends
CATEGORY = "CapHuman"
ALIASES = ["caphuman", "portrait", "face"]
ROW, END_WIDTH = 20, 160


@dataclass(frozen=True)
class Inlet(Output):
    """An input of the blueprint, as its inner nodes see it."""

    name: str = ""


@dataclass
class _End:
    """The input or output node of a subgraph."""

    id: int
    type: str = ""
    outputs: list[dict[str, Any]] = field(default_factory=list)


class Blueprint(Graph):
    """A graph that becomes one node."""

    def __init__(self, object_info: dict[str, Info], title: str, description: str, values: dict[str, Any] | None = None) -> None:
        """values: of inputs, by name, in the place of those the description gives."""
        super().__init__(object_info)
        self.values = values or {}
        self.title, self.description = title, description
        self.id = str(uuid.uuid5(NAMESPACE, f"blueprint {title}"))
        self.page = layout.Page()
        self.source = _End(INPUT)
        self.inlets: list[Inlet] = []
        self.outlets: list[tuple[str, Output]] = []

    def inlet(self, name: str, kind: str, value: Any = None) -> Inlet:
        """Add an input of type `kind`; link it to inner nodes as if it were a node's output."""
        value = self.values.get(name, value)
        self.source.outputs.append({"name": name, "type": kind, "links": None})
        self.inlets.append(Inlet(self.source, len(self.inlets), kind, value, name))      # type: ignore[arg-type]
        return self.inlets[-1]

    def outlet(self, name: str, source: Node | Output) -> None:
        """Add an output."""
        self.outlets.append((name, source if isinstance(source, Output) else source[source.outputs[0]["name"]]))

    def place(self, *columns: Column) -> None:
        """Where the inner nodes stand."""
        self.page.place(columns, None, "", below=False)

    def number_from(self, first: int) -> None:
        """Give the inner nodes other ids, from `first` on."""
        self.first_id = first
        for number, node in enumerate(self.nodes, first):
            node.id = number

    def saved(self) -> dict[str, Any]:
        """As the file holds it: the one node, and the definition of what is in it."""
        node = self.instance(1)
        return {"id": self.id, "revision": 0, "last_node_id": 1, "last_link_id": 0, "nodes": [node.saved(0)], "links": [],
                "groups": [], "config": {}, "extra": {"BlueprintDescription": self.description, "BlueprintSearchAliases": ALIASES},
                "version": 0.4, "definitions": {"subgraphs": [self.definition()]}}

    def instance(self, number: int) -> Node:
        """The one node that a graph shows of it."""
        entries = [self._entry(inlet) for inlet in self.inlets]
        rows = sum("widget" in entry for entry in entries)
        outputs = [{"name": name, "label": words(name), "type": source.type, "links": None} for name, source in self.outlets]
        node = Node(number, self.id, self.title, {}, entries, [], [], outputs, {"cnr_id": "comfyui-caphuman"})
        node.size = layout.size(self.title, len(entries) - rows, len(outputs), rows)
        return node

    def _entry(self, inlet: Inlet) -> dict[str, Any]:
        """An input of the outer node; a widget if what it leads to is one."""
        entry: dict[str, Any] = {"name": inlet.name, "label": words(inlet.name), "type": inlet.type, "link": None}
        return {**entry, "widget": {"name": inlet.name}} if inlet.type in WIDGETS else entry

    def definition(self) -> dict[str, Any]:
        """What is in it, as a file lists it beside its nodes. To be asked for once: it links the inner nodes to its end."""
        inner = [{"id": number, "origin_id": source.node.id, "origin_slot": source.slot, "target_id": target.id,
                  "target_slot": index, "type": source.type} for number, source, target, index in self.links]
        for slot, (_, source) in enumerate(self.outlets):
            inner.append({"id": len(inner) + 1, "origin_id": source.node.id, "origin_slot": source.slot, "target_id": OUTPUT,
                          "target_slot": slot, "type": source.type})
            output = source.node.outputs[source.slot]
            output["links"] = [*(output["links"] or []), len(inner)]
        ends = {"inputs": INPUT, "outputs": OUTPUT}
        left = [-END_WIDTH - 2 * layout.COLUMN_GAP, layout.HEADER, END_WIDTH, ROW * (len(self.inlets) + 2)]
        right = [self.page.right + layout.COLUMN_GAP, layout.HEADER, END_WIDTH, ROW * (len(self.outlets) + 2)]
        state = {"lastGroupId": 0, "lastNodeId": self.first_id + len(self.nodes) - 1, "lastLinkId": len(inner), "lastRerouteId": 0}
        return {"id": self.id, "version": 1, "state": state, "revision": 0, "config": {}, "name": self.title,
                "description": self.description, "category": CATEGORY, "inputNode": {"id": ends["inputs"], "bounding": left},
                "outputNode": {"id": ends["outputs"], "bounding": right}, "inputs": self._ends(inner, "origin", INPUT, left),
                "outputs": self._ends(inner, "target", OUTPUT, right), "widgets": [],
                "nodes": [node.saved(order) for order, node in enumerate(self.nodes)], "groups": [], "links": inner, "extra": {}}

    def _ends(self, links: list[dict[str, Any]], side: str, end: int, box: list[int]) -> list[dict[str, Any]]:
        """The subgraph's inputs (side "origin") or outputs ("target") with the links at each."""
        named = [(inlet.name, inlet.type) for inlet in self.inlets] if end == INPUT else [
            (name, source.type) for name, source in self.outlets]
        return [{"id": str(uuid.uuid5(NAMESPACE, f"{self.title} {side} {name}")), "name": name, "label": words(name), "type": kind,
                 "linkIds": [link["id"] for link in links if link[f"{side}_id"] == end and link[f"{side}_slot"] == slot],
                 "pos": [box[0] + (END_WIDTH - 20 if end == INPUT else 20), box[1] + ROW * (slot + 1)]}
                for slot, (name, kind) in enumerate(named)]


def described(object_info: dict[str, Info], module: ModuleType, **values: Any) -> Blueprint:
    """The blueprint that a module of blueprints/ describes; values: of its inputs, where the module's own do not serve."""
    blueprint = Blueprint(object_info, module.TITLE, (module.__doc__ or "").strip(), values)
    module.build(blueprint)
    return blueprint
