"""Small mesh geometry in numpy: nearest surface points, mirror pairs, cutting along a height field."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


def nearest_on_mesh(points: np.ndarray, verts: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest surface point of each of [P, 3]: face index [P] and barycentric weights [P, 3]."""
    a, b, c = (verts[faces[:, k]] for k in range(3))
    index, weights = [], []
    for point in points:
        bary = _closest(point, a, b, c)
        gap = ((bary[:, :1] * a + bary[:, 1:2] * b + bary[:, 2:] * c - point) ** 2).sum(1)
        best = int(gap.argmin())
        index.append(best)
        weights.append(bary[best])
    return np.array(index), np.array(weights)


def _closest(p: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Barycentric weights [F, 3] of the point of each triangle nearest to p: inside, or the best of the three edges."""
    inside = _plane(p, a, b, c)
    best = np.full(len(a), np.inf)
    result = inside.copy()
    outside = (inside < 0).any(1)
    for i, (s, e) in enumerate(((a, b), (b, c), (c, a))):
        t = np.clip(((p - s) * (e - s)).sum(1) / np.maximum(((e - s) ** 2).sum(1), 1e-18), 0, 1)
        gap = ((s + t[:, None] * (e - s) - p) ** 2).sum(1)
        take = outside & (gap < best)
        best[take] = gap[take]
        edge = np.zeros((len(a), 3))
        edge[:, i], edge[:, (i + 1) % 3] = 1 - t, t
        result[take] = edge[take]
    return result


def _plane(p: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    u, v, w = b - a, c - a, p - a
    uu, uv, vv, wu, wv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1), (w * u).sum(1), (w * v).sum(1)
    det = np.maximum(uu * vv - uv * uv, 1e-24)
    second, third = (wu * vv - wv * uv) / det, (wv * uu - wu * uv) / det
    return np.stack([1 - second - third, second, third], 1)


def mirror_pairs(verts: np.ndarray, tolerance: float = 2e-4) -> np.ndarray:
    """For each vertex [V] the one at its mirror place (x negated); raises ValueError where there is none."""
    from scipy.spatial import KDTree
    gap, pair = (np.asarray(found) for found in KDTree(verts).query(verts * [-1, 1, 1]))
    if gap.max() > tolerance or not np.array_equal(pair[pair], np.arange(len(verts))):
        raise ValueError(f"no mirror twin within {tolerance} m: worst {gap.max():.5f} m")
    return pair


@dataclass(frozen=True)
class Cut:
    """Result of `cut_below`: every new row is a mix of two old rows, so any per-vertex data can follow."""

    low: np.ndarray                          # [V'] old vertex
    high: np.ndarray                         # [V'] old vertex
    share: np.ndarray                        # [V'] of `high`
    faces: np.ndarray                        # [F', 3]
    face_of: np.ndarray                      # [F'] the old triangle

    def apply(self, data: np.ndarray) -> np.ndarray:
        """Per-vertex data [V, ...] -> [V', ...]."""
        share = self.share.reshape(-1, *[1] * (data.ndim - 1))
        return data[self.low] * (1 - share) + data[self.high] * share


def cut_below(verts: np.ndarray, faces: np.ndarray, height: Callable[[np.ndarray], np.ndarray]) -> Cut:
    """Keep what has height(verts) >= 0; triangles across the border are divided exactly on it."""
    level = height(verts)
    rows: dict[tuple[int, int], int] = {}
    triangles, owner = [], []

    def row(i: int, j: int) -> int:
        return rows.setdefault((min(i, j), max(i, j)), len(rows))

    for number, face in enumerate(faces.tolist()):
        ring = []
        for i, j in zip(face, face[1:] + face[:1], strict=True):
            if level[i] >= 0:
                ring.append(row(i, i))
            if (level[i] >= 0) != (level[j] >= 0):
                ring.append(row(i, j))
        triangles += [[ring[0], ring[k], ring[k + 1]] for k in range(1, len(ring) - 1)]
        owner += [number] * max(len(ring) - 2, 0)
    low, high = np.array(list(rows)).T
    share = np.where(low == high, 0.0, level[low] / np.where(low == high, 1.0, level[low] - level[high]))
    return Cut(low, high, share, np.array(triangles), np.array(owner))


def eye_ball(radius: float, segments: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An eyeball about the origin looking along +z, open at the back: verts, faces, polar angle of each vertex in degrees.

    The cornea bulges slightly, so that the eye catches light as an eye does. Symmetric in x.
    """
    polar = np.array([4.0, 9, 14, 18, 22, 26, 31, 38, 47, 58, 72, 90, 112])
    bulge = 0.05 * np.clip(1 - (polar / 30) ** 2, 0, None) ** 2
    turn = (np.arange(segments) + 0.5) / segments * 2 * np.pi
    ring = np.stack([np.cos(turn), np.sin(turn)], 1)
    angle = np.radians(polar)[:, None]
    size = radius * (1 + bulge)[:, None]
    flat = (np.sin(angle) * size)[..., None] * ring
    depth = np.broadcast_to(np.cos(angle) * size, flat.shape[:2])
    verts = np.concatenate([[[0, 0, radius * 1.05]], np.concatenate([flat, depth[..., None]], 2).reshape(-1, 3)])
    faces = [[0, 1 + k, 1 + (k + 1) % segments] for k in range(segments)]
    for ringno in range(len(polar) - 1):
        near, far = 1 + ringno * segments, 1 + (ringno + 1) * segments
        for k in range(segments):
            after = (k + 1) % segments
            faces += [[near + k, far + k, far + after], [near + k, far + after, near + after]]
    return verts, np.array(faces), np.concatenate([[0.0], np.repeat(polar, segments)])
