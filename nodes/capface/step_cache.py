"""One CapFace forward per step, whatever way the host splits the step."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .pieces import Piece

Residuals = list[Tensor]                        # 13: input blocks 0..11, then the middle block


@dataclass(frozen=True)
class _Entry:
    piece: Piece                                # its latents and sigma are copies
    residuals: Residuals


def _serves(mine: Piece, other: Piece) -> bool:
    """Whether the residuals of one piece are the other's too. On a card the answer waits for all that was begun there."""
    return (mine.frames == other.frames and other.place in (None, mine.place) and mine.x.shape == other.x.shape
            and mine.x.dtype == other.x.dtype and mine.x.device == other.x.device
            and torch.equal(mine.sigma, other.sigma) and torch.equal(mine.x, other.x))


class StepCache:
    """Residuals of the present step. CapFace reads no text, so equal latents at an equal sigma have equal residuals:
    positive and negative, in one call or several, perp-neg's third branch, and regions or tiles that coincide."""

    MOST = 16                                   # regions and tiles of a step remembered at once
    BYTES = 64 * 2**20                          # beyond the newest one, which is always kept

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        self.forwards = 0                       # counted for tests and benchmarks

    def collect(self, pieces: Sequence[Piece], compute: Callable[[Piece], Residuals]) -> Residuals:
        """Residuals of the whole batch, whose rows the pieces are in order."""
        self._forget_other_steps(pieces[0].sigma)
        sources = self._sources(pieces)         # before anything is computed: the card need not be waited for in between
        made: dict[int, _Entry] = {}
        found: list[Residuals] = []
        for source in sources:
            if isinstance(source, Piece):
                entry = made[id(source)] = made.get(id(source)) or self._computed(source, compute)
            else:
                entry = source
            found.append(entry.residuals)
        if all(one is found[0] for one in found):
            return [_repeat(residual, len(found)) for residual in found[0]]
        return [torch.cat(parts) for parts in zip(*found, strict=True)]

    def _sources(self, pieces: Sequence[Piece]) -> list[_Entry | Piece]:
        """What each piece's residuals come from: what is known of this step, or a piece of this call, itself or one before it."""
        sources: list[_Entry | Piece] = []
        for piece in pieces:
            known = next((entry for entry in self.entries if _serves(entry.piece, piece)), None)
            earlier = (source for source in sources if isinstance(source, Piece) and _serves(source, piece))
            sources.append(known or next(earlier, piece))
        return sources

    def _computed(self, piece: Piece, compute: Callable[[Piece], Residuals]) -> _Entry:
        entry = _Entry(piece.kept(), compute(piece))
        self.forwards += 1
        self._remember(entry)
        return entry

    def _forget_other_steps(self, now: Tensor) -> None:
        """Before anything is computed, so that two steps never lie in memory together."""
        self.entries = [old for old in self.entries if old.piece.sigma.shape == now.shape and torch.equal(old.piece.sigma, now)]

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
