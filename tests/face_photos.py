"""Photos of the face tests, as tensors [3, H, W] of 0..1."""
from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parent / "golden"


def as_tensor(picture) -> torch.Tensor:
    """A PIL picture or [H, W, 3] uint8 array."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


@cache
def golden_photo(name: str) -> torch.Tensor:
    """tests/golden/face_photo_<name>.png"""
    from PIL import Image
    with Image.open(GOLDEN / f"face_photo_{name}.png") as picture:
        return as_tensor(picture.convert("RGB"))
