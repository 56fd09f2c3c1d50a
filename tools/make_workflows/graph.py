"""A graph in the making: links, groups and notes around nodes, written down as the frontend's workflow format 0.4."""
from __future__ import annotations

import uuid
from typing import Any

from . import layout
from .node import Column, Info, Node, Output
from .public_files import downloads

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR", "COMFY_DYNAMICCOMBO_V3")
GROWING = "COMFY_AUTOGROW_V3"                        # as many sockets as are linked, named images.image0, images.image1, ...
NOTE = "MarkdownNote"
NOTE_COLOURS = {"color": "#432", "bgcolor": "#653"}
INNER_IDS = 100                                      # the n-th subgraph's nodes count from 100 n + 1: ids must differ in a file
NAMESPACE = uuid.UUID("5e0c0a4a-4a1e-4a55-9d6c-0c5a0c9f2c11")


class Graph:
    """Nodes and links, without places."""

    def __init__(self, object_info: dict[str, Info]) -> None:
        self.object_info = object_info
        self.first_id = 1
        self.nodes: list[Node] = []
        self.links: list[tuple[int, Output, Node, int]] = []      # id, from, to, index of the input

    def node(self, kind: str, title: str | None = None, size: tuple[int, int] | None = None, **inputs: Any) -> Node:
        """Add a node. inputs: a Node or Output to link, else a widget's value; what is left out keeps its default.

        A socket whose name has a dot is written with __: images__image0. size: pixels, where the kind's own does not serve.
        ValueError for an input that the node does not have, or for a choice of files that is left open.
        """
        if kind not in self.object_info:
            raise ValueError(f"{kind} is no node of this server: is its pack loaded?")
        given = {name.replace("__", "."): value for name, value in inputs.items()}
        info = self.object_info[kind]
        links = {name: value for name, value in given.items() if isinstance(value, Node | Output)}
        values = {name: value for name, value in given.items() if name not in links}
        values |= {name: link.value for name, link in links.items() if isinstance(link, Output) and link.value is not None}
        sockets, widgets, listed = _inputs(kind, info, links, values)
        outputs = [{"name": name, "type": made if isinstance(made, str) else "COMBO", "links": None}
                   for name, made in zip(info["output_name"], info["output"], strict=True)]
        node = Node(self.first_id + len(self.nodes), kind, title, info, sockets, widgets, listed, outputs,
                    _properties(kind, widgets, listed))
        node.size = size or layout.size(kind, len(sockets), len(outputs), len(listed))
        self.nodes.append(node)
        self._link(node, links)
        return node

    def note(self, title: str, text: str, width: int = layout.NOTE_WIDTH) -> Node:
        """Add a note in Markdown; its height follows from its text."""
        text = text.strip("\n")
        node = Node(len(self.nodes) + 1, NOTE, title, {}, [], [], [text], [], {}, extra=dict(NOTE_COLOURS))
        node.size = (width, layout.note_height(text, width))
        self.nodes.append(node)
        return node

    def _link(self, node: Node, links: dict[str, Node | Output]) -> None:
        entries = node.sockets + node.widgets
        for name, source in links.items():
            source = source if isinstance(source, Output) else Output(source, 0, source.outputs[0]["type"])
            index = next(index for index, entry in enumerate(entries) if entry["name"] == name)
            number = len(self.links) + 1
            entries[index]["link"] = number
            output = source.node.outputs[source.slot]
            output["links"] = [*(output["links"] or []), number]
            self.links.append((number, source, node, index))


def _inputs(kind: str, info: Info, links: dict[str, Any], values: dict[str, Any]) -> tuple[list, list, list]:
    """(sockets, widgets, values of the widgets) of a new node; ValueError if something is left over or missing."""
    sockets: list[dict[str, Any]] = []
    widgets: list[dict[str, Any]] = []
    listed: list[Any] = []
    known: set[str] = set()
    for group in ("required", "optional"):
        for name in info["input_order"].get(group, []):
            declared, options = _spec(info["input"][group][name])
            if declared == GROWING:
                grown = [linked for linked in links if linked.startswith(f"{name}.")]
                sockets += [{"name": linked, "label": linked.split(".")[1], "type": _grown_type(options), "shape": 7, "link": None}
                            for linked in grown]
                known.update(grown)
                continue
            known.add(name)
            entry = _entry(name, declared, options, group == "optional")
            if declared in WIDGETS and not options.get("forceInput"):
                widgets.append({**entry, "widget": {"name": name}})
                listed += _listed(kind, name, declared, options, values)
            else:
                sockets.append(entry)
    wrong = [name for name in (*links, *values) if name not in known or (name in values and name not in _names(widgets))]
    if wrong:
        raise ValueError(f"{kind} has no input {wrong[0]}, only {', '.join(sorted(known))}")
    return sockets, widgets, listed


