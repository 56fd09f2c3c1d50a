"""The optimizer, the learning rate of each step, the running mean of the weights."""
from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from caphuman_core.check import fail

if TYPE_CHECKING:
    from .settings import Optimizer, Schedule


def make_optimizer(parameters: Iterable[nn.Parameter], settings: Optimizer) -> torch.optim.Optimizer:
    """AdamW. Its learning rate is set before each step."""
    options: dict[str, Any] = {"lr": settings.lr, "betas": (settings.beta1, settings.beta2), "eps": settings.eps,
                               "weight_decay": settings.weight_decay}
    if settings.name == "adamw":
        return torch.optim.AdamW(parameters, **options)
    try:
        from bitsandbytes.optim import AdamW8bit  # pyright: ignore[reportPrivateImportUsage, reportMissingImports]
    except ImportError as error:
        fail("setting optimizer.name 'adamw8bit'", "needs the Python package bitsandbytes", str(error),
             "run `pip install bitsandbytes`")
    return AdamW8bit(parameters, **options)


def learning_rate(step: int, steps: int, lr: float, schedule: Schedule) -> float:
    """Of the step after `step` finished ones, of `steps` in all."""
    if step < schedule.warmup_steps:
        return lr * (step + 1) / schedule.warmup_steps
    if schedule.name == "constant":
        return lr
    run = min(1.0, (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps))
    share = schedule.final_share + (1 - schedule.final_share) * (1 + math.cos(math.pi * run)) / 2
    return lr * share


class RunningMean:
    """An exponential mean of the weights, in float32. It follows closely at first: the start's weights soon count for nothing."""

    def __init__(self, weights: dict[str, Tensor], decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in weights.items()}

    @torch.no_grad()
    def follow(self, weights: dict[str, Tensor], steps: int) -> None:
        """steps: finished, this one included."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        for name, mean in self.weights.items():
            mean.lerp_(weights[name].detach(), 1 - decay)
