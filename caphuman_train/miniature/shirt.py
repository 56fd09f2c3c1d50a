"""A shirt for the built-in head's bust: rings around neck, shoulders and chest, to look at (made here, CC0)."""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from caphuman_core.flow import Head
from caphuman_core.head import light
from caphuman_core.head.model.head_model import HeadModel
from caphuman_core.render.maps import pose, raster_vertices, vertex_normals
from caphuman_core.render.raster import rasterize

AROUND = 48                                      # vertices of a ring
BUST_BELOW = -0.15                               # metres: the head model's lowest part, which the shirt moves with
# height, half the width, half the depth, middle from front to back (all metres at rest), how far the front hangs below the back
RINGS = ((-0.112, 0.066, 0.060, -0.060, 0.022), (-0.126, 0.086, 0.068, -0.068, 0.022), (-0.138, 0.118, 0.078, -0.074, 0.020),
         (-0.152, 0.158, 0.088, -0.078, 0.018), (-0.175, 0.196, 0.098, -0.080, 0.014), (-0.215, 0.220, 0.108, -0.080, 0.010),
         (-0.300, 0.228, 0.118, -0.080, 0.004), (-0.600, 0.220, 0.125, -0.080, 0.000))


@dataclass(frozen=True)
class Shirt:
    """Its surface at rest, around the head model's template."""

    verts: Tensor                                # [N, 3] metres
    faces: Tensor                                # [F, 3], seen from outside


@lru_cache(maxsize=1)
def shirt() -> Shirt:
    """The shell; quads between neighbouring rings, as two triangles each."""
    angle = torch.arange(AROUND) * (2 * torch.pi / AROUND)
    rings = []
    for height, wide, deep, middle, hang in RINGS:
        y = height - hang * angle.cos()
        rings.append(torch.stack([wide * angle.sin(), y, middle + deep * angle.cos()], 1))
    here = torch.arange(AROUND)
    after = (here + 1) % AROUND
    faces = [torch.cat([torch.stack([above + here, below + here, above + after], 1),
                        torch.stack([above + after, below + here, below + after], 1)])
             for above, below in ((ring * AROUND, (ring + 1) * AROUND) for ring in range(len(RINGS) - 1))]
    return Shirt(torch.cat(rings), torch.cat(faces))


def worn(head: Head, model: HeadModel) -> Tensor:
    """Where the shirt is on the posed bust of one head: [1, N, 3] metres, world. It moves with the bust as a whole."""
    bust = model.template[:, 1] < BUST_BELOW
    rest, here = model.template[bust], pose(head, model).verts[0, bust]
    turn = _turn(rest - rest.mean(0), here - here.mean(0))
    return ((shirt().verts - rest.mean(0)) @ turn.T + here.mean(0))[None]


def _turn(rest: Tensor, here: Tensor) -> Tensor:
    """The rotation [3, 3] that takes points [P, 3] nearest to others (Kabsch)."""
    u, _, vt = torch.linalg.svd(rest.T @ here)
    sign = torch.ones(3)
    sign[2] = torch.det(vt.T @ u.T).sign()
    return vt.T @ (sign[:, None] * u.T)


def add_shirt(flat: Tensor, depth: Tensor, head: Head, model: HeadModel, colour: tuple[float, float, float]) -> None:
    """Paints the shirt of one head where it lies before everything else, in place.

    flat [4, H*W], depth [H*W]: what `portrait.drawn_skin` gave for this head, in its own frame.
    """
    verts, faces = worn(head, model), shirt().faces
    seen = rasterize(raster_vertices(head, verts), faces, head.height, head.width)
    front = seen.depth < depth[seen.pixel]
    pixel, corners = seen.pixel[front], faces[seen.face[front]]
    normal = (vertex_normals(verts, faces)[0][corners] * seen.weights[front, :, None]).sum(1)
    flat[:3, pixel] = (torch.tensor(colour) * light.shade(normal, head.light[0])).clamp(0, 1).T
    flat[3, pixel] = 1
    depth[pixel] = seen.depth[front]
