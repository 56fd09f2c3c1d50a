"""Means with confidence intervals: a cluster bootstrap over people, since images of one person are not independent.

People are drawn with replacement, each with all of its images; the interval is the 2.5th to 97.5th percentile of the mean of all
drawn images (Davison and Hinkley 1997, section 3.8). Draws are seeded: the same scores give the same intervals.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
SEED = 20240617
LEVEL = 0.95
FEW = 10                                 # people below which the intervals are known to be too narrow


@dataclass(frozen=True)
class Estimate:
    """A mean over images. low, high: the 95 % interval over people; None with fewer than two people."""

    mean: float
    low: float | None
    high: float | None
    images: int
    people: int


def estimate(
    values: NDArray[np.floating],        # [N], NaN: missing, left out
    people: NDArray[np.integer],         # [N] number of the person, 0..P-1
) -> Estimate | None:
    """The mean of all values; None if all are missing."""
    return by_group(values, people, np.zeros(len(values), dtype=np.int64), 1)[0]


def by_group(
    values: NDArray[np.floating],        # [N], NaN: missing, left out
    people: NDArray[np.integer],         # [N] number of the person, 0..P-1
    groups: NDArray[np.integer],         # [N] number of the group, 0..G-1; negative: in none
    count: int,                          # G
    draws: int = DRAWS,
) -> list[Estimate | None]:
    """One estimate per group; None for groups without a value. All groups share the draws of people."""
    use = np.isfinite(values) & (groups >= 0)
    values, people, groups = values[use].astype(np.float64), people[use], groups[use]
    if not len(values):
        return [None] * count
    known, person = np.unique(people, return_inverse=True)
    cell = person * count + groups
    images = np.bincount(cell, minlength=len(known) * count).reshape(len(known), count)          # [P, G]
    sums = np.bincount(cell, values, minlength=len(known) * count).reshape(len(known), count)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums.sum(0) / images.sum(0)
    # Deviations are summed rather than values: a constant then has an interval of exactly no width.
    low, high = _interval(sums - images * np.where(np.isfinite(means), means, 0), images, draws)
    return [_estimate(means[g], means[g] + low[g], means[g] + high[g], images[:, g]) for g in range(count)]


def _interval(sums: NDArray, images: NDArray, draws: int) -> tuple[NDArray, NDArray]:
    """Percentiles of drawn ratios sum / images, per group; [P, G] each -> [G], [G]."""
    size = len(sums)
    generator = np.random.default_rng(SEED)
    weights = generator.multinomial(size, np.full(size, 1 / size), size=draws).astype(np.float64)      # [draws, P]
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = (weights @ sums) / (weights @ images)
    drawn[~np.isfinite(drawn)] = np.nan                                     # a draw without anyone of that group
    tail = (1 - LEVEL) / 2 * 100
    ends = [np.full(images.shape[1], np.nan)] * 2
    some = np.isfinite(drawn).any(0)
    if some.any():
        low, high = np.nanpercentile(drawn[:, some], [tail, 100 - tail], axis=0)
        ends = [np.full(images.shape[1], np.nan) for _ in range(2)]
        ends[0][some], ends[1][some] = low, high
    return ends[0], ends[1]


def _estimate(mean: float, low: float, high: float, images: NDArray) -> Estimate | None:
    people = int((images > 0).sum())
    if not people:
        return None
    if people < 2:
        return Estimate(float(mean), None, None, int(images.sum()), people)
    return Estimate(float(mean), float(low), float(high), int(images.sum()), people)
