"""A node of a graph in the making, and its outputs, as the frontend's workflow format 0.4 lists them."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Info = dict[str, Any]                                # one node's entry in /object_info


@dataclass(frozen=True)
class Output:
    """One output socket of a node."""

    node: Node
    slot: int
    type: str
    value: Any = None                                # what a widget that is linked to it holds at first


@dataclass(eq=False)
class Node:
    """A node of the graph; where a link is wanted it stands for its first output, and node["name"] for the one so named."""

    id: int
    type: str
    title: str | None
    info: Info
    sockets: list[dict[str, Any]]                    # inputs that are not widgets, in the frontend's order
    widgets: list[dict[str, Any]]                    # inputs that are
    values: list[Any]                                # of the widgets, by position, as the frontend lists them
    outputs: list[dict[str, Any]]
    properties: dict[str, Any]
    pos: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)
    flags: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Output:
        slot = next((slot for slot, output in enumerate(self.outputs) if output["name"] == name), None)
        if slot is None:
            raise KeyError(f"{self.type} has no output {name}, only {', '.join(output['name'] for output in self.outputs)}")
        return Output(self, slot, self.outputs[slot]["type"])

    def folded(self) -> Node:
        """The same, shown as its title alone."""
        self.flags["collapsed"] = True
        return self

    @property
    def height(self) -> int:
        """Pixels it takes below its title."""
        return 0 if self.flags.get("collapsed") else self.size[1]

    def saved(self, order: int) -> dict[str, Any]:
        """As it stands in the file."""
        node = {"id": self.id, "type": self.type, "pos": list(self.pos), "size": list(self.size), "flags": self.flags,
                "order": order,
                "mode": 0, "inputs": self.sockets + self.widgets, "outputs": self.outputs, "properties": self.properties}
        if self.title:
            node["title"] = self.title
        if self.values:
            node["widgets_values"] = self.values
        return {**node, **self.extra}


Column = list[Node]
