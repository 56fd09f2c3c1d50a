"""Faces -> the pictures the identity networks see, image-major: one row per face, one empty row per photo without a face."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..face.turned import quarter_turns_to_upright
from ..flow import IDENTITY_WIDTH, Face, Faces
from .crops import CLIP_SIDE, clip_view, face_crop, facenet_input, picture_of, turned
from .facenet import SIDE
from .options import CLIP_VIEWS

Whiten = Callable[[Tensor], Tensor]      # photo [3, H, W] 0..1 -> the same with everything but the face white


@dataclass(frozen=True)
class Views:
    """What the networks see, one row per identity."""

    crops: Tensor                        # [N, 3, 160, 160] 0..1, the face crop; black where not present
    facenet: Tensor                      # [N, 3, 160, 160] FaceNet's input
    clip: Tensor                         # [N, 3, 224, 224] 0..1, CLIP's view; black where not present
    present: Tensor                      # [N] bool
    arcface: Tensor | None               # [N, 512], if every face has one

    def __len__(self) -> int:
        return len(self.present)


def look(
    photos: Tensor,                      # [B, 3, H, W] 0..1, red first
    faces: Faces,                        # of these photos
    view: str = CLIP_VIEWS[0],
    whiten: Whiten | None = None,
    step: Callable[[int], object] | None = None,
) -> Views:
    """The views of every face. step(i) is called after i photos, for progress."""
    rows: list[tuple[Tensor, Tensor, Tensor] | None] = []
    for number, (photo, found) in enumerate(zip(photos, faces.per_image, strict=True), start=1):
        rows += [_look_at(photo, face, found, view, whiten) for face in found] or [None]
        if step is not None:
            step(number)
    empty = (torch.zeros(3, SIDE, SIDE), torch.zeros(3, SIDE, SIDE), torch.zeros(3, CLIP_SIDE, CLIP_SIDE))
    crops, facenet, clip = (torch.stack(part) for part in zip(*(row or empty for row in rows), strict=True))
    return Views(crops, facenet, clip, torch.tensor([row is not None for row in rows]), _arcface(faces))


def _look_at(photo: Tensor, face: Face, all_faces: tuple[Face, ...], view: str, whiten: Whiten | None
             ) -> tuple[Tensor, Tensor, Tensor]:
    turns = quarter_turns_to_upright(face)
    straight, stood = turned(photo, face, turns)
    crop = face_crop(picture_of(straight), stood)
    if whiten is not None:
        others = [turned(photo, other, turns)[1] for other in all_faces if other is not face]
        mine = nearest_to(stood, others, *straight.shape[1:])
        straight = torch.where(mine, whiten(straight), torch.ones_like(straight))
    return crop / 255, facenet_input(crop, stood), clip_view(picture_of(straight), stood, view) / 255


def nearest_to(face: Face, others: list[Face], height: int, width: int) -> Tensor:
    """[H, W] bool: pixels nearer to this face than to any other, each distance in that face's own size."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")

    def distance(one: Face) -> Tensor:
        left, top, right, bottom = one.box_xyxy.tolist()
        size = max(right - left, bottom - top, 1.0)
        return ((x - (left + right) / 2) ** 2 + (y - (top + bottom) / 2) ** 2) / size ** 2
    mine = torch.ones(height, width, dtype=torch.bool)
    for other in others:
        mine &= distance(face) <= distance(other)
    return mine


def _arcface(faces: Faces) -> Tensor | None:
    rows = [face for found in faces.per_image for face in (found or (None,))]
    vectors = [torch.zeros(IDENTITY_WIDTH) if face is None else face.arcface for face in rows]
    known = [vector for vector in vectors if vector is not None]
    return torch.stack(known) if len(known) == len(rows) and any(rows) else None
