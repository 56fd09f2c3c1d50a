"""A workflow in the frontend's format as a prompt in the API's.

What the frontend's "Export (API)" does, for the graphs that this pack ships: subgraphs are unfolded; no virtual nodes but notes
and reroutes.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

NOTES = ("Note", "MarkdownNote")
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR", "COMFY_DYNAMICCOMBO_V3")
VIEWERS = {"SaveGLB": {"image": ""}}     # the frontend gives it a 3D view, and exports that as an input
MUTED, BYPASSED = 2, 4
AFTER_GENERATE = ("fixed", "increment", "decrement", "randomize")
INPUT, OUTPUT = -10, -20                 # ids of a subgraph's two ends
Source = tuple[str, int]                 # id of a node in the prompt, output


@dataclass(frozen=True)
class _Level:
    """A graph, or a subgraph as one of its nodes stands for it."""

    nodes: dict[int, dict[str, Any]]
    links: dict[int, tuple[int, int]]    # id -> node and slot it comes from
    definitions: dict[str, dict[str, Any]]
    prefix: str = ""                     # of the ids of its nodes in a prompt, "5:"
    definition: dict[str, Any] = field(default_factory=dict)
    around: tuple[_Level, dict[str, Any]] | None = None      # the graph outside, and the node there

    def inside(self, node: dict[str, Any]) -> _Level:
        """The subgraph that a node stands for."""
        definition = self.definitions[node["type"]]
        links = {link["id"]: (link["origin_id"], link["origin_slot"]) for link in definition["links"]}
        return _Level({inner["id"]: inner for inner in definition["nodes"]}, links, self.definitions,
                      f"{self.prefix}{node['id']}:", definition, (self, node))

    def each(self) -> Iterator[tuple[_Level, dict[str, Any]]]:
        """Every node with the level it lies on, those of subgraphs in the place of the one that stands for them."""
        for _, node in sorted(self.nodes.items()):
            if node["type"] in self.definitions:
                yield from self.inside(node).each()
            else:
                yield self, node

    def source(self, link: int) -> Source | None:
        """Where a link comes from in the end; None if that is a widget of the node around."""
        origin, slot = self.links[link]
        if origin == INPUT:
            if self.around is None:
                raise ValueError(f"link {link} comes from the input of a subgraph, but its graph is none")
            outer, node = self.around
            entry = node["inputs"][slot]
            return None if entry.get("link") is None else outer.source(entry["link"])
        node = self.nodes[origin]
        if node["type"] == "Reroute":
            return self.source(node["inputs"][0]["link"])
        if node["type"] in self.definitions:
            return self.inside(node)._outlet(slot)
        return f"{self.prefix}{origin}", slot

    def _outlet(self, slot: int) -> Source | None:
        link = next(link for link in self.definition["links"] if (link["target_id"], link["target_slot"]) == (OUTPUT, slot))
        return self.source(link["id"])


def to_api(graph: dict[str, Any], object_info: dict[str, Any]) -> dict[str, Any]:
    """A workflow in the frontend's format as the prompt it queues. ValueError where it needs what is not supported."""
    definitions = {part["id"]: part for part in graph.get("definitions", {}).get("subgraphs", [])}
    links = {link[0]: (link[1], link[2]) for link in graph["links"]}
    top = _Level({node["id"]: node for node in graph["nodes"]}, links, definitions)
    prompt = {}
    for level, node in top.each():
        if node["type"] in (*NOTES, "Reroute") or node.get("mode") == MUTED:
            continue
        if node.get("mode") == BYPASSED:
            raise ValueError(f"node {node['id']} ({node['type']}) is bypassed, which a shipped workflow must not need")
        if node["type"] not in object_info:
            raise ValueError(f"node {node['id']} has the type {node['type']}, which the server does not know")
        info = object_info[node["type"]]
        inputs = {**VIEWERS.get(node["type"], {}), **widget_values(node, info), **linked_inputs(node, level)}
        title = node.get("title") or info.get("display_name") or node["type"]
        prompt[f"{level.prefix}{node['id']}"] = {"inputs": inputs, "class_type": node["type"], "_meta": {"title": title}}
    return prompt


def widget_values(node: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """Values of the node's widgets by input name; the file lists them by position."""
    left = list(node.get("widgets_values") or [])
    values = {}
    for kind in ("required", "optional"):
        for name in info["input_order"].get(kind, []):
            spec = info["input"][kind][name]
            options = spec[1] if len(spec) > 1 else {}
            if not (isinstance(spec[0], list) or spec[0] in WIDGETS) or options.get("forceInput"):
                continue
            if not left:
                raise ValueError(f"node {node['id']} ({node['type']}) has no value for {name}: save the workflow again")
            values[name] = left.pop(0)
            if options.get("control_after_generate") and left and left[0] in AFTER_GENERATE:
                left.pop(0)
            if any(options.get(f"{what}_upload") for what in ("image", "video", "audio")) and left and left[0] == "image":
                left.pop(0)                     # the upload button counts as a widget
    if left:
        raise ValueError(f"node {node['id']} ({node['type']}) has {len(left)} values more than widgets: save the workflow again")
    return values


def linked_inputs(node: dict[str, Any], level: _Level) -> dict[str, list]:
    """Inputs that come from other nodes, followed through reroutes and the ends of subgraphs."""
    entries = [entry for entry in node.get("inputs", []) if entry.get("link") is not None]
    sources = {entry["name"]: level.source(entry["link"]) for entry in entries}
    return {name: list(source) for name, source in sources.items() if source is not None}
