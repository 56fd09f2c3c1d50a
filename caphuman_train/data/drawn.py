"""Shards of drawn heads, for tests and rehearsals: no photo and no model file is needed.

Pictures are the built-in head of random people in random poses, expressions and lights on plain ground, drawn by the pack's own
renderer. In place of the VAE, CLIP and FaceNet stand small fixed maps that keep what those keep: where which colour is, what the
face looks like, who it is.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from caphuman_bench.folder import write_whole
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.relight import relight
from caphuman_core.head.model.head_model import HeadModel, load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.identity.crops import CLIP_SIDE
from caphuman_core.pixels import image_of
from caphuman_core.render.maps import render

from .manifest import Manifest, save_manifest
from .record import Record
from .target import face_target
from .webp import lossless, to_look_at
from .writer import shard_bytes

if TYPE_CHECKING:
    from caphuman_core.flow import Head

Latents = Callable[[Tensor], tuple[Tensor, Tensor]]      # pictures [B, 3, H, W] 0..1 -> mean and deviation [B, 4, H/8, W/8]
PATCH = 14                               # pixels of a CLIP token's side
EXPRESSIONS = ("smile", "surprise", "anger", "mouth_open")


@dataclass(frozen=True)
class Drawing:
    """What is drawn."""

    count: int = 16
    people: int = 4                      # photo i is of person i % people
    size: int = 64                       # pixels of width and height, a multiple of 8
    seed: int = 0
    per_shard: int = 8
    flips: bool = True
    tokens: bool = True


def narrow_latents(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Colours and lightness of each 8 x 8 square, about -1..1, in place of a VAE's latents; all alike uncertain."""
    small = F.avg_pool2d(pictures, 8) * 2 - 1
    mean = torch.cat([small, small.mean(1, keepdim=True)], 1)
    return mean, torch.full_like(mean, 0.05)


def narrow_tokens(faces: Tensor) -> Tensor:
    """faces [B, 3, 224, 224] 0..1 -> [B, 257, 1024]: the patches through a fixed random map, their mean first."""
    patches = F.unfold(faces * 2 - 1, PATCH, stride=PATCH).transpose(1, 2)                   # [B, 256, 588]
    tokens = patches @ _noise("patches", patches.shape[-1], 1024) / patches.shape[-1] ** 0.5
    return torch.cat([tokens.mean(1, keepdim=True), tokens], 1)


def narrow_embedding(head: Head) -> Tensor:
    """[512] of unit length, from who it is alone."""
    code = torch.cat([head.identity[0], head.texture[0]])
    return F.normalize(code @ _noise("who", len(code), 512), dim=0)


def drawn_head(model: HeadModel, drawing: Drawing, number: int) -> Head:
    """The head of one picture: its person by `number` % people, all else by `number`."""
    person = number % drawing.people
    who, pose = _generator(drawing.seed, "person", person), _generator(drawing.seed, "pose", number)
    head = new_head(model, drawing.size, drawing.size)
    head = head.replace(identity=torch.randn(head.identity.shape, generator=who) * 0.7,
                        texture=torch.randn(head.texture.shape, generator=who) * 0.7)
    turn = torch.rand(8, generator=pose) * 2 - 1
    chosen = EXPRESSIONS[int(torch.randint(len(EXPRESSIONS), (1,), generator=pose))]
    edit = Edit(yaw_degrees=float(turn[0]) * 45, pitch_degrees=float(turn[1]) * 20, roll_degrees=float(turn[2]) * 15,
                x=float(turn[3]) * 0.08, y=float(turn[4]) * 0.08, scale=1.0 + float(turn[5]) * 0.15,
                expressions={chosen: float(turn[6]) * 0.5 + 0.5})
    head = edit_head(head, model, edit)
    return relight(head, float(turn[7]) * 70, float(turn[1]) * 30 + 20, 0.6, 0.6, (1.0, 1.0, 1.0))


def drawn_record(model: HeadModel, drawing: Drawing, number: int, latents: Latents = narrow_latents) -> Record:
    """One record as prepare would make it."""
    head = drawn_head(model, drawing, number)
    drawn = render(head, model, drawing.size, drawing.size)
    ground = torch.rand(3, 1, 1, generator=_generator(drawing.seed, "ground", number))
    picture = torch.where(drawn.mask[0] > 0, drawn.shaded[0].clamp(0, 1), ground)
    white = torch.where(drawn.mask[0] > 0, picture, torch.ones_like(picture))
    face = F.interpolate(white[None], (CLIP_SIDE, CLIP_SIDE), mode="bilinear", align_corners=False)
    mean, std = latents(picture[None])
    flipped = latents(picture[None].flip(-1)) if drawing.flips else None
    person = f"person{number % drawing.people:03}"
    return Record(
        number=number, key=f"{person}/{number:06}", person=person, text=_caption(head), licence="CC0-1.0", source="drawn",
        picture_hash=f"{number:016x}", head=head, latent_mean=mean[0], latent_std=std[0],
        face_target=face_target(drawn.mask[0]), global_embedding=narrow_embedding(head),
        local_tokens=narrow_tokens(face)[0] if drawing.tokens else None,
        flipped_mean=None if flipped is None else flipped[0][0], flipped_std=None if flipped is None else flipped[1][0],
        face=lossless(image_of(face[0])), photo=to_look_at(image_of(picture)),
        measures={"face_pixels": float(drawn.mask[0].any(1).sum()), "sharpness": 100.0})


def write_drawn_shards(folder: Path, drawing: Drawing | None = None, latents: Latents = narrow_latents) -> Manifest:
    """A folder of shards as prepare leaves it. latents: another encoder of pictures, of the same shapes."""
    drawing, model, folder = drawing or Drawing(), load_builtin(), Path(folder)
    shards = []
    for first in range(0, drawing.count, drawing.per_shard):
        numbers = range(first, min(first + drawing.per_shard, drawing.count))
        shard, content = shard_bytes(f"shard-{len(shards):06}.tar",
                                     (drawn_record(model, drawing, number, latents) for number in numbers))
        write_whole(folder / shard.file, content)
        shards.append(shard)
    settings = {"width": drawing.size, "height": drawing.size, "flips": drawing.flips, "tokens": drawing.tokens,
                "head_model": model.name, "head_model_fingerprint": model.fingerprint, "parser": "rendered head",
                "vae": "narrow", "clip": "narrow" if drawing.tokens else "", "facenet": "narrow"}
    manifest = Manifest(tuple(shards), settings, {"samples": drawing.count, "people": min(drawing.people, drawing.count),
                                                  "licences": {"CC0-1.0": drawing.count}, "refused": {}})
    save_manifest(manifest, folder)
    return manifest


def _caption(head: Head) -> str:
    from caphuman_core.head.rotations import matrix_from_axis_angle, yaw_pitch_roll_from_matrix
    yaw = float(yaw_pitch_roll_from_matrix(matrix_from_axis_angle(head.rotation_radians))[0])
    side = "to the left" if yaw < -15 else "to the right" if yaw > 15 else "at the viewer"
    return f"a drawn head that looks {side}"


def _noise(name: str, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=_generator(0, name, 0))


def _generator(seed: int, name: str, number: int) -> torch.Generator:
    from .loader import number_of
    return torch.Generator().manual_seed(number_of(f"{name} {seed} {number}") >> 1)
