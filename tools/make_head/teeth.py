"""Teeth and gums, made by formula along two arches (MakeHuman's own are two smooth bands).

Upper ones belong to the skull, lower ones to the jaw. A tooth is a small shield: five columns by six rows, front from gum to
edge, then over the edge and down the back; a gum is a band along the arch. Metres, FLAME's axes, at its origin.
"""
from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

# Widths and crown heights from the middle outwards, metres (mean values of adults).
UPPER = ((0.0086, 0.0116), (0.0067, 0.0103), (0.0077, 0.0113), (0.0071, 0.0096), (0.0069, 0.0091), (0.0098, 0.0084))
LOWER = ((0.0054, 0.0086), (0.0059, 0.0088), (0.0069, 0.0096), (0.0070, 0.0078), (0.0070, 0.0074), (0.0100, 0.0068))
ACROSS = np.array([-0.5, -0.32, 0.0, 0.32, 0.5])             # columns, of the width
BULGE = np.array([-0.0011, -0.0001, 0.0004, -0.0001, -0.0011])            # metres, forward, per column
# Rows: share of the crown's height from the gum, width, forward in metres.
ROWS = ((-0.12, 0.80, -0.0002), (0.30, 0.92, 0.0004), (0.70, 1.00, 0.0003), (0.96, 0.93, -0.0002), (1.00, 0.86, -0.0010),
        (0.35, 0.80, -0.0030))
GUM_ROWS = ((0.10, 0.0007), (-0.35, 0.0012), (-1.15, 0.0002), (-1.5, -0.006))    # share of the crown's height, forward in metres
GUM_PER_TOOTH = 4


@dataclass(frozen=True)
class Arch:
    """A half ellipse in the level plane and the teeth on it."""

    sizes: tuple[tuple[float, float], ...]
    middle: tuple[float, float]              # y, z of the front teeth's gum line
    half_width: float
    depth: float
    down: float                              # -1: teeth hang from the gum, +1: they stand on it
    rise: float                              # metres that the gum line rises towards the last tooth


ARCHES = {"upper": Arch(UPPER, (-0.0308, 0.0612), 0.0285, 0.044, -1.0, 0.0015),
          "lower": Arch(LOWER, (-0.0486, 0.0572), 0.0262, 0.043, 1.0, 0.0010)}


@dataclass(frozen=True)
class Teeth:
    """One arch as a mesh."""

    verts: np.ndarray                        # [V, 3]
    faces: np.ndarray                        # [F, 3]
    chart: np.ndarray                        # [V, 2] 0..1: place along the arch from the middle; 0 gum .. 1 edge, gums below 0
    pair: np.ndarray                         # [V] mirror twin


def build(name: str) -> Teeth:
    arch = ARCHES[name]
    verts, faces, chart = [], [], []
    count = 0
    for part in (_crowns(arch), _gum(arch)):
        for grid, place in part:
            rows, columns = grid.shape[:2]
            verts.append(grid.reshape(-1, 3))
            chart.append(place.reshape(-1, 2))
            faces.append(_grid_faces(rows, columns, arch.down < 0) + count)
            count += rows * columns
    one = np.concatenate(verts)
    # the other half is the mirror image
    both = np.concatenate([one, one * [-1, 1, 1]])
    faces = np.concatenate([*faces, *(part[:, ::-1] + count for part in faces)])
    pair = np.concatenate([np.arange(count, 2 * count), np.arange(count)])
    return Teeth(both, faces, np.concatenate([*chart, *chart]), pair)


def _on_arch(arch: Arch, way: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [N, 2] (x, z) at arc lengths from the middle, and outward normals [N, 2]."""
    angle = np.linspace(0, np.radians(86), 400)
    line = np.stack([arch.half_width * np.sin(angle), arch.middle[1] - arch.depth * (1 - np.cos(angle))], 1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    turn = np.interp(way, length, angle)
    normal = np.stack([np.sin(turn) / arch.half_width, np.cos(turn) / arch.depth], 1)
    return np.stack([np.interp(way, length, line[:, k]) for k in (0, 1)], 1), normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _lifted(arch: Arch, way: np.ndarray, forward: np.ndarray | float, height: np.ndarray | float) -> np.ndarray:
    """Points [N, 3]: `height` from the gum line towards the edge, `forward` metres outwards."""
    flat, normal = _on_arch(arch, way)
    flat = flat + normal * np.broadcast_to(forward, len(way))[:, None]
    level = arch.middle[0] + arch.rise * (way / _length(arch)) ** 2 + arch.down * np.broadcast_to(height, len(way))
    return np.stack([flat[:, 0], level, flat[:, 1]], 1)


def _length(arch: Arch) -> float:
    return sum(width for width, _ in arch.sizes)


def _crowns(arch: Arch):
    start, whole = 0.0, _length(arch)
    for width, height in arch.sizes:
        middle = start + width / 2
        ways = [middle + ACROSS * width * 0.985 * size for _, size, _ in ROWS]
        # corners are rounded: the outer columns end a little before the edge
        round_off = np.array([0.10, 0.015, 0.0, 0.015, 0.10])
        grid = np.stack([_lifted(arch, way, BULGE + forward, height * (share - round_off * (share > 0.9)))
                         for way, (share, _, forward) in zip(ways, ROWS, strict=True)])
        chart = np.stack([np.stack([way / whole, np.full(5, row / (len(ROWS) - 1))], 1) for row, way in enumerate(ways)])
        yield grid, chart
        start += width


def _gum(arch: Arch):
    """One band; its border rises between the teeth (papillae)."""
    starts = np.concatenate([[0], np.cumsum([width for width, _ in arch.sizes])])
    heights = np.array([height for _, height in arch.sizes])
    way = np.concatenate([np.linspace(a, b, GUM_PER_TOOTH, endpoint=False) for a, b in pairwise(starts)]
                         + [starts[-1:]])
    way[0] = 2e-5                                             # each half has its own vertices, even in the middle
    tooth = np.minimum(np.searchsorted(starts, way, side="right") - 1, len(heights) - 1)
    crown = np.interp(way, (starts[:-1] + starts[1:]) / 2, heights)
    share = (way - starts[tooth]) / (starts[tooth + 1] - starts[tooth])
    papilla = 0.16 * np.cos(2 * np.pi * share) ** 3 * (np.cos(2 * np.pi * share) > 0)
    grid = np.stack([_lifted(arch, way, forward, crown * (height + (papilla if row == 0 else 0)))
                     for row, (height, forward) in enumerate(GUM_ROWS)])[::-1]
    chart = np.stack([np.stack([way / way[-1], np.full(len(way), -0.1 - 0.3 * row)], 1) for row in range(len(GUM_ROWS))])[::-1]
    yield grid, chart


def _grid_faces(rows: int, columns: int, flipped: bool) -> np.ndarray:
    """Triangles of a grid whose row 0 is the gum: facing outwards."""
    corner = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = corner[:-1, :-1].ravel(), corner[:-1, 1:].ravel(), corner[1:, 1:].ravel(), corner[1:, :-1].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return faces[:, ::-1] if flipped else faces
