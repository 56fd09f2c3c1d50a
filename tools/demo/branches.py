"""Prompts that do the same thing several times: part of a graph again, with some of its nodes changed."""
from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from .client import Prompt

End = tuple[str, int]                        # node, number of its output


def branch(prompt: Prompt, changed: Prompt, ends: Mapping[str, End], mark: str) -> Prompt:
    """The changed nodes and what hangs on them as far as the ends need it, renamed with `mark`; and a preview of each end, a
    picture, under its name, `mark` before it. Links to whatever is not in the branch stay what they are."""
    source = {**prompt, **changed}
    wanted = set().union(*(before(source, node) for node, _ in ends.values()))
    own = set(changed)
    while more := {node for node in wanted - own if own & inputs_of(source[node])}:
        own |= more
    made = {mark + node: _renamed(source[node], own, mark) for node in source if node in own & wanted}
    return made | {mark + name: {"class_type": "PreviewImage", "inputs": {"images": [mark + node if node in own else node, slot]},
                                 "_meta": {"title": f"{mark}{name}"}} for name, (node, slot) in ends.items()}


def _renamed(entry: dict[str, Any], own: set[str], mark: str) -> dict[str, Any]:
    entry = copy.deepcopy(entry)
    for value in entry["inputs"].values():
        if isinstance(value, list) and value[0] in own:
            value[0] = mark + value[0]
    return entry


def inputs_of(entry: dict[str, Any]) -> set[str]:
    """The nodes that a node takes something from."""
    return {value[0] for value in entry["inputs"].values() if isinstance(value, list)}


def before(prompt: Prompt, node: str) -> set[str]:
    """The node and everything it depends on."""
    found: set[str] = set()
    new = {node}
    while new:
        found |= new
        new = {source for one in new for source in inputs_of(prompt[one])} - found
    return found


def needed_by(prompt: Prompt, nodes: set[str]) -> Prompt:
    """These nodes and everything they depend on, in the prompt's order."""
    kept = set().union(*(before(prompt, node) for node in nodes))
    return {node: entry for node, entry in prompt.items() if node in kept}
