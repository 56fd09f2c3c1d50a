"""One CapFace forward per step, whatever way the host splits the step; and where in the picture a call looks."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import comfy.conds
import torch
from torch import Tensor

Residuals = list[Tensor]                        # 13: input blocks 0..11, then the middle block

AREA_KEY = "caphuman_area"                      # in the conditioning, beside the text


@dataclass(frozen=True)
class Area:
    """A rectangle of the latent, in cells: what a regional prompt samples."""

    height: int
    width: int
    top: int
    left: int

    def cut(self, picture: Tensor, cells: tuple[int, int]) -> Tensor:
        """The part of a whole-picture map [B, C, H, W] that lies here; `cells` is the latent's whole size, or an
        estimate of it, height and width."""
        rows, columns = max(cells[0], self.top + self.height), max(cells[1], self.left + self.width)
        height, width = picture.shape[-2:]
        top, bottom = round(self.top * height / rows), round((self.top + self.height) * height / rows)
        left, right = round(self.left * width / columns), round((self.left + self.width) * width / columns)
        return picture[..., top:max(bottom, top + 1), left:max(right, left + 1)]


class AreaCond(comfy.conds.CONDConstant):
    """Rides along with the conditioning; the host tells it which area each call samples, which it tells no control object."""

    def __init__(self, cond: tuple[Area | None, ...] = (None,)) -> None:
        super().__init__(cond)

    def process_cond(self, batch_size: int, area: list[int] | None = None, **kwargs) -> AreaCond:
        return AreaCond((None if area is None or len(area) != 4 else Area(*map(int, area)),))

    def can_concat(self, other: AreaCond) -> bool:
        return True

    def concat(self, others: Sequence[AreaCond]) -> tuple[Area | None, ...]:
        return (*self.cond, *(area for other in others for area in other.cond))


@dataclass(frozen=True)
class _Entry:
    x: Tensor
    sigma: Tensor
    frames: tuple[int, ...]
    area: Area | None
    residuals: Residuals

    def serves(self, x: Tensor, sigma: Tensor, frames: tuple[int, ...], area: Area | None) -> bool:
        return (self.frames == frames and area in (None, self.area) and self.x.shape == x.shape and self.x.dtype == x.dtype
                and self.x.device == x.device and torch.equal(self.sigma, sigma) and torch.equal(self.x, x))


class StepCache:
    """Residuals of the present step. CapFace reads no text, so equal latents at an equal sigma have equal residuals:
    positive and negative, in one call or several, perp-neg's third branch, and regions that coincide."""

    MOST = 4                                    # regions of a step remembered at once
    BYTES = 64 * 2**20                          # beyond the newest one, which is always kept

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        self.forwards = 0                       # counted for tests and benchmarks

    def collect(self, chunks: Sequence[tuple[Tensor, Tensor, Area | None]], frames: tuple[int, ...],
                compute: Callable[[Tensor, Tensor, Area | None], Residuals]) -> Residuals:
        """Residuals of the whole batch. chunks: latents [F, 4, h, w], sigma [F] and area of each, in batch order."""
        found: list[Residuals] = []
        self._forget_other_steps(chunks)
        for x, sigma, area in chunks:
            entry = next((entry for entry in self.entries if entry.serves(x, sigma, frames, area)), None)
            if entry is None:
                entry = _Entry(x.clone(), sigma.clone(), frames, area, compute(x, sigma, area))
                self.forwards += 1
                self._remember(entry)
            found.append(entry.residuals)
        if all(one is found[0] for one in found):
            return [_repeat(residual, len(found)) for residual in found[0]]
        return [torch.cat(parts) for parts in zip(*found, strict=True)]

    def _forget_other_steps(self, chunks: Sequence[tuple[Tensor, Tensor, Area | None]]) -> None:
        """Before anything is computed, so that two steps never lie in memory together."""
        now = chunks[0][1]
        self.entries = [old for old in self.entries if old.sigma.shape == now.shape and torch.equal(old.sigma, now)]

    def _remember(self, entry: _Entry) -> None:
        size, kept = 0, [entry]
        for old in reversed(self.entries[-self.MOST + 1:]):
            size += sum(residual.nbytes for residual in old.residuals)
            if size > self.BYTES:
                break
            kept.insert(0, old)
        self.entries = kept


def _repeat(residual: Tensor, times: int) -> Tensor:
    """Several chunks of one frame need no copy: a view of the same numbers is added to each."""
    if times == 1 or residual.shape[0] == 1:
        return residual.expand(times * residual.shape[0], -1, -1, -1)
    return residual.repeat(times, 1, 1, 1)
