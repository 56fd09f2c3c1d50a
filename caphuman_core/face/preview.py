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
SHORTEST_SIDE = 96                       # pixels: smaller photos are left as they are, there is no room to draw


def draw_faces(photos: Tensor, faces: Faces) -> Tensor:
    """photos [B, 3, H, W], 0..1, with each face's box, number (its index, from 0) and points drawn -> same shape."""
    from PIL import ImageDraw
    pictures = []
    for photo, found in zip(photos, faces.per_image, strict=True):
        picture = image_of(photo)
        draw = ImageDraw.Draw(picture)
        for index in reversed(range(len(found))):                # the first face is drawn last, on top
            _draw_face(draw, found[index], index, min(picture.size))
        pictures.append(photo_of(picture))
    return torch.stack(pictures)


def _draw_face(draw: ImageDraw, face: Face, index: int, shorter: int) -> None:
    from PIL import ImageFont
    colour = COLOURS[index % len(COLOURS)]
    line = max(1, round(shorter / 256))
    left, top, right, bottom = face.box_xyxy.tolist()
    draw.rectangle((min(left, right), min(top, bottom), max(left, right), max(top, bottom)), outline=colour, width=line)
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
