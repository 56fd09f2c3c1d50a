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
PAIRS_AT_ONCE = 1 << 20      # bounds memory: about 100 bytes per pair


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

    def starts(self) -> list[int]:
        """Where each picture's pixels begin, and the end: B + 1 numbers."""
        edges = torch.arange(self.batch + 1, device=self.pixel.device) * (self.height * self.width)
        return torch.searchsorted(self.pixel, edges).tolist()


def rasterize(
    verts: Tensor,           # [B, V, 3] raster coordinates: shorter side -1..1, y down; z > 0, smaller is nearer
    faces: Tensor,           # [F, 3]
    height: int,
    width: int,
) -> Fragments:
    """Nearest face at each pixel centre; both windings; a centre exactly on an edge belongs to no face."""
    batch = verts.shape[0]
    corners = verts[:, faces.to(verts.device)].flatten(0, 1)                    # [B*F, 3, 3]
    first, size = _boxes(corners, height, width)
    counts = size[:, 0] * size[:, 1]
    keep = counts.nonzero().squeeze(1)
    best = torch.full((batch * height * width,), torch.iinfo(torch.int64).max, device=verts.device)
    for part in _chunks(counts[keep]):
        _draw(best, corners, keep[part], first, size, faces.shape[0], height, width)
    pixel = (best != torch.iinfo(torch.int64).max).nonzero().squeeze(1)
    drawn = best[pixel] & 0xFFFFFFFF
    x, y = _centres(pixel % (height * width), height, width, verts.dtype)
    weights, depth, _ = _evaluate(corners[drawn], x, y)
    return Fragments(pixel, drawn % faces.shape[0], weights, depth, batch, height, width)


def _boxes(corners: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """First pixel (column, row) and size of each face's box of pixel centres [N, 2]; empty where not drawn."""
    short = min(height, width)
    sides = corners.new_tensor([width, height])
    low, high = corners[..., :2].amin(1), corners[..., :2].amax(1)                # [N, 2]
    # centre of column i is (2 i + 1 - width) / short; one pixel of slack absorbs rounding
    first = ((low * short + sides - 1) / 2).floor()
    last = ((high * short + sides - 1) / 2).ceil()
    good = (corners[..., 2].amin(1) >= NEAR) & corners.isfinite().all(-1).all(-1)
    good &= _signed_area(corners).abs() > AREA_TERM
    first = torch.where(good[:, None], first, 0.0).clamp(min=0)
    last = torch.where(good[:, None], last, -1.0).minimum(sides - 1)
    return first.minimum(sides).long(), (last - first + 1).clamp(min=0).long()


def _signed_area(corners: Tensor) -> Tensor:
    a, b, c = corners.unbind(-2)
    return (c[..., 0] - a[..., 0]) * (b[..., 1] - a[..., 1]) - (c[..., 1] - a[..., 1]) * (b[..., 0] - a[..., 0])


def _chunks(counts: Tensor) -> list[slice]:
    """Split faces so that each part has about PAIRS_AT_ONCE pairs (a single larger face stands alone)."""
    if counts.numel() == 0:
        return []
    part = ((counts.cumsum(0) - 1) // PAIRS_AT_ONCE).clamp(min=0)
    edges = [0, *((part[1:] != part[:-1]).nonzero().squeeze(1) + 1).tolist(), counts.numel()]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def _draw(best: Tensor, corners: Tensor, which: Tensor, first: Tensor, size: Tensor, faces: int,
          height: int, width: int) -> None:
    """Test every pair of the faces `which`; keep per pixel the smallest (depth, face) key."""
    counts = size[which, 0] * size[which, 1]
    owner = torch.repeat_interleave(torch.arange(which.numel(), device=which.device), counts)
    step = torch.arange(owner.numel(), device=which.device) - (counts.cumsum(0) - counts)[owner]
    face = which[owner]
    wide = size[face, 0]
    column, row = first[face, 0] + step % wide, first[face, 1] + step // wide
    local = row * width + column
    x, y = _centres(local, height, width, corners.dtype)
    _, depth, inside = _evaluate(corners[face], x, y)
    # depth is positive here, so its float32 bits sort like numbers; ties go to the lower face index
    key = (depth[inside].float().view(torch.int32).long() << 32) | face[inside]
    pixel = (face // faces) * (height * width) + local
    best.scatter_reduce_(0, pixel[inside], key, "amin")


def _centres(local: Tensor, height: int, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Raster coordinates of pixel centres; `local` indexes the flattened [H, W]."""
    short = min(height, width)
    columns = ((torch.arange(width, device=local.device, dtype=dtype) * 2 + 1) / width - 1) * (width / short)
    rows = ((torch.arange(height, device=local.device, dtype=dtype) * 2 + 1) / height - 1) * (height / short)
    return columns[local % width], rows[torch.div(local, width, rounding_mode="floor")]


def _evaluate(corners: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Barycentric weights [N, 3], depth [N] and strict insideness [N] of points in faces [N, 3, 3]."""
    a, b, c = corners.unbind(-2)
    ax, ay, az = a.unbind(-1)
    bx, by, bz = b.unbind(-1)
    cx, cy, cz = c.unbind(-1)
    area = (cx - ax) * (by - ay) - (cy - ay) * (bx - ax) + AREA_TERM
    wa = ((x - bx) * (cy - by) - (y - by) * (cx - bx)) / area
    wb = ((x - cx) * (ay - cy) - (y - cy) * (ax - cx)) / area
    wc = ((x - ax) * (by - ay) - (y - ay) * (bx - ax)) / area
    depth = wa * az + wb * bz + wc * cz
    inside = (wa > 0) & (wb > 0) & (wc > 0) & (depth >= 0)
    return torch.stack([wa, wb, wc], -1), depth, inside


def rasterize_plain(verts: Tensor, faces: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The oracle: one head [V, 3], every face against every pixel -> face [H, W] (-1 none), weights, depth."""
    x, y = _centres(torch.arange(height * width), height, width, verts.dtype)
    found = torch.full((height * width,), -1)
    nearest = torch.full((height * width,), float("inf"), dtype=verts.dtype)
    kept = torch.full((height * width, 3), -1.0, dtype=verts.dtype)
    for index, face in enumerate(faces.tolist()):
        corners = verts[face]
        if not bool(corners.isfinite().all()) or float(corners[:, 2].min()) < NEAR:
            continue
        if abs(float(_signed_area(corners))) <= AREA_TERM:
            continue
        weights, depth, inside = _evaluate(corners.expand(len(x), 3, 3), x, y)
        closer = inside & (depth < nearest)
        found[closer], nearest[closer], kept[closer] = index, depth[closer], weights[closer]
    return found.view(height, width), kept.view(height, width, 3), nearest.view(height, width)
