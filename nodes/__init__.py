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
        render,
        sequence,
        video,
    )
    from . import saved as saved_files
    from .capface import apply
    parts = (loaders, photo, faces, face_parsing, identity, fit_head, edit_head, change_head, pick_head, saved_files, sequence,
             video, render, apply, doctor)
    return [node for part in parts for node in part.NODES]
