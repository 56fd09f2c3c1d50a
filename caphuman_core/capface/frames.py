"""Which entry serves which frame, and when identity tokens are heard."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def entries_for_frames(count: int, frames: Sequence[int]) -> list[int]:
    """The entry, of `count`, that serves each frame: frame i takes entry i.

    The host's rule for control batches: one entry serves every frame, too few start over from the
    first (3 entries over 4 frames: 0, 1, 2, 0), too many are left unused.
    """
    return [frame % count for frame in frames]


def value_for_frames(values: Sequence[float], frames: Sequence[int]) -> list[float]:
    """Per-frame numbers: frame i takes value i; the last one holds for later frames."""
    return [values[min(frame, len(values) - 1)] for frame in frames]


def identity_heard(timesteps: Tensor, tau: int) -> Tensor:
    """1 where identity tokens act, 0 where id dropout silences them.

    timesteps: [B], 0..999, high is early in the run; tau: 0 switches the rule off, else tokens are
    silent while t > tau and heard at t <= tau. Returns [B] float32.
    """
    if tau == 0:
        return torch.ones(timesteps.shape, dtype=torch.float32, device=timesteps.device)
    return (timesteps <= tau).to(torch.float32)
