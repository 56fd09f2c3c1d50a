"""Batches by number: what a step sees depends on the seed and the step alone.

Nothing is remembered from step to step, so a resumed run sees what the run that was never stopped would have seen, and two
processes with batches of 8 see what one with batches of 16 sees.
"""
from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from caphuman_core.check import require

from .batch import Batch, collate
from .sample import in_plain_skin
from .shards import Shards

if TYPE_CHECKING:
    from torch import Tensor

    from caphuman_core.head.model.head_model import HeadModel

__all__ = ["Batch", "Shards", "batch_at", "prefetch"]


def batch_at(shards: Shards, step: int, batch: int, seed: int, rank: int, world: int, flip_probability: float,
             head_model: HeadModel, plain_skin_probability: float = 0.0) -> Batch:
    """The batch of one process at one step.

    batch: samples for each process; all of a step are `world` * `batch` places of one endless line, in which the samples stand
    once each in every epoch, in an order of that epoch's own. Where a person has several photos, the reference is drawn among
    the others; a flip and a plain skin of the hint are drawn for each place.
    """
    first = (step * world + rank) * batch
    samples = []
    for place in range(first, first + batch):
        index = _index_at(place, len(shards), seed)
        flip, other, plain = _draws(seed, place)
        others = shards.others(index)
        reference = others[int(other * len(others))] if others else index
        sample = shards.sample(index, reference, flip < flip_probability)
        samples.append(in_plain_skin(sample) if plain < plain_skin_probability else sample)
    return collate(samples, head_model)


def _index_at(place: int, count: int, seed: int) -> int:
    """Which sample stands at a place of the endless line."""
    epoch, at = divmod(place, count)
    return int(_order(count, seed, epoch)[at])


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> Tensor:
    """The samples in the order of one epoch."""
    import torch
    return torch.randperm(count, generator=torch.Generator().manual_seed(number_of(f"order {seed} {epoch}") >> 1))


def _draws(seed: int, place: int) -> tuple[float, ...]:
    """Numbers from 0 to below 1 for a place: flip, reference, plain skin."""
    return tuple(number_of(f"{kind} {seed} {place}") / 2 ** 64 for kind in ("flip", "reference", "plain skin"))


def number_of(text: str) -> int:
    """64 bits that follow from a text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


class _Steps:
    """Batches of one process by step, for torch's DataLoader."""

    def __init__(self, *arguments: object) -> None:
        self._arguments = arguments

    def __getitem__(self, step: int) -> Batch:
        import torch
        torch.set_num_threads(1)         # of a worker: they share the cores among themselves
        shards, *rest = self._arguments
        return batch_at(shards, step, *rest)  # type: ignore[arg-type]


def prefetch(shards: Shards, start: int, stop: int, batch: int, seed: int, rank: int, world: int, flip_probability: float,
             head_model: HeadModel, workers: int = 2, ahead: int = 2,
             plain_skin_probability: float = 0.0) -> Iterator[tuple[int, Batch]]:
    """(step, batch) for the steps from `start` to before `stop`, in order, made by worker processes in advance.

    workers: processes; 0 makes each batch when it is asked for, in this one. ahead: batches that each worker keeps ready.
    """
    require(start <= stop and workers >= 0 and ahead >= 1, "prefetch", "must have start <= stop, workers >= 0 and ahead >= 1",
            (start, stop, workers, ahead), "correct the numbers")
    arguments = (shards, batch, seed, rank, world, flip_probability, head_model, plain_skin_probability)
    if workers == 0:
        for step in range(start, stop):
            yield step, batch_at(shards, step, *arguments[1:])
        return
    from torch.utils.data import DataLoader
    loader = DataLoader(_Steps(*arguments), batch_size=None, sampler=range(start, stop), num_workers=workers,  # type: ignore[arg-type]
                        prefetch_factor=ahead)
    yield from zip(range(start, stop), loader, strict=True)
