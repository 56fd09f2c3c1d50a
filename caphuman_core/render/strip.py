"""Small numbered pictures in a row."""
from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from ..flow import Head
from ..head.model.head_model import HeadModel
from ..pixels import image_of, photo_of
from .preview import preview

GAP = 4                      # pixels between pictures
PAPER = (32, 33, 36)
INK = (232, 232, 232)
BAND = 20                    # pixels, height of a note
SIDE = 160                   # pixels of one frame's longer side


def strip_of_heads(heads: Head, model: HeadModel, filled: Sequence[bool] = (), step: Callable[[int], object] = lambda done: None,
                   ) -> Tensor:
    """Up to 12 heads of a batch in a row, with their frame numbers -> [1, 3, H, W].

    filled: which heads were made from their neighbours; the strip says so, and where there is no head at all. step(i) is
    called after i of the `strip_frames`.
    """
    numbers, pictures = strip_frames(len(heads)), []
    for shown, frame in enumerate(numbers, start=1):
        pictures.append(preview(heads[frame], model, SIDE)[0])
        step(shown)
    notes = [" filled in" if filled and filled[frame] else "" if heads.present[frame] else " no face" for frame in numbers]
    return strip(pictures, [f"{frame}{note}" for frame, note in zip(numbers, notes, strict=True)])


def strip_frames(count: int, most: int = 12) -> Sequence[int]:
    """Which frames a strip shows: all of a short sequence, else evenly chosen ones with both ends."""
    if count <= most:
        return range(count)
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


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


def noted(picture: Tensor, words: str) -> Tensor:
    """A picture [3, H, W] of 0..1 with words on a dark band along its lower edge, as far as they fit."""
    from PIL import Image, ImageDraw
    sheet = image_of(picture)
    band = Image.new("RGB", (sheet.width, min(BAND, sheet.height)), PAPER)
    ImageDraw.Draw(band).text((6, 4), words, fill=INK)
    sheet.paste(band, (0, sheet.height - band.height))
    return photo_of(sheet)


def told(words: str) -> Tensor:
    """A small picture that says something, [1, 3, H, W]."""
    from PIL import Image, ImageDraw
    sheet = Image.new("RGB", (12 + 7 * len(words), 32), PAPER)
    ImageDraw.Draw(sheet).text((8, 10), words, fill=INK)
    return photo_of(sheet)[None]
