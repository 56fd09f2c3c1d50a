"""Pictures of found faces: numbered boxes and landmarks, readable at any resolution."""
from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..flow import Face, Faces
from ..pixels import image_of, photo_of

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

COLOURS = ((64, 224, 96), (255, 176, 32), (64, 176, 255), (255, 96, 160), (176, 128, 255), (255, 240, 64))
LEFT_OUT = (150, 150, 150)
FIRST_BY = {"largest": "the largest", "left to right": "the leftmost", "top to bottom": "the topmost",
            "most central": "the most central", "confidence": "the surest"}
SHORTEST_SIDE = 96                       # pixels: smaller photos are left as they are, there is no room to draw


def draw_faces(photos: Tensor, faces: Faces, found: Faces | None = None, order: str = "largest") -> Tensor:
    """photos [B, 3, H, W], 0..1, with each face's box, number (its index, from 0) and points drawn -> same shape.

    found: the faces that there were before some were left out, in the same `order`; those are faint, and a line at the foot of
    the photo says which are taken.
    """
    from PIL import ImageDraw
    pictures = []
    for photo, taken, there in zip(photos, faces.per_image, (found or faces).per_image, strict=True):
        picture = image_of(photo)
        draw = ImageDraw.Draw(picture)
        for face in there[len(taken):]:
            draw.rectangle(_box(face), outline=LEFT_OUT, width=max(1, round(min(picture.size) / 256)))
        for index in reversed(range(len(taken))):                # the first face is drawn last, on top
            _draw_face(draw, taken[index], index, min(picture.size))
        if len(there) > len(taken) and min(picture.size) >= SHORTEST_SIDE:
            _write_below(draw, taken_words(len(taken), len(there), order), picture.size)
        pictures.append(photo_of(picture))
    return torch.stack(pictures)


def taken_words(taken: int, there: int, order: str) -> str:
    """The line of a photo of which some faces are left out."""
    which = FIRST_BY.get(order, "the first")
    return f"{there} faces: {which} is taken" if taken == 1 else f"{there} faces: {which} {taken} are taken"


def _write_below(draw: ImageDraw, text: str, size: tuple[int, int]) -> None:
    from PIL import ImageFont
    font = ImageFont.load_default(size=max(11, round(min(size) / 24)))
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    high = bottom + top
    draw.rectangle((0, size[1] - high, size[0], size[1]), fill=(0, 0, 0))
    draw.text(((size[0] - right + left) / 2, size[1] - high), text, fill=COLOURS[0], font=font)


def _box(face: Face) -> tuple[float, float, float, float]:
    left, top, right, bottom = face.box_xyxy.tolist()
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _draw_face(draw: ImageDraw, face: Face, index: int, shorter: int) -> None:
    from PIL import ImageFont
    colour = COLOURS[index % len(COLOURS)]
    line = max(1, round(shorter / 256))
    left, top, right, _ = _box(face)
    draw.rectangle(_box(face), outline=colour, width=line)
    radius = max(0.5, min(line * 1.5, (right - left) / 60))
    for x, y in _points(face):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    if shorter < SHORTEST_SIDE:
        return
    font = ImageFont.load_default(size=max(11, round(shorter / 24)))
    label = f"{index}" if face.confidence == 0 else f"{index}  {face.confidence:.2f}"
    room = draw.textbbox((0, 0), label, font=font)[3] + line
    corner = (max(left, 0) + line, top - room if top > room else max(top, 0) + line)         # above the face if there is room
    draw.rectangle(draw.textbbox(corner, label, font=font), fill=(0, 0, 0))
    draw.text(corner, label, fill=colour, font=font)


def _points(face: Face) -> list[list[float]]:
    """The densest landmarks there are."""
    for points in (face.points478, face.points106, face.points68, face.points5):
        if points is not None:
            return points.tolist()
    return []
