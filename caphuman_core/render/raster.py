"""Rasterizing triangles in plain torch, with pytorch3d's rules (FACE.md: rasterizing).

The fast path lists every (face, pixel) pair of the faces' bounding boxes, tests them together, and keeps the
nearest by a scatter-minimum; `rasterize_plain` beside it is the oracle, one face and one pixel at a time.
"""
from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

NEAR = 1e-8                  # a face with a vertex nearer than this is dropped whole
AREA_TERM = 1e-8             # pytorch3d adds it to the signed area before dividing
PAIRS_AT_ONCE = 1 << 18      # bounds memory (about 150 bytes per pair) and keeps the work in the processor's cache
PAIRS_AT_ONCE_GPU = 1 << 22  # there every part costs a dozen kernel launches and a wait
SLACK_PIXELS = 0.01
_NOTHING = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class Fragments:
    """The visible surface at each pixel centre; tensors over the P covered pixels of a batch, in pixel order."""

    pixel: Tensor            # [P] int64 index into the flattened [B, H, W]
    face: Tensor             # [P] int64 index of the visible face
    weights: Tensor          # [P, 3] barycentric; they do not quite sum to 1 (AREA_TERM)
    depth: Tensor            # [P] z, weighted with `weights`
    batch: int
    height: int
    width: int


