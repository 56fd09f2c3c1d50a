"""A workflow in the frontend's format as a prompt in the API's.

What the frontend's "Export (API)" does, for the plain graphs that this pack ships: no subgraphs, no virtual nodes
but notes and reroutes.
"""
from __future__ import annotations

from typing import Any

NOTES = ("Note", "MarkdownNote")
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR", "COMFY_DYNAMICCOMBO_V3")
VIEWERS = {"SaveGLB": {"image": ""}}     # the frontend gives it a 3D view, and exports that as an input
MUTED, BYPASSED = 2, 4
AFTER_GENERATE = ("fixed", "increment", "decrement", "randomize")


def to_api(graph: dict[str, Any], object_info: dict[str, Any]) -> dict[str, Any]:
    """A workflow in the frontend's format as the prompt it queues. ValueError where it needs what is not supported."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    links = {link[0]: (link[1], link[2]) for link in graph["links"]}
    prompt = {}
    for node in sorted(graph["nodes"], key=lambda entry: entry["id"]):
        if node["type"] in (*NOTES, "Reroute") or node.get("mode") == MUTED:
            continue
        if node.get("mode") == BYPASSED:
            raise ValueError(f"node {node['id']} ({node['type']}) is bypassed, which a shipped workflow must not need")
        if node["type"] not in object_info:
            raise ValueError(f"node {node['id']} has the type {node['type']}, which the server does not know")
        info = object_info[node["type"]]
        inputs = {**VIEWERS.get(node["type"], {}), **widget_values(node, info), **linked_inputs(node, nodes, links)}
        title = node.get("title") or info.get("display_name") or node["type"]
        prompt[str(node["id"])] = {"inputs": inputs, "class_type": node["type"], "_meta": {"title": title}}
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


def linked_inputs(node: dict[str, Any], nodes: dict[int, Any], links: dict[int, tuple[int, int]]) -> dict[str, list]:
    """Inputs that come from other nodes, followed through reroutes."""
    found = {}
    for entry in node.get("inputs", []):
        if entry.get("link") is None:
            continue
        source, slot = links[entry["link"]]
        while nodes[source]["type"] == "Reroute":
            source, slot = links[nodes[source]["inputs"][0]["link"]]
        found[entry["name"]] = [str(source), slot]
    return found
