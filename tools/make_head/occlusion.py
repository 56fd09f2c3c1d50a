"""How much of the sky each vertex sees: the soft shadow of hollows, for the texture."""
from __future__ import annotations

import numpy as np

from . import atlas
from .atlas import Atlas
from .rig import Rig

SIDE = 320                   # pixels of a view
VIEWS = 90
SPAN = 0.36                  # metres that a view shows
NEAR = 0.0016                # metres: what lies so much behind the foremost surface still counts as seen
BELOW = 0.8                  # of the lid that closes the neck
INSIDE = (atlas.MOUTH, atlas.TONGUE, atlas.TEETH, atlas.GUM)


def build(rig: Rig, chart: Atlas) -> np.ndarray:
    """[V] 0..1, symmetric; the mouth's inside as it is when the jaw is open."""
    closed, opened = _seen(rig, rig.verts), _seen(rig, rig.verts + 0.8 * rig.actions["jawOpen"])
    inside = np.zeros(len(rig.verts), dtype=bool)
    inside[rig.faces[np.isin(chart.island, INSIDE)]] = True
    inside[rig.faces[np.isin(chart.island, (atlas.HEAD, atlas.NECK))]] = False
    sky = np.where(inside, opened, closed)
    lid = np.unique(rig.faces[rig.face_of == -3])
    sky[lid] = BELOW                                                                       # nothing but the page lies below it
    rim = np.abs(rig.verts[:, None] - rig.verts[lid]).sum(2).min(1) < 1e-3 if len(lid) else np.zeros(len(sky), dtype=bool)
    sky[rim & (sky != BELOW)] = 1.0
    return (sky + sky[rig.pair]) / 2


def _seen(rig: Rig, verts: np.ndarray) -> np.ndarray:
    """Share of the directions a vertex faces, by their cosine, from which nothing hides it."""
    import torch

    from caphuman_core.render.maps import vertex_normals
    from caphuman_core.render.raster import rasterize
    normals = vertex_normals(torch.tensor(verts)[None].float(), torch.tensor(rig.faces))[0].numpy()
    middle = (verts.min(0) + verts.max(0)) / 2
    faces = torch.tensor(rig.faces)
    seen, asked = np.full(len(verts), 1e-3), np.full(len(verts), 1e-3)
    for towards in _directions():
        axes = _axes(towards)
        places = (verts - middle) @ axes.T * (2 / SPAN)                                     # x, y in the view, z towards the sky
        raster = np.concatenate([places[:, :2], 10 - places[:, 2:]], 1)
        found = rasterize(torch.tensor(raster)[None].float(), faces, SIDE, SIDE)
        depth = np.full(SIDE * SIDE, np.inf)
        depth[found.pixel.numpy()] = found.depth.numpy()
        column, row = (((places[:, k] + 1) / 2 * SIDE).astype(int).clip(0, SIDE - 1) for k in (0, 1))
        facing = (normals @ towards).clip(0, None)
        slope = NEAR * (1 + 1.5 * np.sqrt(1 - facing.clip(0, 1) ** 2)) * 2 / SPAN
        asked += facing
        seen += facing * (raster[:, 2] < depth[row * SIDE + column] + slope)
    return (seen / asked).clip(0, 1)


def _directions() -> np.ndarray:
    """[N, 3] spread evenly over the sphere (a spiral), more sky than ground."""
    step = np.arange(VIEWS) + 0.5
    height = 1 - 2 * step / VIEWS
    turn = step * np.pi * (3 - np.sqrt(5))
    flat = np.sqrt(1 - height ** 2)
    every = np.stack([flat * np.cos(turn), height, flat * np.sin(turn)], 1)
    return every[every[:, 1] > -0.6]


def _axes(towards: np.ndarray) -> np.ndarray:
    """Right-handed rows: two across, the third towards the sky."""
    across = np.cross([0.1, 1.0, 0.2], towards)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(towards, across), towards])
