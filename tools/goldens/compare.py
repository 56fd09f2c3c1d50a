"""How far numbers are from the golden ones."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from ..stand_ins import GOLDEN

Tolerance = tuple[float, float]          # largest difference, and root mean square of it relative to the golden numbers'


@dataclass(frozen=True)
class Distance:
    """Of one tensor from the golden one."""

    name: str
    max_abs: float
    rel_rms: float
    allowed: Tolerance

    @property
    def holds(self) -> bool:
        """Whether both tolerances are kept; NaN is not close."""
        return self.max_abs <= self.allowed[0] and self.rel_rms <= self.allowed[1]

    def require(self) -> None:
        """Raises AssertionError where a tolerance is not kept."""
        if not self.holds:
            raise AssertionError(f"{self.name}: max abs {self.max_abs:.3g} (at most {self.allowed[0]}), "
                                 f"rel rms {self.rel_rms:.3g} (at most {self.allowed[1]})")


def distance(name: str, got: Any, want: Any, allowed: Tolerance) -> Distance:
    """got, want: tensors or arrays of one shape, on any device."""
    import torch
    got, want = (torch.as_tensor(value).detach().cpu().double() for value in (got, want))
    if got.shape != want.shape:
        raise AssertionError(f"{name}: {tuple(got.shape)} for {tuple(want.shape)}")
    if not got.numel():
        return Distance(name, 0.0, 0.0, allowed)
    scale = float(want.pow(2).mean().sqrt())
    apart = float((got - want).pow(2).mean().sqrt())
    return Distance(name, float((got - want).abs().max()), apart / scale if scale else apart, allowed)


@cache
def arrays(name: str) -> dict[str, Any]:
    """The arrays of tests/golden/<name>.npz."""
    import numpy as np
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)
