"""The words that stand on sockets and widgets, made from their names."""
from __future__ import annotations

# Names whose label is more than their words.
WORDS = {"id_dropout_tau": "identity dropout", "capface": "CapFace", "capface_name": "CapFace file",
         "head_model_name": "head model file", "every_nth": "every nth frame", "if_none": "if no face is found",
         "if_no_face": "if no face is found", "clip_vision": "CLIP vision", "clip_view": "CLIP view",
         "head_model": "head model", "vae": "VAE", "clip": "CLIP", "cfg": "CFG"}


def words(name: str) -> str:
    """An input's or output's name as a label: words, not an identifier."""
    return WORDS.get(name, name.replace("_", " "))
