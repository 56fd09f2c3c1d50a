"""Pictures as the judges take them: upright, RGB, [3, H, W] of 0..1."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LONGEST = 2048                           # pixels; larger photos are reduced: no judge looks closer


def read_picture(path: Path) -> Tensor | None:
    """The picture in a file; None if there is none that can be read (what is missing is never scored)."""
    from PIL import Image, ImageOps

    from caphuman_core.pixels import photo_of
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
            picture.thumbnail((LONGEST, LONGEST))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return photo_of(picture)
