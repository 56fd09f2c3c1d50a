"""A part of a picture as a picture of its own: what a face detailer crops, samples larger and pastes back."""
from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from ..check import fail, require
from ..flow import Head, HeadHint
from .camera import picture_transform

FACTOR = 8                       # Stable Diffusion 1.5 samples sides that are multiples of it


@dataclass(frozen=True)
class Region:
    """A rectangle of a picture, whole pixels; it may reach beyond the picture's edges."""

    x: int
    y: int
    width: int
    height: int

    def grown(self, factor: float, width: int, height: int) -> Region:
        """The region grown round its centre, then moved and cut into a picture of width x height."""
        wide, high = min(width, round(self.width * factor)), min(height, round(self.height * factor))
        left, top = self.x + (self.width - wide) / 2, self.y + (self.height - high) / 2
        return Region(max(0, min(round(left), width - wide)), max(0, min(round(top), height - high)), max(1, wide), max(1, high))

    def sampled_size(self, side: int) -> tuple[int, int]:
        """Width and height at which the region's shorter side has `side` pixels, in multiples of 8."""
        scale = side / min(self.width, self.height)
        wide, high = (max(FACTOR, round(length * scale / FACTOR) * FACTOR) for length in (self.width, self.height))
        return wide, high


def around(left: float, top: float, right: float, bottom: float) -> Region:
    """The smallest region of whole pixels that holds a box; InputError for an empty one."""
    finite = all(map(math.isfinite, (left, top, right, bottom)))
    require(finite and right > left and bottom > top, "region", "must have a width and a height",
            f"{left}, {top}, {right}, {bottom}", "choose a box that holds the face")
    x, y = math.floor(left), math.floor(top)
    return Region(x, y, math.ceil(right) - x, math.ceil(bottom) - y)


def of_mask(mask: Tensor, width: int, height: int) -> Region:
    """The bounds of what a mask [B, H, W] selects (above 0.5) in any entry, in a picture of width x height."""
    if mask.ndim != 3 or not bool((mask > 0.5).any()):
        fail("mask", "must select some pixels", f"shape {list(mask.shape)}, none above 0.5", "paint the face that is detailed")
    chosen = (mask > 0.5).any(0)
    rows, columns = chosen.any(1).nonzero()[:, 0], chosen.any(0).nonzero()[:, 0]
    across, down = width / mask.shape[-1], height / mask.shape[-2]
    (left, right), (top, bottom) = ((float(run[0]), float(run[-1]) + 1) for run in (columns, rows))
    return around(left * across, top * down, right * across, bottom * down)


def head_in(head: Head, region: Region) -> Head:
    """The same head in the picture that the region is: its frame is the region's, at the region's size."""
    move = picture_transform(1.0, 1.0, -float(region.x), -float(region.y)).to(head.crop_to_picture)
    return head.replace(crop_to_picture=head.crop_to_picture @ move, width=region.width, height=region.height)


def hint_in(hint: HeadHint, region: Region) -> HeadHint:
    """The part of a hint, which has the picture's size, that lies in the region; beyond its edges there is nothing."""
    return replace(hint, maps=_cut(hint.maps, region), mask=_cut(hint.mask, region))


def _cut(picture: Tensor, region: Region) -> Tensor:
    """[..., H, W] -> [..., region.height, region.width], zero where the region lies outside."""
    height, width = picture.shape[-2:]
    out = picture.new_zeros(*picture.shape[:-2], region.height, region.width)
    top, bottom = max(0, region.y), min(height, region.y + region.height)
    left, right = max(0, region.x), min(width, region.x + region.width)
    if bottom > top and right > left:
        out[..., top - region.y:bottom - region.y, left - region.x:right - region.x] = picture[..., top:bottom, left:right]
    return out
