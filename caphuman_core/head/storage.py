"""Heads in small .safetensors files: codes, camera and placing, no picture, with the head model's fingerprint."""
from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from torch import Tensor

from ..check import fail, require
from ..flow import Head
from ..weights import read_metadata, read_state_dict, write_safetensors

FORMAT = "caphuman-head-codes/1"
MAX_BYTES = 64 << 20
_TENSORS = tuple(f.name for f in fields(Head) if f.name not in ("model_fingerprint", "width", "height"))


def save_head(head: Head, path: str | Path) -> None:
    """Write a batch of heads; the file appears whole or not at all."""
    info = {"format": FORMAT, "model_fingerprint": head.model_fingerprint, "width": str(head.width), "height": str(head.height)}
    write_safetensors(path, {name: getattr(head, name) for name in _TENSORS}, info)


def load_head(path: str | Path) -> Head:
    """Read what `save_head` wrote; refuses other files, sizes over 64 MB and shapes that do not fit together."""
    path = Path(path)
    name = f"head file '{path.name}'"
    require(path.is_file() and path.stat().st_size <= MAX_BYTES, name, "must be a file of at most 64 MB",
            f"{path.stat().st_size} bytes" if path.is_file() else "no such file", "choose a file made by CapHuman Save Head")
    tensors, info = read_state_dict(path, "head"), read_metadata(path, "head")
    if info.get("format") != FORMAT or set(tensors) != set(_TENSORS):
        fail(name, f"must be of format {FORMAT}", info.get("format", "another kind of file"),
             "choose a file made by CapHuman Save Head")
    try:
        width, height = int(info["width"]), int(info["height"])
    except (KeyError, ValueError):
        fail(name, "must say its picture size", str({k: info.get(k) for k in ("width", "height")}), "save the head again")
    _check(tensors, width, height, name)
    return Head(model_fingerprint=info.get("model_fingerprint", ""), width=width, height=height, **tensors)


def _check(tensors: dict[str, Tensor], width: int, height: int, name: str) -> None:
    batch = tensors["present"].shape[0] if tensors["present"].dim() == 1 else -1
    shapes = {"rotation_radians": (batch, 3), "jaw_radians": (batch, 3), "light": (batch, 9, 3), "camera": (batch, 3),
              "crop_to_picture": (batch, 3, 3), "present": (batch,)}
    wrong = [key for key, shape in shapes.items() if tuple(tensors[key].shape) != shape]
    wrong += [key for key in ("identity", "expression", "texture") if tensors[key].dim() != 2 or len(tensors[key]) != batch]
    wrong += [key for key in _TENSORS if not bool(tensors[key].isfinite().all())]
    if wrong or batch < 1 or min(width, height) < 1:
        fail(name, "must hold heads whose parts fit together", f"a mismatch in {', '.join(wrong) or 'sizes'}",
             "save the head again")
