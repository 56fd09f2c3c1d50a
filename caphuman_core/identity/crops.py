"""What the two identity networks see of a photo: FaceNet a tight crop of the face, CLIP a square of the photo.

Pictures are 8-bit here, and resized by PIL, as the released code does it.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..face.turned import moved_face
from ..flow import Face
from ..pixels import tensor_of
from .facenet import SIDE
from .options import CLIP_VIEWS

if TYPE_CHECKING:
    from PIL.Image import Image

CLIP_SIDE = 224
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
FACE_VIEW = 2.0                          # side of the view on the face, in face sizes: hair, chin and ears are inside
LONGEST_ASPECT = 32                      # width to height, or height to width, before the ends are cut off
WHITE = (255, 255, 255)


def turned(photo: Tensor, face: Face, turns: int) -> tuple[Tensor, Face]:
    """Photo [3, H, W] and face, turned together by counter-clockwise quarter turns."""
    if turns == 0:
        return photo, face
    height, width = photo.shape[1:]

    def place(points: Tensor) -> Tensor:
        x, y = points[..., 0], points[..., 1]
        return torch.stack([(x, y), (y, width - x), (width - x, height - y), (height - y, x)][turns], -1)
    return torch.rot90(photo, turns, (1, 2)), moved_face(face, place)


def face_crop(picture: Image, face: Face) -> Tensor:
    """MTCNN's crop: the box cut to whole pixels inside the photo, 160x160, no margin -> [3, 160, 160], 0..255."""
    from PIL import Image as Pil
    left, top, right, bottom = face.box_xyxy.tolist()
    low = (min(int(max(left, 0)), picture.width - 1), min(int(max(top, 0)), picture.height - 1))
    high = (max(int(min(right, picture.width)), low[0] + 1), max(int(min(bottom, picture.height)), low[1] + 1))
    return tensor_of(picture.crop((*low, *high)).resize((SIDE, SIDE), Pil.Resampling.BILINEAR))


def facenet_input(crop: Tensor, face: Face) -> Tensor:
    """Crop of 0..255 -> FaceNet's range; the whole-image stand-in stays 0..1, as in the released code."""
    return crop / 255 if face.confidence == 0 else (crop - 127.5) / 128


def clip_crop(picture: Image) -> Image:
    """CLIP's view: shortest edge to 224 (bicubic), the centre square of it."""
    from PIL import Image as Pil
    picture = _not_a_ribbon(picture)
    width, height = picture.size
    size = (CLIP_SIDE, int(CLIP_SIDE * height / width)) if width <= height else (int(CLIP_SIDE * width / height), CLIP_SIDE)
    left, top = (size[0] - CLIP_SIDE) // 2, (size[1] - CLIP_SIDE) // 2
    return picture.resize(size, Pil.Resampling.BICUBIC).crop((left, top, left + CLIP_SIDE, top + CLIP_SIDE))


def _not_a_ribbon(picture: Image) -> Image:
    """The middle of pictures so long that enlarging all of their short side would fill the memory."""
    width, height = picture.size
    most = LONGEST_ASPECT * min(width, height)
    left, top = max(width - most, 0) // 2, max(height - most, 0) // 2
    return picture.crop((left, top, width - left, height - top)) if left or top else picture


def square_on_face(picture: Image, face: Face) -> Image:
    """A square of twice the face's size around its middle; white beyond the photo."""
    from PIL import Image as Pil
    left, top, right, bottom = face.box_xyxy.tolist()
    side = max(round(max(right - left, bottom - top) * FACE_VIEW), 2)
    low = (round((left + right - side) / 2), round((top + bottom - side) / 2))
    square = Pil.new("RGB", (side, side), WHITE)
    inside = (max(low[0], 0), max(low[1], 0), min(low[0] + side, picture.width), min(low[1] + side, picture.height))
    if inside[2] > inside[0] and inside[3] > inside[1]:
        square.paste(picture.crop(inside), (inside[0] - low[0], inside[1] - low[1]))
    return square


def clip_view(picture: Image, face: Face, view: str) -> Tensor:
    """What CLIP sees of a picture: [3, 224, 224], 0..255. view: one of CLIP_VIEWS."""
    if view == CLIP_VIEWS[1] and face.confidence > 0:
        picture = square_on_face(picture, face)
    return tensor_of(clip_crop(picture))


def clip_pixels(view: Tensor) -> Tensor:
    """[..., 3, 224, 224], 0..255 -> CLIP's pixel values."""
    mean, std = (torch.tensor(values)[:, None, None].to(view) for values in (CLIP_MEAN, CLIP_STD))
    return (view / 255 - mean) / std
