"""How something gets from 0 to 1 while time goes from 0 to 1."""
from __future__ import annotations

from collections.abc import Callable

EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "ease in": lambda t: t * t,
    "ease out": lambda t: t * (2 - t),
    "ease in and out": lambda t: t * t * (3 - 2 * t),
}