def _spec(spec: list[Any]) -> tuple[str, dict[str, Any]]:
    options = spec[1] if len(spec) > 1 else {}
    return ("COMBO", {"options": spec[0], **options}) if isinstance(spec[0], list) else (spec[0], options)


def _grown_type(options: dict[str, Any]) -> str:
    (((declared, *_),),) = (tuple(part.values()) for part in options["template"]["input"].values() if part)
    return declared


def _entry(name: str, declared: str, options: dict[str, Any], optional: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "type": declared, "link": None}
    if options.get("display_name"):
        entry["label"] = options["display_name"]
    if optional:
        entry["shape"] = 7                           # drawn as an open circle
    return entry


def _names(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["name"] for entry in entries]


def _listed(kind: str, name: str, declared: str, options: dict[str, Any], values: dict[str, Any]) -> list[Any]:
    """What the frontend lists for one widget: its value, and that of the button or choice that it puts beside it."""
    if name in values:
        value = values[name]
    elif "default" in options:
        value = options["default"]
    elif declared in ("COMBO", "COMFY_DYNAMICCOMBO_V3"):
        raise ValueError(f"{kind} needs a value for {name}: which files a server has must not decide what a workflow says")
    else:
        value = {"STRING": "", "BOOLEAN": False}.get(declared, 0)
    after = options.get("control_after_generate")
    upload = any(options.get(what) for what in ("image_upload", "video_upload", "audio_upload"))
    return [value, *(["fixed"] if after else []), *(["image"] if upload else [])]


def _properties(kind: str, widgets: list[dict[str, Any]], listed: list[Any]) -> dict[str, Any]:
    pack = "comfyui-caphuman" if kind.startswith("CapHuman") else "comfy-core"
    properties = {"Node name for S&R": kind, "cnr_id": pack}
    models = [entry for value in listed if isinstance(value, str) for entry in downloads(value)] if widgets else []
    return {**properties, "models": models} if models else properties


class Workflow(Graph):
    """A graph on a page: groups of columns of nodes, set from left to right."""

    def __init__(self, object_info: dict[str, Info], name: str) -> None:
        super().__init__(object_info)
        self.id = str(uuid.uuid5(NAMESPACE, name))
        self.name = name
        self.definitions: list[Any] = []                 # Blueprints of which the graph holds a node
        self.app: dict[str, Any] = {}                    # what App Mode shows, if the graph opens as an app
        self.page = layout.Page()

    def subgraph(self, blueprint: Any, title: str | None = None, **inputs: Node | Output) -> Node:
        """Add a Blueprint as one node; inputs: what is linked to it."""
        node = blueprint.instance(len(self.nodes) + 1)
        node.title = title or node.title
        self.definitions.append(blueprint)
        blueprint.number_from(INNER_IDS * len(self.definitions) + 1)
        self.nodes.append(node)
        self._link(node, dict(inputs))
        return node

    def group(self, title: str, colour: str, *columns: Column, below: bool = False) -> None:
        """Frame these columns of nodes, right of what is there, or below the last group."""
        self.page.place(columns, title, colour, below)

    def loose(self, *columns: Column, below: bool = False) -> None:
        """Place these columns of nodes (notes) without a frame."""
        self.page.place(columns, None, "", below)

    def saved(self) -> dict[str, Any]:
        """As the file holds it. ValueError if a node has no place."""
        lost = [node.type for node in self.nodes if node not in self.page.placed]
        if lost:
            raise ValueError(f"{lost[0]} stands in no group: every node needs a place on the page")
        links = [[number, source.node.id, source.slot, target.id, index, source.type]
                 for number, source, target, index in self.links]
        parts = [blueprint.definition() for blueprint in self.definitions]
        extra = {"ds": layout.view(self.page), "caphuman": self.name, **self.app}
        return {"id": self.id, "revision": 0, "last_node_id": len(self.nodes), "last_link_id": len(links),
                "nodes": [node.saved(order) for order, node in enumerate(self.nodes)], "links": links,
                "groups": self.page.groups, "config": {}, "extra": extra, "version": 0.4,
                **({"definitions": {"subgraphs": parts}} if parts else {})}
