"""Heads in small .safetensors files: codes, camera and placing, with the head model's fingerprint.

No picture is in them, but for heads that wear the skin of a photo (`fit.photo_skin`): these are of layout 2, in which the tensor
skin_detail stands once where all heads share one. Everything else is written as layout 1, which older versions read.
"""
from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from torch import Tensor

from ..check import fail, require
from ..files.shared_file import read_shared, whole_number
from ..files.weights import write_safetensors
from ..flow import LATER, SKIN_SIDE, Head
from .model.head_model import up_to_date

FORMAT, WITH_SKIN = "caphuman-head-codes/1", "caphuman-head-codes/2"
MAX_BYTES = 256 << 20                    # about 160 different skins of photos; codes alone are small
MOST_DETAIL = 4.0                        # of albedo that a photo's skin adds
MAX_PICTURE_SIDE = 1 << 17               # of the photo that a head's place refers to, pixels
LONGEST_CODE = 1000                      # FLAME's has 300 numbers
_NEEDED = frozenset(f.name for f in fields(Head)) - {"model_fingerprint", "width", "height", *LATER}


def save_head(head: Head, path: str | Path) -> None:
    """Write a batch of heads; the file appears whole or not at all."""
    tensors = head.stored()
    if "skin_detail" in tensors:
        tensors["skin_detail"] = head.worn_skins.contiguous()
    size = sum(value.numel() * value.element_size() for value in tensors.values())
    require(size < MAX_BYTES, "head", f"must fit into a file of {MAX_BYTES >> 20} MB", f"{size >> 20} MB",
            "save fewer heads that wear different skins of photos at once")
    info = {"format": WITH_SKIN if "skin_detail" in tensors else FORMAT, "model_fingerprint": head.model_fingerprint,
            "width": str(head.width), "height": str(head.height)}
    write_safetensors(path, tensors, info)


def load_head(path: str | Path) -> Head:
    """Read what `save_head` of this or an older version wrote; refuses other files, more than 256 MB and shapes that do not fit."""
    path = Path(path)
    name = f"head file '{path.name}'"
    tensors, info = read_shared(path, name, (FORMAT, WITH_SKIN), "CapHuman Save Head", MAX_BYTES, _NEEDED, frozenset(LATER))
    width, height = (whole_number(info.get(side), MAX_PICTURE_SIDE) for side in ("width", "height"))
    if width is None or height is None:
        fail(name, f"must say its picture size, up to {MAX_PICTURE_SIDE}", f"{info.get('width', '')[:12]!r} x "
             f"{info.get('height', '')[:12]!r}", "save the head again")
    _check(tensors, name)
    if "skin_detail" in tensors:
        tensors["skin_detail"] = tensors["skin_detail"].half().expand(len(tensors["present"]), -1, -1, -1)
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
    if "skin_detail" in tensors:
        _check_skins(tensors["skin_detail"], batch, name)
    if "neck_share" in tensors and bool((tensors["neck_share"].clamp(0, 1) != tensors["neck_share"]).any()):
        fail(name, "must hold shares of the neck from 0 to 1", "others", "save the head again")


def _check_skins(skins: Tensor, batch: int, name: str) -> None:
    shapes = [(count, 3, SKIN_SIDE, SKIN_SIDE) for count in (1, batch)]
    require(tuple(skins.shape) in shapes, name, f"must hold skins of {SKIN_SIDE} x {SKIN_SIDE}, one for all heads or one for each",
            list(skins.shape), "save the head again")
    require(bool((skins.abs() <= MOST_DETAIL).all()), name, f"must hold skins that add at most {MOST_DETAIL:g} to albedo", "more",
            "save the head again")
