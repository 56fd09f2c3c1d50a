"""ComfyUI nodes: schema, translation and progress only. `all_nodes` is the index."""
from __future__ import annotations


def all_nodes() -> list[type]:
    """Every node class of the pack, in menu order."""
    from . import (
        change_head,
        doctor,
        edit_head,
        face_parsing,
        faces,
        fit_head,
        identity,
        loaders,
        photo,
        pick_head,
        refine_head,
        region,
        render,
        saved,
        sequence,
        video,
    )
    from .capface import apply
    from .sockets import checked
    nodes = [*loaders.NODES, *photo.NODES, *faces.NODES, *face_parsing.NODES, *identity.NODES, *fit_head.NODES, *refine_head.NODES,
             *edit_head.NODES,
             *change_head.NODES, *pick_head.NODES, *saved.NODES, *sequence.NODES, *video.NODES, *region.NODES, *render.NODES,
             *apply.NODES, *doctor.NODES]
    return [checked(node) for node in nodes]
