"""Equal runs: bit-equal with the host's --deterministic, and what differs without.

This part runs under --deterministic and with cuBLAS's workspace fixed (parts.py); the rows without switch that off again.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from . import fast_hint
from . import world as worlds
from .rows import Row, Setting, Values

RUNS = {"full": 10, "narrow": 3}


@cache
def _world(setting: Setting) -> worlds.World:
    return worlds.make(setting, steps=5 if setting.full else 2)


def equal(setting: Setting, work: Callable[[], Any]) -> Values:
    """How many of the runs give the first one's numbers, bit for bit, and how far the others are away."""
    import torch
    count = RUNS[setting.size]
    found = [work().float().cpu() for _ in range(count)]
    same = sum(torch.equal(found[0], other) for other in found)
    return {"runs": count, "bit-equal": same, "largest difference": max(float((found[0] - other).abs().max()) for other in found)}


def sampling(setting: Setting, deterministic: bool) -> Values:
    """A whole run with a person."""
    import torch
    world = _world(setting)
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    pair = worlds.with_capface(world)
    return equal(setting, lambda: world.sample(pair))


def drawing(setting: Setting, deterministic: bool) -> Values:
    """A hint: sums of normals over shared vertices and the nearest face of each pixel come by scattering."""
    import torch
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    work = fast_hint.drawing(setting, fast_hint.SIDES[setting.size][0], 1)
    return equal(setting, lambda: work().hint().maps)


ROWS = (
    Row("sampling, deterministic", lambda setting: sampling(setting, True), gigabytes=6, seconds=15),
    Row("sampling, as it is", lambda setting: sampling(setting, False), gigabytes=6, seconds=8),
    Row("hint, deterministic", lambda setting: drawing(setting, True), gigabytes=1, seconds=2),
    Row("hint, as it is", lambda setting: drawing(setting, False), gigabytes=1, seconds=2),
)
