"""Heads to look at: smooth edges, moist eyes, and hair where it is wanted. Never a hint: CapFace knows none of this."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..flow import Head
from ..head import camera, light
from ..head.model.hair import BALD, HairCap, hair_cap, posed_hair, strand_colour
from ..head.model.head_model import HeadModel
from .maps import pose, raster_vertices, render, vertex_normals
from .options import MAX_SIDE
from .raster import Fragments, rasterize

FINER = 2                    # samples per pixel and axis
MOST_SAMPLES = 16_000_000    # of one picture; larger ones are drawn with one sample per pixel
HAIR_COLOUR = (0.17, 0.11, 0.075)
SHARPNESS = 110.0, 14.0      # exponents of a highlight on what is wet, and on skin
WET = 0.5                    # gloss from which a highlight is sharp
SHEEN, SHEEN_POWER = 0.10, 24.0


@dataclass(frozen=True)
class Portrait:
    """Pictures of a batch of heads, channels first."""

    colour: Tensor           # [B, 3, H, W] 0..1, times cover
    cover: Tensor            # [B, H, W] 0..1, share of the pixel that is head

    def over(self, ground: Tensor | float) -> Tensor:
        """The heads before pictures [B or 1, 3, H, W], or before one grey of 0..1."""
        return self.colour + (1 - self.cover[:, None]) * ground


def portrait(head: Head, model: HeadModel, width: int, height: int, framing: camera.Framing = "contain", hair: str = BALD,
             hair_colour: tuple[float, float, float] = HAIR_COLOUR, step: Callable[[int], object] | None = None) -> Portrait:
    """Draw each head of the batch at width x height pixels; heads that are not present leave their picture empty.

    hair: a name of HAIR_STYLES; only the built-in head has any. hair_colour: albedo, 0..1. step(i) is called after i heads.
    """
    finer = FINER if width * height * FINER ** 2 <= MOST_SAMPLES and max(width, height) * FINER <= MAX_SIDE else 1
    pooled = torch.zeros(len(head), 4, height, width)
    for i in range(len(head)):
        if bool(head.present[i]):
            placed = camera.reframe(head[i], width * finer, height * finer, framing)
            pooled[i] = F.avg_pool2d(sampled(placed, model, hair, hair_colour), finer)
        if step is not None:
            step(i + 1)
    return Portrait(pooled[:, :3], pooled[:, 3])


def sampled(head: Head, model: HeadModel, hair: str = BALD, hair_colour: tuple[float, float, float] = HAIR_COLOUR) -> Tensor:
    """One head in its own frame, one sample per pixel -> colour and cover [4, H, W]."""
    cap = hair_cap(model, hair)
    flat, depth = drawn_skin(head, model)
    if cap is not None:
        add_hair(flat, depth, head, cap, posed_hair(cap, model, pose(head, model).verts), hair_colour)
    return flat.unflatten(1, (head.height, head.width))


def drawn_skin(head: Head, model: HeadModel) -> tuple[Tensor, Tensor]:
    """One head without hair, one sample per pixel -> colour and cover [4, H*W], raster depth [H*W], infinite where nothing is."""
    found: list[Fragments] = []

    def kept(*given: Any) -> Fragments:
        found.append(rasterize(*given))
        return found[-1]

    drawn = render(head, model, head.width, head.height, rasterizer=kept)
    seen, codes = found[0], head.light[0]
    flat = torch.cat([drawn.shaded[0], drawn.mask]).flatten(1)
    gloss = (model.gloss[model.faces[seen.face]] * seen.weights).sum(1)
    flat[:3, seen.pixel] += _highlight(drawn.normal[0].flatten(1)[:, seen.pixel].T, gloss, codes).T
    depth = torch.full_like(flat[3], float("inf"))
    depth[seen.pixel] = seen.depth
    return flat.clamp_(0, 1), depth


def add_hair(flat: Tensor, depth: Tensor, head: Head, cap: HairCap, verts: Tensor, colour: tuple[float, float, float]) -> None:
    """Paints the hair that lies before everything else into what `drawn_skin` gave, in place. verts: of the posed hair."""
    seen = rasterize(raster_vertices(head, verts), cap.faces, head.height, head.width)
    front = seen.depth < depth[seen.pixel]
    pixel, face, weights = seen.pixel[front], seen.face[front], seen.weights[front, :, None]
    corners = cap.faces[face]
    normal = (vertex_normals(verts, cap.faces)[0][corners] * weights).sum(1)
    strand = F.normalize((verts[0][cap.along] - verts[0])[corners].mul(weights).sum(1), dim=-1)
    place = _unwrapped(cap.place[corners]).mul(weights).sum(1)
    codes = head.light[0]
    towards, strength = main_light(codes)
    across = (strand @ F.normalize(towards + torch.tensor([0.0, 0.0, 1.0]), dim=0)).square()
    sheen = SHEEN * strength * (1 - across).clamp(min=0).pow(SHEEN_POWER / 2) * normal[:, 2].clamp(min=0)
    painted = strand_colour(cap, colour, place) * light.shade(normal, codes) + sheen[:, None]
    flat[:3, pixel] = painted.clamp(0, 1).T
    flat[3, pixel] = 1
    depth[pixel] = seen.depth[front]


def _unwrapped(place: Tensor) -> Tensor:
    """Places [P, 3, 2] of a triangle's corners, without the jump from 1 to 0 around the head."""
    around = place[..., :1]
    wraps = (around.amax(1, keepdim=True) - around.amin(1, keepdim=True)) > 0.5
    return torch.cat([torch.where(wraps & (around < 0.5), around + 1, around), place[..., 1:]], -1)


def main_light(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Where most of the light [9, 3] comes from, a unit vector [3], and its strength by colour's mean."""
    towards = codes[1:4].mean(1) * light.CONSTANTS[1]
    strength = towards.norm()
    return towards / strength.clamp(min=1e-6), strength


def _highlight(normals: Tensor, gloss: Tensor, codes: Tensor) -> Tensor:
    """Mirrored light (Blinn and Phong) of P points, [P, 1], seen from +z."""
    towards, strength = main_light(codes)
    half = F.normalize(towards + torch.tensor([0.0, 0.0, 1.0]), dim=0)
    cosine = (F.normalize(normals, dim=-1) @ half).clamp(min=0)
    wet, soft = (cosine.pow(power) for power in SHARPNESS)
    return (gloss * strength * torch.where(gloss > WET, 3.2 * wet, soft))[:, None]
