"""Pictures as the judges take them: upright, RGB, [3, H, W] of 0..1."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LONGEST = 2048                           # pixels; larger photos are reduced: no judge looks closer


def read_picture(path: Path) -> Tensor | None:
    """The picture in a file; None if there is none that can be read (what is missing is never scored)."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
            picture.thumbnail((LONGEST, LONGEST))
            pixels = np.array(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
