"""What a call of the host asks CapFace for, piece by piece: rows of one chunk that look at one place of the picture."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import comfy.conds
from torch import Tensor

from ...caphuman_core.capface.places import Area, Place, Tile
from ...caphuman_core.check import require
from ..host.latent_size import whole_latent

AREA_KEY = "caphuman_area"                      # in the conditioning, beside the text


class AreaCond(comfy.conds.CONDConstant):
    """Rides along with the conditioning; the host tells it which area each call samples, which it tells no control object."""

    def __init__(self, cond: tuple[Area | None, ...] = (None,)) -> None:
        super().__init__(cond)

    def process_cond(self, batch_size: int, area: list[int] | None = None, **kwargs) -> AreaCond:
        told = None if area is None or len(area) != 4 else (int(area[0]), int(area[1]), int(area[2]), int(area[3]))
        return AreaCond((None if told is None else Area(*told, whole_latent()),))

    def can_concat(self, other: AreaCond) -> bool:
        return True

    def concat(self, others: Sequence[AreaCond]) -> tuple[Area | None, ...]:
        return (*self.cond, *(area for other in others for area in other.cond))


@dataclass(frozen=True)
class Piece:
    """Rows that one CapFace forward serves."""

    x: Tensor                                   # [F, 4, h, w] noised latents
    sigma: Tensor                               # [F]
    frames: tuple[int, ...]                     # F indices in the whole animation
    place: Place

    def kept(self) -> Piece:
        """The same piece with latents of its own: the host may change its own in place."""
        return replace(self, x=self.x.clone(), sigma=self.sigma.clone())


def pieces(x: Tensor, sigma: Tensor, chunks: int, areas: Sequence[Area | None], options: dict) -> list[Piece]:
    """The pieces of an untiled call. x: [chunks * F, 4, h, w]; areas: one for each chunk."""
    frames = frames_now(options, len(x) // chunks)
    return [Piece(latents, noise, frames, area)
            for latents, noise, area in zip(x.chunk(chunks), sigma.chunk(chunks), areas, strict=True)]


def tiled_pieces(x: Tensor, sigma: Tensor, chunks: int, tiles: Sequence[Tile], options: dict) -> list[tuple[Piece, int]]:
    """The pieces of a call for tiles, in the order of their rows, and the chunk that each belongs to.

    tiles: one for each row, or one for each frame, or fewer: then they start over in each chunk, as the host repeats hints. Rows
    come tile by tile, and within a tile chunk by chunk (Tiled Diffusion), or chunk by chunk with tiles in the place of frames
    (Ultimate SD Upscale with a batch of tiles): told apart by whether a tile comes back.
    """
    each = len(x) // chunks
    shown = list(tiles) if len(tiles) == len(x) else [tiles[row % each % len(tiles)] for row in range(len(x))]
    runs = [len(list(same)) for _, same in groupby(shown)]
    by_tile = len(runs) == len(set(shown))
    found, start = [], 0
    for run in runs:
        parts = chunks if by_tile else 1
        require(run % parts == 0, "a tiled sampler's batch", f"must hold each tile for all {parts} conditionings",
                f"{run} rows of one", "set its batch of tiles to 1")
        for part in range(parts):
            rows = slice(start, start + run // parts)
            piece = Piece(x[rows], sigma[rows], frames_now(options, run // parts), shown[start])
            found.append((piece, part if by_tile else start // each))
            start = rows.stop
    return found


def frames_now(options: dict[str, Any], count: int) -> tuple[int, ...]:
    """Indices, in the whole animation, of the `count` frames that are being sampled now.

    options: the host's transformer options, and under "sub_idxs" what AnimateDiff-Evolved has set on the control object.
    """
    window = options.get("context_window")                                             # the host's context windows
    named = list(getattr(window, "index_list", None) or ())
    anchor = getattr(window, "causal_anchor_index", None)
    if anchor is not None and anchor >= 0:
        named.insert(0, anchor)
    named = named or options.get("sub_idxs") or (options.get("ad_params") or {}).get("sub_idxs") or ()
    return tuple(int(index) for index in named) if len(named) == count else tuple(range(count))
