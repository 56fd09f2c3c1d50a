"""ComfyUI nodes: schema, translation and progress only. `all_nodes` is the index."""
from __future__ import annotations


def all_nodes() -> list[type]:
    """Every node class of the pack, in menu order."""
    from . import capface, doctor, edit_head, faces, head, head_mix, identity, loaders, render, sequence, video
    return [*loaders.NODES, *faces.NODES, *identity.NODES, *head.NODES, *edit_head.NODES, *head_mix.NODES,
            *sequence.NODES, *video.NODES, *render.NODES, *capface.NODES,
            *doctor.NODES]
