"""Arithmetic of boxes [K, 4] (left, top, right, bottom, pixels) and area averages over them."""
from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .mtcnn_nets import scaled


def suppress(boxes: NDArray, scores: NDArray, groups: NDArray, most: float, of_smaller: bool = False) -> NDArray:
    """Non-maximum suppression within each group -> indices kept, best first.

    Drops a box that overlaps a better one by more than `most` of their union; `of_smaller` measures the overlap
    against the smaller box instead and counts pixels inclusively (MTCNN's last stage).
    """
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    kept = [index for part in members for index in _suppress(boxes, scores, part, most, of_smaller)]
    return np.array(sorted(kept, key=lambda index: -scores[index]), dtype=np.int64)


def _suppress(boxes: NDArray, scores: NDArray, members: NDArray, most: float, of_smaller: bool) -> list[int]:
    one = 1 if of_smaller else 0
    order = members[np.argsort(-scores[members], kind="stable")]
    areas = (boxes[:, 2] - boxes[:, 0] + one) * (boxes[:, 3] - boxes[:, 1] + one)
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        sides = (np.minimum(boxes[best, 2:4], boxes[rest, 2:4]) - np.maximum(boxes[best, :2], boxes[rest, :2]) + one).clip(0)
        shared = sides.prod(1)
        total = np.minimum(areas[best], areas[rest]) if of_smaller else areas[best] + areas[rest] - shared
        with np.errstate(invalid="ignore", divide="ignore"):
            order = rest[~(shared / total > most)]
    return kept


def moved(boxes: Tensor, shifts: Tensor, inclusive: bool = True) -> Tensor:
    """Boxes with each side moved by a fraction of its box's width or height."""
    size = (boxes[:, 2:4] - boxes[:, :2] + (1 if inclusive else 0)).repeat(1, 2)
    return boxes[:, :4] + shifts * size


def squared(boxes: Tensor) -> Tensor:
    """Squares of the longer side around the same centres."""
    size = boxes[:, 2:4] - boxes[:, :2]
    side = size.amax(1, keepdim=True)
    low = boxes[:, :2] + size * 0.5 - side * 0.5
    return torch.cat([low, low + side], 1)


def summed(photos: Tensor) -> Tensor:
    """Summed-area table [B, 3, H+1, W+1] of whole numbers [B, 3, H, W]: photos of 8 bits, or sums of blocks of them.

    int32 wraps on large photos, and the sums of windows, which are what is asked of it, come out right all the same.
    """
    batch, colours, height, width = photos.shape
    table = torch.zeros(batch, colours, height + 1, width + 1, dtype=torch.int32, device=photos.device)
    torch.cumsum(photos, -1, dtype=torch.int32, out=table[..., 1:, 1:])
    table[..., 1:, 1:].cumsum_(-2)
    return table


def _edges(start: Tensor, length: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """First and one-past-last pixel of each of `cells` windows over [start, start+length): [K, cells] each.
    Windows overlap where the division is not whole, as in adaptive average pooling."""
    index = torch.arange(cells, device=start.device)
    low = (index * length[:, None]) // cells
    high = -((-(index + 1) * length[:, None]) // cells)
    return start[:, None] + low, start[:, None] + high


def level(table: Tensor, height: int, width: int, block: int = 1) -> Tensor:
    """The photos behind a summed-area table, averaged down to height x width, as network input [B, 3, h, w].

    block: pixels whose sum each entry of the table's photos is.
    """
    zero = torch.zeros(1, dtype=torch.long, device=table.device)
    (top,), (bottom,) = _edges(zero, zero + table.shape[2] - 1, height)
    (left,), (right,) = _edges(zero, zero + table.shape[3] - 1, width)
    rows = table.index_select(2, bottom) - table.index_select(2, top)
    areas = (bottom - top)[:, None] * (right - left) * block
    return scaled(rows.index_select(3, right) - rows.index_select(3, left), areas.float())


def patches(table: Tensor, photo: Tensor, boxes: Tensor, side: int, block: int = 1) -> Tensor:
    """Pixel boxes [K, 4] (int64, right and bottom exclusive) of photos [K], averaged to side x side: [K, 3, side, side]."""
    top, bottom = _edges(boxes[:, 1], boxes[:, 3] - boxes[:, 1], side)
    left, right = _edges(boxes[:, 0], boxes[:, 2] - boxes[:, 0], side)

    def corner(y: Tensor, x: Tensor) -> Tensor:
        return table[photo[:, None, None], :, y[:, :, None], x[:, None, :]]                 # [K, side, side, 3]

    sums = corner(bottom, right) - corner(top, right) - corner(bottom, left) + corner(top, left)
    areas = ((bottom - top)[:, :, None] * (right - left)[:, None, :] * block).float()
    return scaled(sums.permute(0, 3, 1, 2), areas[:, None])
