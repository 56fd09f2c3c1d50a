"""The sheet of a head model's texture, texel by texel: where each lies on the skin, and where the point across the face lies."""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ...flow import SKIN_SIDE
from ...render.raster import rasterize
from .head_model import HeadModel
from .landmarks import on_surface

SIDE = SKIN_SIDE
FOREHEAD_METRES = 0.034      # above the brows: hair begins there or later
EDGE_METRES = 0.016          # over which the face's region fades out
FEATURE_METRES = 0.009, 0.016    # from the landmarks of brows, eyes, nose and mouth: within the first all, beyond the second none
CHIN_METRES = 0.004          # below the chin's landmark
FARTHEST_MIRROR = 0.004      # metres: a head may be no more lopsided than that


@dataclass(frozen=True)
class Atlas:
    """The N texels of a SIDE x SIDE sheet that show the face, which a photo shows: no skull, ears and neck, and of the sheet's
    largest piece only: no eyeballs, teeth, tongue and inside of the mouth."""

    place: Tensor            # [N] int64 index into the flattened sheet, row 0 at v = 1
    face: Tensor             # [N] the triangle that the texel's centre lies in
    weights: Tensor          # [N, 3] its barycentric place there
    region: Tensor           # [N] how far it belongs to the face, to 1; above 0
    features: Tensor         # [N] 0..1 how near brows, eyes, nose and mouth are
    above: Tensor            # [N] 0..1 how far it lies above the brows
    mirror: Tensor           # [N, 2] of the point across the face: x, y in -1..1 of the sheet, y down
    mirrored: Tensor         # [N] bool: there is such a point
    other: Tensor            # [SIDE, SIDE] bool: texels of the other pieces


@lru_cache(maxsize=2)
def atlas(model: HeadModel) -> Atlas:
    """Of a model; finding it takes half a second."""
    flat = torch.cat([model.uvs * torch.tensor([2.0, -2.0]) + torch.tensor([-1.0, 1.0]), torch.ones(len(model.uvs), 1)], 1)
    seen = rasterize(flat[None], model.uv_faces, SIDE, SIDE)
    skin = largest_piece(model.uv_faces, len(model.uvs))[model.uv_faces[:, 0]][seen.face]
    other = torch.zeros(SIDE * SIDE, dtype=torch.bool)
    other[seen.pixel[~skin]] = True
    face, weights = seen.face[skin], seen.weights[skin]
    points = (model.template[model.faces[face]] * weights[..., None]).sum(1)
    marks = on_surface(model.template[None], model.faces, model.full_faces, model.full_weights)[0]
    region = _region(points, marks)
    inside = region > 0
    face, weights, points = face[inside], weights[inside], points[inside]
    across, near = _across(model, flat[:, :2])
    corners = model.uv_faces[face]
    return Atlas(place=seen.pixel[skin][inside], face=face, weights=weights, region=region[inside],
                 features=_features(points, marks),
                 above=smooth_step((points[:, 1] - marks[17:27, 1].mean()) / EDGE_METRES),
                 mirror=(across[corners] * weights[..., None]).sum(1), mirrored=near[corners].all(1), other=other.view(SIDE, SIDE))


def largest_piece(faces: Tensor, count: int) -> Tensor:
    """Which of `count` vertices [V] belong to the largest connected piece of a mesh [F, 3]."""
    label = torch.arange(count)
    while True:
        least = label[faces].amin(1, keepdim=True).expand(-1, 3)
        spread = label.scatter_reduce(0, faces.flatten(), least.flatten(), "amin")
        spread = spread[spread]
        if torch.equal(spread, label):
            return label == label.bincount().argmax()
        label = spread


def _region(points: Tensor, marks: Tensor) -> Tensor:
    """How far points [N, 3] of the template belong to the face: before the ears, from chin to hair. marks: [68, 3] landmarks."""
    top, chin, ears = marks[17:27, 1].max() + FOREHEAD_METRES, marks[8, 1] - CHIN_METRES, marks[[0, 16], 2].mean()
    return smooth_step((top - points[:, 1]) / EDGE_METRES) * smooth_step((points[:, 1] - chin) / EDGE_METRES) \
        * smooth_step((points[:, 2] - ears) / EDGE_METRES)


def _features(points: Tensor, marks: Tensor) -> Tensor:
    """How near points [N, 3] of the template lie to the landmarks of brows, eyes, nose and mouth."""
    away = torch.cdist(points, marks[17:]).amin(1)
    return smooth_step((FEATURE_METRES[1] - away) / (FEATURE_METRES[1] - FEATURE_METRES[0]))


def smooth_step(x: Tensor) -> Tensor:
    """0 below 0, 1 above 1, without a kink between."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def _across(model: HeadModel, at: Tensor) -> tuple[Tensor, Tensor]:
    """For each texture vertex the sheet coordinates of the point across the face [UV, 2], and whether it lies near enough to the
    surface [UV]. at: [UV, 2] sheet coordinates of the texture vertices."""
    flip = torch.tensor([-1.0, 1.0, 1.0])
    vertex = torch.zeros(len(model.uvs), dtype=torch.long)
    vertex[model.uv_faces.flatten()] = model.faces.flatten()
    opposite = torch.cdist(model.template * flip, model.template).argmin(1)
    candidates = _faces_around(model.faces, len(model.template))[opposite][vertex]            # [UV, K], -1 for none
    corners, points = model.template[model.faces[candidates]], (model.template[vertex] * flip)[:, None]
    weights = _nearest(points, corners)
    away = ((corners * weights[..., None]).sum(2) - points).norm(dim=-1).masked_fill(candidates < 0, float("inf"))
    distance, best = away.min(1)
    rows = torch.arange(len(vertex))
    found = (at[model.uv_faces[candidates[rows, best]]] * weights[rows, best][..., None]).sum(1)
    return found, distance < FARTHEST_MIRROR


def _faces_around(faces: Tensor, count: int) -> Tensor:
    """The triangles at each of `count` vertices, [V, K], filled up with -1."""
    vertex, order = faces.flatten().sort(stable=True)
    many = torch.bincount(vertex, minlength=count)
    slot = torch.arange(len(vertex)) - (many.cumsum(0) - many)[vertex]
    table = torch.full((count, int(many.max())), -1)
    table[vertex, slot] = order // 3
    return table


def _nearest(points: Tensor, corners: Tensor) -> Tensor:
    """Barycentric weights [..., 3] of triangles [..., 3, 3] at points [..., 3], drawn to the triangle where they lie outside."""
    a, b, c = corners.unbind(-2)
    u, v, w = b - a, c - a, points - a
    uu, uv, vv, uw, vw = ((x * y).sum(-1) for x, y in ((u, u), (u, v), (v, v), (u, w), (v, w)))
    area = (uu * vv - uv * uv).clamp(min=1e-20)
    second, third = (vv * uw - uv * vw) / area, (uu * vw - uv * uw) / area
    weights = torch.stack([1 - second - third, second, third], -1).clamp(min=0)
    return weights / weights.sum(-1, keepdim=True)
