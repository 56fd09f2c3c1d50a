"""The processes of a training: who this one is, and what they tell each other. One process needs none of it."""
from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

PATIENCE = timedelta(hours=2)                   # others wait while the first draws pictures and writes checkpoints


@dataclass(frozen=True)
class World:
    """rank 0 writes; all compute."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return bool(self.sum(torch.tensor(float(flag), device=self.device)))

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes, in each."""
        if self.size > 1:
            value = value.clone()
            torch.distributed.all_reduce(value)
        return value

    def gather(self, value: Any) -> list[Any]:
        """What each process has, by rank, in each."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """For all to come here."""
        if self.size > 1:
            torch.distributed.barrier()


def join_world(device: str = "") -> World:
    """The world that torchrun's environment, or Ray, has laid out; this process alone without one.

    device: "" takes the graphics card of this process's place on its machine, where there is one.
    """
    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    size = torch.distributed.get_world_size() if ready else int(os.environ.get("WORLD_SIZE", "1"))
    place = _device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if size > 1 and not ready:
        torch.distributed.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=PATIENCE)
        ready = True
    return World(torch.distributed.get_rank() if ready else 0, size, place)


def _device(chosen: str) -> torch.device:
    if chosen:
        return torch.device(chosen)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


def leave_world() -> None:
    """End what `join_world` began."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