def rasterize(
    verts: Tensor,           # [B, V, 3] raster coordinates: shorter side -1..1, y down; z > 0, smaller is nearer
    faces: Tensor,           # [F, 3]
    height: int,
    width: int,
) -> Fragments:
    """Nearest face at each pixel centre; both windings; a centre exactly on an edge belongs to no face."""
    batch = verts.shape[0]
    corners = verts[:, faces.to(verts.device)].flatten(0, 1).flatten(1).T.contiguous()       # [9, B*F]
    first, size = _boxes(corners, height, width)
    counts = size[0] * size[1]
    keep = counts.nonzero().squeeze(1)
    best = torch.full((batch * height * width,), _NOTHING, device=verts.device)
    for part in _chunks(counts[keep], PAIRS_AT_ONCE if verts.device.type == "cpu" else PAIRS_AT_ONCE_GPU):
        _draw(best, corners, keep[part], first, size, faces.shape[0], height, width)
    pixel = (best != _NOTHING).nonzero().squeeze(1)
    drawn = best[pixel] & 0xFFFFFFFF
    local = pixel % (height * width)
    columns, rows = _centres(height, width, verts)
    weights, depth = _evaluate(corners.index_select(1, drawn), columns[local % width], rows[local // width])
    return Fragments(pixel, drawn % faces.shape[0], torch.stack(weights, -1), depth, batch, height, width)


def _boxes(corners: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """First pixel (column, row) and size of each face's box of pixel centres, [2, N] each; empty where not drawn."""
    short = min(height, width)
    sides = corners.new_tensor([[width], [height]])
    xyz = corners.view(3, 3, -1)                                                  # [corner, axis, face]
    # centre of column i is (2 i + 1 - width) / short; the slack absorbs rounding
    first = ((xyz[:, :2].amin(0) * short + sides - 1) / 2 - SLACK_PIXELS).ceil()
    last = ((xyz[:, :2].amax(0) * short + sides - 1) / 2 + SLACK_PIXELS).floor()
    good = (xyz[:, 2].amin(0) >= NEAR) & corners.isfinite().all(0) & (_signed_area(corners).abs() > AREA_TERM)
    first = torch.where(good, first, 0.0).clamp(min=0).minimum(sides)
    last = torch.where(good, last, -1.0).minimum(sides - 1)
    return first.long(), (last - first + 1).clamp(min=0).long()


def _signed_area(corners: Tensor) -> Tensor:
    ax, ay, _, bx, by, _, cx, cy, _ = corners
    return (cx - ax) * (by - ay) - (cy - ay) * (bx - ax)


def _chunks(counts: Tensor, most: int) -> list[slice]:
    """Split faces so that each part has about `most` pairs (a single larger face stands alone)."""
    if counts.numel() == 0:
        return []
    part = (counts.cumsum(0) - 1) // most
    edges = [0, *((part[1:] != part[:-1]).nonzero().squeeze(1) + 1).tolist(), counts.numel()]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def _draw(best: Tensor, corners: Tensor, which: Tensor, first: Tensor, size: Tensor, faces: int,
          height: int, width: int) -> None:
    """Test every pair of the faces `which`; keep per pixel the smallest (depth, face) key."""
    wide, counts = size[0, which], (size[0] * size[1])[which]
    owner = torch.repeat_interleave(torch.arange(which.numel(), device=which.device), counts)
    step = torch.arange(owner.numel(), device=which.device) - (counts.cumsum(0) - counts).index_select(0, owner)
    down = step // wide.index_select(0, owner)
    row = first[1, which].index_select(0, owner) + down
    column = first[0, which].index_select(0, owner) + step - down * wide.index_select(0, owner)
    columns, rows = _centres(height, width, corners)
    x, y = columns.index_select(0, column), rows.index_select(0, row)
    inside = _inside(corners.index_select(1, which), owner, x, y).nonzero().squeeze(1)
    face = which[owner[inside]]
    depth = _evaluate(corners.index_select(1, face), x[inside], y[inside])[1]
    # depth is positive here, so its float32 bits sort like numbers; ties go to the lower face index
    key = (depth.float().view(torch.int32).long() << 32) | face
    pixel = torch.div(face, faces, rounding_mode="floor") * (height * width) + row[inside] * width + column[inside]
    best.scatter_reduce_(0, pixel, key, "amin")


def _centres(height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Raster coordinates of the centres of pixel columns [W] and rows [H]."""
    return _axis_centres(width, min(height, width), like), _axis_centres(height, min(height, width), like)


def _axis_centres(side: int, short: int, like: Tensor) -> Tensor:
    return ((torch.arange(side, device=like.device, dtype=like.dtype) * 2 + 1) / side - 1) * (side / short)


def _edges(corners: Tensor | list[Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Twice the signed areas of points with each edge of their faces [9, N], in pytorch3d's order of operations."""
    ax, ay, _, bx, by, _, cx, cy, _ = corners
    return ((x - bx) * (cy - by) - (y - by) * (cx - bx), (x - cx) * (ay - cy) - (y - cy) * (ax - cx),
            (x - ax) * (by - ay) - (y - ay) * (bx - ax))


def _inside(corners: Tensor, owner: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Whether each point [N] lies strictly inside face `owner` of [9, K]: all weights positive, without dividing."""
    sign = (_signed_area(corners) + AREA_TERM).sign().index_select(0, owner)
    a, b, c = _edges([row.index_select(0, owner) if k % 3 < 2 else row for k, row in enumerate(corners)], x, y)
    return torch.minimum(torch.minimum(a * sign, b * sign), c * sign) > 0


def _evaluate(corners: Tensor, x: Tensor, y: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Barycentric weights and depth, [N] each, of points in faces [9, N]."""
    area = _signed_area(corners) + AREA_TERM
    a, b, c = (edge / area for edge in _edges(corners, x, y))
    return (a, b, c), a * corners[2] + b * corners[5] + c * corners[8]


def rasterize_plain(verts: Tensor, faces: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The oracle: one head [V, 3], every face against every pixel -> face [H, W] (-1 none), weights, depth."""
    columns, rows = _centres(height, width, verts)
    x, y = columns.repeat(height), rows.repeat_interleave(width)
    found = torch.full((height * width,), -1)
    nearest = torch.full((height * width,), float("inf"), dtype=verts.dtype)
    kept = torch.full((height * width, 3), -1.0, dtype=verts.dtype)
    for index, face in enumerate(faces.tolist()):
        corners = verts[face].flatten()
        if not bool(corners.isfinite().all()) or float(corners[2::3].min()) < NEAR:
            continue
        if abs(float(_signed_area(corners))) <= AREA_TERM:
            continue
        weights, depth = _evaluate(corners[:, None], x, y)
        closer = (torch.stack(weights).amin(0) > 0) & (depth < nearest)
        found[closer], nearest[closer], kept[closer] = index, depth[closer], torch.stack(weights, -1)[closer]
    return found.view(height, width), kept.view(height, width, 3), nearest.view(height, width)
