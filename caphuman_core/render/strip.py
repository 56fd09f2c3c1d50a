"""Small numbered pictures in a row."""
from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..pixels import image_of, photo_of

GAP = 4                      # pixels between pictures
PAPER = (32, 33, 36)
INK = (232, 232, 232)


def strip(pictures: Sequence[Tensor], captions: Sequence[str]) -> Tensor:
    """Pictures [3, H, W], 0..1, of one size side by side, each with its caption in the corner -> [1, 3, H, W']."""
    from PIL import Image, ImageDraw
    height, width = pictures[0].shape[1:]
    sheet = Image.new("RGB", (len(pictures) * (width + GAP) - GAP, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = index * (width + GAP)
        sheet.paste(image_of(picture), (left, 0))
        draw.text((left + 4, 2), caption, fill=INK)
    return photo_of(sheet)[None]


def told(words: str) -> Tensor:
    """A small picture that says something, [1, 3, H, W]."""
    from PIL import Image, ImageDraw
    sheet = Image.new("RGB", (12 + 7 * len(words), 32), PAPER)
    ImageDraw.Draw(sheet).text((8, 10), words, fill=INK)
    return photo_of(sheet)[None]
