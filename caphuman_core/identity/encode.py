"""Photos and faces -> who they are, image-major: one row per face, one empty row per photo without a face.

`look` makes the pictures that the two networks see, `identify` asks both: one way for nodes, benchmark and trainer.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..face.turned import quarter_turns_to_upright
from ..flow import IDENTITY_WIDTH, Face, Faces, Identity
from ..pixels import image_of
from .crops import CLIP_SIDE, clip_pixels, clip_view, face_crop, facenet_input, turned
from .facenet import SIDE
from .options import CLIP_VIEWS

FACENET_AT_ONCE = 16                     # crops: more at once cost memory, not time
CLIP_AT_ONCE = 8                         # views
Step = Callable[[int], object]
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


@dataclass(frozen=True)
class Encoders:
    """The two networks, wherever their weights lie; both give their answers on the CPU, in float32."""

    embed: Callable[[Tensor], Tensor]    # FaceNet: inputs [n, 3, 160, 160] -> [n, 512] of unit length
    tokens: Callable[[Tensor], Tensor]   # CLIP's vision tower: pixel values [n, 3, 224, 224] -> last hidden state [n, 257, 1024]
    fingerprint: str = ""                # of the FaceNet file
    clip_fingerprint: str = ""           # of the tower


def identify(
    photos: Tensor,                      # [B, 3, H, W] 0..1, red first, on the CPU
    faces: Faces,                        # of these photos
    encoders: Encoders,
    view: str = CLIP_VIEWS[0],
    whiten: Whiten | None = None,
    step: Step = lambda done: None,
) -> tuple[Identity, Views]:
    """Who each face is, and what the networks saw. step(i) is called as photos, crops and views are done, i counting all three."""
    views = look(photos, faces, view, whiten, step)
    before = len(photos)
    embedding = embedded(views, encoders.embed, lambda done: step(before + done))
    tokens = seen_by_clip(views, encoders.tokens, lambda done: step(before + len(views) + done))
    return Identity(embedding, tokens, views.present, encoders.fingerprint, encoders.clip_fingerprint, views.arcface), views


@torch.no_grad()
def embedded(views: Views, embed: Callable[[Tensor], Tensor], step: Step = lambda done: None) -> Tensor:
    """FaceNet's vectors [N, 512]; zero where not present."""
    return _in_parts(views.facenet, FACENET_AT_ONCE, embed, step) * views.present[:, None]


@torch.no_grad()
def seen_by_clip(views: Views, tokens: Callable[[Tensor], Tensor], step: Step = lambda done: None) -> Tensor:
    """CLIP's tokens [N, 257, 1024], class token first, no final norm; zero where not present."""
    pixels = clip_pixels((views.clip * 255).round())
    return _in_parts(pixels, CLIP_AT_ONCE, tokens, step) * views.present[:, None, None]


def _in_parts(inputs: Tensor, at_once: int, network: Callable[[Tensor], Tensor], step: Step) -> Tensor:
    rows = []
    for part in inputs.split(at_once):
        rows.append(network(part))
        step(sum(map(len, rows)))
    return torch.cat(rows)


def look(
    photos: Tensor,                      # [B, 3, H, W] 0..1, red first
    faces: Faces,                        # of these photos
    view: str = CLIP_VIEWS[0],
    whiten: Whiten | None = None,
    step: Step | None = None,
) -> Views:
    """The views of every face. step(i) is called after i photos, for progress."""
    rows: list[tuple[Tensor, Tensor, Tensor] | None] = []
    for number, (photo, found) in enumerate(zip(photos, faces.per_image, strict=True), start=1):
        once = None if whiten is None else _once(whiten)
        rows += [_look_at(photo, face, found, view, once) for face in found] or [None]
        if step is not None:
            step(number)
    empty = (torch.zeros(3, SIDE, SIDE), torch.zeros(3, SIDE, SIDE), torch.zeros(3, CLIP_SIDE, CLIP_SIDE))
    crops, facenet, clip = (torch.stack(part) for part in zip(*(row or empty for row in rows), strict=True))
    return Views(crops, facenet, clip, torch.tensor([row is not None for row in rows]), _arcface(faces))


def _once(whiten: Whiten) -> Callable[[Tensor, int], Tensor]:
    """A photo, turned by so many quarter turns, whitened: once for all of its faces that stand so."""
    known: dict[int, Tensor] = {}

    def whitened(straight: Tensor, turns: int) -> Tensor:
        if turns not in known:
            known[turns] = whiten(straight)
        return known[turns]
    return whitened


def _look_at(photo: Tensor, face: Face, all_faces: tuple[Face, ...], view: str, whiten: Callable[[Tensor, int], Tensor] | None
             ) -> tuple[Tensor, Tensor, Tensor]:
    turns = quarter_turns_to_upright(face)
    straight, stood = turned(photo, face, turns)
    crop = face_crop(image_of(straight), stood)
    if whiten is not None:
        others = [turned(photo, other, turns)[1] for other in all_faces if other is not face]
        mine = nearest_to(stood, others, *straight.shape[1:])
        straight = torch.where(mine, whiten(straight, turns), torch.ones_like(straight))
    return crop / 255, facenet_input(crop, stood), clip_view(image_of(straight), stood, view) / 255


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
