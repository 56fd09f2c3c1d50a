"""The 68 landmarks on the head's surface, and the jaw contour for each degree of yaw."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import anatomy
from .mesh import nearest_on_mesh
from .rig import Rig
from .shape import Shape

MAX_YAW = 39                 # degrees; rows 0..39 are yaw 0..39, rows 40..78 yaw -1..-39
LEVEL_FROM = 11              # contour point
SLAB = 0.0012                # metres, half thickness of the slice a contour point slides in


@dataclass(frozen=True)
class Landmarks:
    """Triangles and barycentric weights, as in the file layout."""

    full_faces: np.ndarray                   # [68]
    full_weights: np.ndarray                 # [68, 3]
    contour_faces: np.ndarray                # [79, 17]
    contour_weights: np.ndarray              # [79, 17, 3]


def build(rig: Rig, shape: Shape, flame: np.ndarray) -> Landmarks:
    """Inner points from the mesh's own loops; the contour next to FLAME's, sliding to the silhouette with yaw."""
    inner = np.searchsorted(rig.cut_face[:rig.face_count], shape.landmark_faces)
    outer = visible_skin(rig)
    jaw_faces, jaw_weights = _fixed_contour(rig, flame, outer)
    jaw_faces[8], jaw_weights[8] = inner[0], shape.landmark_weights[0]
    rows = _sliding(rig, _points(rig, jaw_faces, jaw_weights), outer)
    flat_faces, flat_weights = nearest_on_mesh(rows.reshape(-1, 3), rig.verts, rig.faces[outer])
    contour_faces = outer[flat_faces].reshape(rows.shape[:2])
    contour_weights = flat_weights.reshape(rows.shape)
    contour_faces[:, 8], contour_weights[:, 8] = jaw_faces[8], jaw_weights[8]
    contour_faces[0], contour_weights[0] = jaw_faces, jaw_weights
    return Landmarks(np.concatenate([jaw_faces, inner[1:]]), np.concatenate([jaw_weights, shape.landmark_weights[1:]]),
                     contour_faces, contour_weights)


def _points(rig: Rig, faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (rig.verts[rig.faces[faces]] * weights[..., None]).sum(-2)


def visible_skin(rig: Rig) -> np.ndarray:
    """Triangles of the skin that can be seen from somewhere in front or beside: no mouth, no back of the lids."""
    import torch

    from caphuman_core.render.raster import rasterize
    seen = np.zeros(len(rig.faces), dtype=bool)
    for yaw in range(-90, 91, 15):
        for pitch in (-40, 0, 30):
            y, p = np.radians([yaw, pitch])
            turn = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]]) @ \
                np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
            raster = (rig.verts @ turn.T) * [5, -5, -5] + [0, 0, 10]
            found = rasterize(torch.tensor(raster)[None].float(), torch.tensor(rig.faces), 512, 512)
            seen[found.face.unique().numpy()] = True
    skin = (rig.base_index < anatomy.SKIN_END) & (rig.base_index >= 0)
    return np.flatnonzero(seen & skin[rig.faces].all(1))


def _fixed_contour(rig: Rig, flame: np.ndarray, outer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points 0..16: nearest to FLAME's, the left ones mirrored from the right."""
    target = flame[:17]
    face, weights = nearest_on_mesh(target, rig.verts, rig.faces[outer])
    return outer[face], weights


def _sliding(rig: Rig, fixed: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Contour points [79, 17, 3] by yaw row. Turning to the person's left hides the left cheek's line: its points
    move forward along their own slice to where the surface turns away from the viewer."""
    surface = _samples(rig.verts[rig.faces[outer]])
    rows = np.repeat(fixed[None], 2 * MAX_YAW + 1, 0)
    for k in range(9, 17):
        slice_points, outward = _slice(surface, fixed, k)
        for yaw in range(1, MAX_YAW + 1):
            angle = np.radians(yaw)
            across = slice_points[:, 0] * np.cos(angle) + slice_points[:, 2] * np.sin(angle)
            best = slice_points[(across * outward[0] + slice_points[:, 1] * outward[1]).argmax()]
            rows[yaw, k] = best
            rows[MAX_YAW + yaw, 16 - k] = best * [-1, 1, 1]
    return rows


def _slice(surface: np.ndarray, fixed: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Surface points in front of contour point k in the slice through it, and the contour's outward normal there (x, y)."""
    before, after = fixed[k - 1], fixed[min(k + 1, 16)]
    along = (after - before)[:2]
    # cheeks slide level, so that the points stay evenly spread; the chin's slide along its own curve
    along = np.array([0.0, 1.0]) if k >= LEVEL_FROM else along / np.hypot(*along)
    outward = np.array([along[1], -along[0]])
    offset = surface - fixed[k]
    height = offset[:, :2] @ along
    inward = -(offset[:, :2] @ outward)
    keep = (np.abs(height) < SLAB) & (offset[:, 2] > -1e-4) & (inward < 0.06) & (surface[:, 0] > 0)
    return np.concatenate([fixed[k][None], surface[keep]]), outward


def _samples(triangles: np.ndarray) -> np.ndarray:
    """Points spread over each triangle, [P, 3]."""
    grid = np.array([[i, j] for i in range(5) for j in range(5 - i)]) / 4
    weights = np.concatenate([1 - grid.sum(1, keepdims=True), grid], 1)
    return np.einsum("wk,fkc->fwc", weights, triangles).reshape(-1, 3)
