"""Everything random in a step, from (seed, step, row of the batch) alone: the same on every device, with any number of
processes, and after a restart."""
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TIMESTEPS = 1000


@dataclass(frozen=True)
class Draws:
    """Random numbers of one batch, on the CPU."""

    timesteps: Tensor                           # [B] int64, 0..999, uniform
    noise: Tensor                               # [B, 4, h, w] what the network has to find
    latent_noise: Tensor                        # [B, 4, h, w] which latent of the autoencoder's distribution is taken
    text_dropped: Tensor                        # [B] bool
    identity_dropped: Tensor                    # [B] bool


def draw(seed: int, step: int, rows: Sequence[int], size: tuple[int, int], text_dropout: float = 0.0,
         identity_dropout: float = 0.0) -> Draws:
    """rows: places of these samples in the whole batch of the step; size: height and width of the latents."""
    made = [_draw_one(seed, step, row, size) for row in rows]
    timesteps, chances, pictures = (torch.stack(column) for column in zip(*made, strict=True))
    return Draws(timesteps, pictures[:, 0], pictures[:, 1], chances[:, 0] < text_dropout, chances[:, 1] < identity_dropout)


def _draw_one(seed: int, step: int, row: int, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    digest = hashlib.sha256(f"caphuman {seed} {step} {row}".encode()).digest()
    source = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    timestep = torch.randint(0, TIMESTEPS, (), generator=source)
    chances = torch.rand(2, generator=source)
    return timestep, chances, torch.randn(2, 4, *size, generator=source)
