"""Where in the picture a call of the sampler looks: all of it, the area of a regional prompt, or a tile of a tiled sampler.

Tiled samplers cut what they take for the hint of a control object. CapFace gives them a map, on which every pixel says where in
the hint's frame it lies. Whatever they crop, resize, roll, repeat or join, the piece tells what it shows; hint and masks are then
cut from the originals, each at its own resolution.
"""
from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from ..check import fail
from .spec import CELL

EXACT = 0.1                      # pixels; a part that is shorter by less is not enlarged
LEAST_STEP = 1e-6                # of the frame between two pixels of a map; a turned or flat map has none
NOISE = 0.01                     # of the frame; what half precision and nearest-neighbour resizing leave in a map


@dataclass(frozen=True)
class Stretch:
    """A run of pixels along one axis that shows one interval of the hint's frame."""

    start: float                 # 0..1 of the frame's side
    stop: float
    pixels: int                  # of the piece

    def inside(self, outer: Stretch) -> Stretch:
        """The same run where its frame is itself the interval `outer` of a larger one."""
        length = outer.stop - outer.start
        return Stretch(outer.start + self.start * length, outer.start + self.stop * length, self.pixels)


@dataclass(frozen=True)
class Tile:
    """A rectangle of the hint's frame; rolled tiles have two stretches along an axis."""

    rows: tuple[Stretch, ...]    # top to bottom
    columns: tuple[Stretch, ...]  # left to right

    def inside(self, outer: Tile) -> Tile:
        """This part of `outer`, which is in one piece."""
        if len(outer.rows) != 1 or len(outer.columns) != 1:
            _refuse("an area within a tile that wraps round the picture's edge")
        (down,), (across,) = outer.rows, outer.columns
        return Tile(tuple(row.inside(down) for row in self.rows), tuple(column.inside(across) for column in self.columns))


