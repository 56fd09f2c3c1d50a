"""Named places in a workflow: which node's which input takes the person, the prompt, the head and the seed.

A slot is marked in the workflow by a node's title, "slot:prompt" (or "slot:prompt.text_g" to name the input, several
separated by spaces), or on the command line, `--slot prompt=6.text`. The input may be left out where it is plain. The slot
`image`, optional, marks the node whose picture is kept. A head slot is sent a head file, a picture, or widget values; which,
follows from the input, or is said: `--slot head=12.image:picture`, `--slot head=8` (widget values of node 8). A graph that takes
no person or no head is measured too, as a baseline: `--slot head=none`.
"""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from caphuman_core.check import fail

from .plan import OUTPUT_SLOT, SLOTS, SlotTarget

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
PREFERRED = {"identity": ("image",), "prompt": ("text", "prompt", "positive"), "seed": ("seed", "noise_seed"),
             "head": ("name", "image")}
FORMS = ("file", "picture", "values")
NONE, MAY_LACK = "none", ("identity", "head")


def read_workflow(path: Path) -> dict[str, Any]:
    """A workflow in API form; InputError for anything else."""
    name, fix = f"workflow '{path}'", "open it in ComfyUI and use Workflow > Export (API)"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        fail(name, "must be a readable file", error.strerror or str(error), "check the path")
    except ValueError as error:
        fail(name, "must be JSON", str(error)[:100], fix)
    if not isinstance(content, dict) or not content or "nodes" in content:
        fail(name, "must be in API form", "a workflow as the editor saves it" if content else "an empty file", fix)
    bad = [key for key, node in content.items() if not isinstance(node, dict) or not isinstance(node.get("class_type"), str)
           or not isinstance(node.get("inputs"), dict)]
    if bad:
        fail(name, "must be in API form", f"no node at {', '.join(bad[:5])}", fix)
    return content


def find_slots(workflow: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, tuple[SlotTarget, ...]]:
    """Slot name -> its targets; what is given goes before titles. InputError that lists what was found when one is missing."""
    wanted: dict[str, list[str]] = {}
    for node, content in workflow.items():
        meta = content.get("_meta")
        for word in str(meta.get("title", "") if isinstance(meta, dict) else "").split():
            if word.lower().startswith("slot:"):
                name, _, entry = word[5:].partition(".")
                wanted.setdefault(name.lower(), []).append(f"{node}.{entry}" if entry else node)
    wanted.update({name: [entry.strip() for entry in text.split(",")] for name, text in given.items()})
    unknown = sorted(set(wanted) - {*SLOTS, OUTPUT_SLOT})
    if unknown:
        fail("slots", f"must be among {', '.join((*SLOTS, OUTPUT_SLOT))}", ", ".join(unknown), "correct the title or --slot")
    found = {name: _targets(workflow, name, entries) for name, entries in wanted.items()}
    missing = [name for name in SLOTS if name not in found]
    if missing:
        fail("workflow", f"must have the slots {', '.join(SLOTS)}", f"only {', '.join(sorted(found)) or 'none of them'}",
             f"title a node 'slot:{missing[0]}' or pass --slot {missing[0]}=NODE.INPUT"
             f"{f' ({missing[0]}={NONE} if it takes none)' if missing[0] in MAY_LACK else ''}; its nodes are {_listing(workflow)}")
    return found


def _listing(workflow: Mapping[str, Any]) -> str:
    names = [f"{key} {node['class_type']}" for key, node in workflow.items()]
    return ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")


def _targets(workflow: Mapping[str, Any], slot: str, entries: Sequence[str]) -> tuple[SlotTarget, ...]:
    if slot in MAY_LACK and list(entries) == [NONE] and NONE not in workflow:
        return ()
    return tuple(_target(workflow, slot, entry) for entry in entries)


def _target(workflow: Mapping[str, Any], slot: str, entry: str) -> SlotTarget:
    """The place that "12.image:picture", "12.image" or "12" means for a slot."""
    node, _, name = entry.partition(".")
    name, _, form = name.partition(":")
    if not name and node not in workflow:               # a node within a subgraph has a colon in its number: "57:8"
        node, _, form = node.rpartition(":")
    if node not in workflow:
        fail(f"slot {slot}", "must be on a node of the workflow", f"node '{node or entry}'", f"choose one of {_listing(workflow)}")
    inputs = workflow[node]["inputs"]
    if slot == OUTPUT_SLOT:
        return SlotTarget(node, "", "")
    if form and (slot != "head" or form not in FORMS):
        fail(f"slot {slot}", f"must have no form, or for heads one of {', '.join(FORMS)}", repr(form), "correct --slot")
    if form == "values" and "yaw_degrees" not in inputs:
        fail("slot head", "must be on a node with the widgets of Edit Head to take values",
             f"node {node} ({workflow[node]['class_type']})", "choose another node, or the form file or picture")
    if slot == "head" and not name and "yaw_degrees" in inputs and form in ("", "values"):
        return SlotTarget(node, "", "values")
    name = name or _guess(workflow[node], slot, node)
    if name not in inputs or isinstance(inputs[name], list):
        state = "connected to another node" if name in inputs else f"not among {', '.join(inputs)}"
        fail(f"slot {slot}", "must be on a widget of the node", f"'{node}.{name}', which is {state}", "use --slot NAME=NODE.INPUT")
    return SlotTarget(node, name, (form or _form(workflow[node], name)) if slot == "head" else "")


def _guess(node: Mapping[str, Any], slot: str, number: str) -> str:
    """The input that a slot means on a node, where that is plain."""
    kind = int if slot == "seed" else str
    fitting = [name for name, value in node["inputs"].items() if isinstance(value, kind) and not isinstance(value, bool)]
    for name in PREFERRED[slot]:
        if name in fitting:
            return name
    if len(fitting) != 1:
        fail(f"slot {slot}", "must name an input",
             f"node {number} ({node['class_type']}) with {', '.join(fitting) or 'none that fits'}",
             f"title it 'slot:{slot}.INPUT' or pass --slot {slot}={number}.INPUT")
    return fitting[0]


def _form(node: Mapping[str, Any], name: str) -> str:
    value = str(node["inputs"][name]).lower()
    is_picture = name == "image" or value.endswith(PICTURE_SUFFIXES) or "LoadImage" in node["class_type"]
    return "picture" if is_picture and not value.endswith(".safetensors") else "file"
