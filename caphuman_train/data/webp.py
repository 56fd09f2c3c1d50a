"""Pictures inside records."""
from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

QUALITY = 88                             # of pictures that only people look at


def lossless(picture: Image) -> bytes:
    """The very pixels."""
    return _encoded(picture, lossless=True, quality=50, method=4)


def to_look_at(picture: Image) -> bytes:
    """A small file."""
    return _encoded(picture, quality=QUALITY, method=4)


def decoded(content: bytes) -> Tensor:
    """[3, H, W] float32, 0..255, red first."""
    from PIL import Image

    from caphuman_core.pixels import tensor_of
    with Image.open(io.BytesIO(content)) as picture:
        return tensor_of(picture.convert("RGB"))


def _encoded(picture: Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", **options)
    return buffer.getvalue()