@dataclass(frozen=True)
class Area:
    """A rectangle of the latent, in cells: what a regional prompt samples."""

    height: int
    width: int
    top: int
    left: int
    whole: tuple[int, int] | None = None    # height and width of the latent it is cut from; None: the host did not tell

    def of_whole(self) -> Tile:
        """The area as a part of the latent it is cut from."""
        rows, columns = self.whole or (self.top + self.height, self.left + self.width)
        return self._shares(rows, columns)

    def of_frame(self, height: int, width: int) -> Tile:
        """The area as a part of a hint of height x width pixels, which the host would centre-crop to the picture's aspect.

        Where the picture's size is unknown, the hint is taken to have it.
        """
        if self.whole is None:
            return self._shares(max(height // CELL, self.top + self.height), max(width // CELL, self.left + self.width))
        return self.of_whole().inside(cropped_frame(height, width, *self.whole))

    def _shares(self, rows: int, columns: int) -> Tile:
        return Tile((Stretch(self.top / rows, (self.top + self.height) / rows, self.height * CELL),),
                    (Stretch(self.left / columns, (self.left + self.width) / columns, self.width * CELL),))


Place = Area | Tile | None       # None: the whole picture


def cropped_frame(height: int, width: int, new_height: int, new_width: int) -> Tile:
    """What is left of a frame when its centre is cropped to the aspect of new_height x new_width."""
    ratio = (new_width / new_height) / (width / height)
    down, across = max(0.0, 1 - 1 / ratio) / 2, max(0.0, 1 - ratio) / 2
    return Tile((Stretch(down, 1 - down, height),), (Stretch(across, 1 - across, width),))


def within_area(tile: Tile, area: Area, height: int, width: int) -> Tile:
    """A tile of an area: the tiled sampler took the area for the whole picture and centre-cropped the map to its aspect.

    height, width: of the hint, pixels.
    """
    frame = cropped_frame(height, width, area.height, area.width)

    def uncropped(stretches: tuple[Stretch, ...], kept: Stretch) -> tuple[Stretch, ...]:
        length = kept.stop - kept.start
        return tuple(Stretch((each.start - kept.start) / length, (each.stop - kept.start) / length, each.pixels)
                     for each in stretches)
    inner = Tile(uncropped(tile.rows, frame.rows[0]), uncropped(tile.columns, frame.columns[0]))
    return inner.inside(area.of_frame(height, width))


# --- the map

def map_of_places(count: int, height: int, width: int) -> Tensor:
    """[count, 3, height, width]: x and y of each pixel's centre as shares 0..1 of the frame, and 1."""
    across = ((torch.arange(width) + 0.5) / width).expand(height, width)
    down = ((torch.arange(height) + 0.5) / height)[:, None].expand(height, width)
    return torch.stack([across, down, torch.ones(height, width)]).expand(count, -1, -1, -1)


def read_tiles(cut: Tensor) -> list[Tile]:
    """What each entry of a cut map [N, 3, h, w] shows. Raises InputError for what is no upright part of a map."""
    if cut.ndim != 4 or cut.shape[1] != 3:
        _refuse(f"shape {list(cut.shape)}")
    numbers = cut[:, :2, [0, -1]][..., [0, -1]], cut[:, 0, 0], cut[:, 1, :, 0]
    corners, across, down = (part.detach().double().cpu() for part in numbers)
    upright = (corners[:, 0, 0] - corners[:, 0, 1]).abs().max() + (corners[:, 1, :, 0] - corners[:, 1, :, 1]).abs().max()
    if not float(upright) <= NOISE:                                                  # NaN too
        _refuse("a hint that was turned, or mixed with another")
    known: dict[tuple, Tile] = {}
    tiles = []
    for row, column in zip(down, across, strict=True):
        key = (tuple(row.tolist()), tuple(column.tolist()))
        if key not in known:
            known[key] = Tile(_stretches(row), _stretches(column))
        tiles.append(known[key])
    return tiles


def _stretches(shares: Tensor) -> tuple[Stretch, ...]:
    """The straight runs in one axis of a map, [n]: it falls back where the picture was rolled round its edge."""
    breaks = (torch.nonzero(shares.diff() < -2 * NOISE)[:, 0] + 1).tolist()
    runs = [shares[start:stop] for start, stop in pairwise([0, *breaks, len(shares)])]
    longest = max(runs, key=len)
    step = _slope(longest)
    return tuple(_straight(run, _slope(run) if len(run) > CELL else step) for run in runs)


def _slope(run: Tensor) -> float:
    """Least-squares step of the frame between two pixels."""
    if len(run) < 2:
        return 0.0
    index = torch.arange(len(run), dtype=run.dtype) - (len(run) - 1) / 2
    return float((index * run).sum() / (index * index).sum())


def _straight(run: Tensor, step: float) -> Stretch:
    middle, half = float(run.mean()), step * len(run) / 2
    line = middle + step * (torch.arange(len(run), dtype=run.dtype) - (len(run) - 1) / 2)
    jump = float(run.diff().abs().max()) if len(run) > 1 else 0.0
    if step < LEAST_STEP or float((run - line).abs().max()) > jump + NOISE:
        _refuse("a hint that was mirrored, bent or drawn over")
    return Stretch(max(0.0, middle - half), min(1.0, middle + half), len(run))


def _refuse(got: str) -> NoReturn:
    fail("the hint of CapHuman Apply CapFace", "must reach it cropped, resized or shifted only, when tiles are sampled", got,
         "use Ultimate SD Upscale, Tiled Diffusion or the host's own sampler here, or sample without CapFace")


# --- cutting

def seen(picture: Tensor, size: tuple[int, int], tile: Tile) -> Tensor:
    """The part of a map of the hint's frame [B, C, H, W] that a tile shows, [B, C, *size]."""
    rows, columns = _sides(tile.rows, size[0]), _sides(tile.columns, size[1])
    strips = [torch.cat([_part(picture, row, column, (high, wide)) for column, wide in columns], -1) for row, high in rows]
    return torch.cat(strips, -2)


def _sides(stretches: tuple[Stretch, ...], total: int) -> list[tuple[Stretch, int]]:
    """Each stretch with its share of `total` pixels; those that get none are left out."""
    ends = [0]
    for stretch in stretches:
        ends.append(ends[-1] + stretch.pixels)
    sides = [round(stop * total / ends[-1]) - round(start * total / ends[-1]) for start, stop in pairwise(ends)]
    return [(stretch, side) for stretch, side in zip(stretches, sides, strict=True) if side > 0]


def _part(picture: Tensor, row: Stretch, column: Stretch, size: tuple[int, int]) -> Tensor:
    height, width = picture.shape[-2:]
    box = top, bottom, left, right = row.start * height, row.stop * height, column.start * width, column.stop * width
    if bottom - top < size[0] - EXACT or right - left < size[1] - EXACT:
        return _enlarged(picture, box, size)
    first, above = min(round(left), width - 1), min(round(top), height - 1)
    part = picture[..., above:max(round(bottom), above + 1), first:max(round(right), first + 1)]
    return part if tuple(part.shape[-2:]) == size else interpolate(part, size, mode="area")


def _enlarged(picture: Tensor, box: tuple[float, float, float, float], size: tuple[int, int]) -> Tensor:
    """A part of the picture as it is in the enlarged picture: bilinear, with the pixels beyond the part's own edges."""
    (top, bottom, left, right), (height, width) = box, picture.shape[-2:]
    turn = torch.tensor([[(right - left) / width, 0.0, (left + right) / width - 1],
                         [0.0, (bottom - top) / height, (top + bottom) / height - 1]], dtype=picture.dtype, device=picture.device)
    grid = affine_grid(turn.expand(len(picture), 2, 3), [len(picture), 1, *size], align_corners=False)
    return grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)
