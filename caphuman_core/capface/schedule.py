"""Strength over a run and over frames, as users write it."""
from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..check import fail, require
from ..easings import EASINGS
from .frames import value_for_frames

CURVES = {**EASINGS, "hold": lambda t: 0.0}             # hold stays at a point's value until the next point


@dataclass(frozen=True)
class Schedule:
    """A strength that changes over the sampling run; () is 1 throughout."""

    points: tuple[tuple[float, float], ...] = ()    # (fraction of the run 0..1, value), ascending
    easing: str = "linear"

    def at(self, fraction: float) -> float:
        """The value at a fraction (0 start, 1 end) of the run; the end points hold outside."""
        if not self.points:
            return 1.0
        index = bisect_right([position for position, _ in self.points], fraction)
        if index == 0:
            return self.points[0][1]
        if index == len(self.points):
            return self.points[-1][1]
        (start, before), (end, after) = self.points[index - 1], self.points[index]
        return before + (after - before) * CURVES[self.easing]((fraction - start) / (end - start))


def parse_schedule(text: str, easing: str = "linear") -> Schedule:
    """Read "0: 1, 0.5: 0.6, 100%: 0" (also one point a line). Positions are 0..1, or carry a % sign.

    An empty text is 1 throughout. Raises InputError for anything that is not such a list.
    """
    parts = [part.strip() for part in text.replace("\n", ",").replace(";", ",").split(",") if part.strip()]
    points = sorted(_point(part) for part in parts)
    for (first, _), (second, _) in pairwise(points):
        require(first < second, "strength_schedule", "must name each position once", f"{first:g} twice", "remove one of them")
    require(easing in CURVES, "easing", f"must be one of {', '.join(CURVES)}", repr(easing), "choose one of them")
    return Schedule(tuple(points), easing)


def _point(part: str) -> tuple[float, float]:
    position_text, colon, value_text = part.partition(":")
    percent = position_text.strip().endswith("%")
    try:
        position, value = float(position_text.strip().removesuffix("%")), float(value_text)
    except ValueError:
        position = value = math.nan
    position = position / 100 if percent else position
    if not (colon and 0 <= position <= 1 and math.isfinite(value)):
        fail("strength_schedule", "must be points 'position: strength' with positions from 0 to 1, or from 0% to 100%",
             repr(part), "write for example 0: 1, 0.5: 0.6, 1: 0")
    return position, value


def parse_values(text: str, name: str = "frame_strengths") -> tuple[float, ...]:
    """Read "1, 0.8, 0.5" (one number a frame) as a tuple; () for an empty text. Raises InputError."""
    parts = [part for part in text.replace("\n", ",").replace(";", ",").split(",") if part.strip()]
    try:
        values = tuple(float(part) for part in parts)
        if all(math.isfinite(value) for value in values):
            return values
    except ValueError:
        pass
    fail(name, "must be numbers with commas between them, one for each frame", repr(text), "write for example 1, 0.8, 0.6")


def strengths(strength: float, schedule: Schedule, per_frame: Sequence[float], fraction: float,
              frames: Sequence[int]) -> list[float]:
    """The strength of each frame at a fraction of the run: the product of all three knobs."""
    now = strength * schedule.at(fraction)
    return [now * value for value in value_for_frames(per_frame or (1.0,), frames)]
