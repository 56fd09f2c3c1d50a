"""Nodes that were renamed: the host puts the new id in place of the old one when a file that has the old one is loaded.

An id or a socket, once shipped, changes only together with an entry here. Nothing has been renamed so far.
"""
from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

MOST_OUTPUTS = 8


@dataclass(frozen=True)
class Replacement:
    """An old node id and what stands for it now. The host carries over only the inputs that are listed.

    It looks every listed old input up in API files, so list none that such a file may lack.
    """

    old_id: str
    new_id: str
    inputs: dict[str, str] = field(default_factory=dict)         # new input: old input
    set_values: dict[str, Any] = field(default_factory=dict)     # new input: value
    outputs: dict[int, int] = field(default_factory=dict)        # old output index: new one; none: all as they were
    old_widgets: tuple[str, ...] = ()    # every widget of the old node in order: workflow files keep their values without names


REPLACEMENTS: tuple[Replacement, ...] = ()


async def register(replacements: Sequence[Replacement] = REPLACEMENTS) -> int:
    """Tell the host; returns how many it took: 0 on hosts that have no node replacements yet (before 0.16)."""
    if not replacements:
        return 0
    try:
        from comfy_api.latest import ComfyAPI
        api = ComfyAPI().node_replacement
        made = [node_replace(entry) for entry in replacements]
    except (ImportError, AttributeError):
        log.info("this ComfyUI cannot replace renamed nodes: files made with older versions of CapHuman need a newer ComfyUI")
        return 0
    for one in made:
        await api.register(one)
    return len(made)


def node_replace(entry: Replacement) -> Any:
    """The host's own form of an entry. What it leaves out would be lost in the browser: values of widgets, links of outputs."""
    from comfy_api.latest import io
    outputs = entry.outputs or {index: index for index in range(MOST_OUTPUTS)}
    return io.NodeReplace(
        new_node_id=entry.new_id, old_node_id=entry.old_id, old_widget_ids=list(entry.old_widgets),
        input_mapping=[*({"new_id": new, "old_id": old} for new, old in entry.inputs.items()),
                       *({"new_id": new, "set_value": value} for new, value in entry.set_values.items())],
        output_mapping=[{"old_idx": old, "new_idx": new} for old, new in outputs.items()])
