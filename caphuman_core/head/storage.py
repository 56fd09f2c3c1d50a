"""Heads in small .safetensors files: codes, camera and placing, no picture, with the head model's fingerprint."""
from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from torch import Tensor

from ..check import fail
from ..files.shared_file import read_shared, whole_number
from ..files.weights import write_safetensors
from ..flow import LATER, Head
from .model.head_model import up_to_date

FORMAT = "caphuman-head-codes/1"
MAX_BYTES = 64 << 20
MAX_PICTURE_SIDE = 1 << 17               # of the photo that a head's place refers to, pixels
LONGEST_CODE = 1000                      # FLAME's has 300 numbers
_NEEDED = frozenset(f.name for f in fields(Head)) - {"model_fingerprint", "width", "height", *LATER}


def save_head(head: Head, path: str | Path) -> None:
    """Write a batch of heads; the file appears whole or not at all."""
    info = {"format": FORMAT, "model_fingerprint": head.model_fingerprint, "width": str(head.width), "height": str(head.height)}
    write_safetensors(path, head.stored(), info)


def load_head(path: str | Path) -> Head:
    """Read what `save_head` of this or an older version wrote; refuses other files, sizes over 64 MB and shapes that do not fit."""
    path = Path(path)
    name = f"head file '{path.name}'"
    tensors, info = read_shared(path, name, FORMAT, "CapHuman Save Head", MAX_BYTES, _NEEDED, frozenset(LATER))
    width, height = (whole_number(info.get(side), MAX_PICTURE_SIDE) for side in ("width", "height"))
    if width is None or height is None:
        fail(name, f"must say its picture size, up to {MAX_PICTURE_SIDE}", f"{info.get('width', '')[:12]!r} x "
             f"{info.get('height', '')[:12]!r}", "save the head again")
    _check(tensors, name)
    mark, tensors["texture"] = up_to_date(info.get("model_fingerprint", "")[:64], tensors["texture"])
    return Head(model_fingerprint=mark, width=width, height=height, **tensors)


def _check(tensors: dict[str, Tensor], name: str) -> None:
    batch = tensors["present"].shape[0] if tensors["present"].dim() == 1 else -1
    shapes = {"rotation_radians": (batch, 3), "jaw_radians": (batch, 3), "light": (batch, 9, 3), "camera": (batch, 3),
              "crop_to_picture": (batch, 3, 3), "present": (batch,), "gaze_radians": (batch, 2, 2), "neck_share": (batch,)}
    wrong = [key for key, shape in shapes.items() if key in tensors and tuple(tensors[key].shape) != shape]
    wrong += [key for key in ("identity", "expression", "texture")
              if tensors[key].dim() != 2 or len(tensors[key]) != batch or tensors[key].shape[1] > LONGEST_CODE]
    if wrong or batch < 1:
        fail(name, "must hold heads whose parts fit together", f"a mismatch in {', '.join(wrong) or 'their number'}",
             "save the head again")
    if "neck_share" in tensors and bool((tensors["neck_share"].clamp(0, 1) != tensors["neck_share"]).any()):
        fail(name, "must hold shares of the neck from 0 to 1", "others", "save the head again")
