"""Means and intervals against known answers."""
from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from caphuman_bench.score.stats import by_group, estimate


def test_a_known_mean():
    found = estimate(np.array([1.0, 2.0, 3.0, np.nan]), np.array([0, 0, 1, 1]))
    assert (found.mean, found.images, found.people) == (2.0, 3, 2)
    assert found.low == pytest.approx(1.5)                  # only person 0
    assert found.high == pytest.approx(3.0)                 # only person 1


def test_missing_is_left_out_and_not_zero():
    assert estimate(np.array([0.5, np.nan, np.nan]), np.array([0, 1, 2])).mean == 0.5
    assert estimate(np.full(3, np.nan), np.arange(3)) is None


def test_a_constant_has_no_width():
    found = estimate(np.full(40, 0.1), np.repeat(np.arange(10), 4))
    assert (found.low, found.high) == (found.mean, found.mean)


def test_one_person_has_no_interval():
    assert estimate(np.array([1.0, 2.0]), np.array([7, 7])).low is None


def test_equal_scores_give_equal_intervals():
    values, people = np.random.default_rng(0).normal(size=60), np.repeat(np.arange(12), 5)
    assert estimate(values, people) == estimate(values, people)


def test_groups_are_each_on_their_own():
    generator = np.random.default_rng(1)
    values, people, groups = generator.normal(size=300), np.repeat(np.arange(20), 15), np.tile(np.arange(3), 100)
    together = by_group(values, people, groups, 4)
    for number in range(3):
        alone = estimate(np.where(groups == number, values, np.nan), people)
        assert together[number].mean == pytest.approx(alone.mean)
        assert together[number].low == pytest.approx(alone.low)
        assert together[number].images == 100
    assert together[3] is None


def test_the_interval_is_scipys():
    """With one image per person the cluster bootstrap is the plain one."""
    values = np.random.default_rng(2).gamma(3, size=60)
    found = estimate(values, np.arange(60))
    theirs = scipy_stats.bootstrap((values,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(3))
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    # Two bootstraps of a few thousand draws differ by about 2 % of the interval's width at each end.
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.06 * width)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.06 * width)


def test_intervals_hold_the_truth_as_often_as_they_say_although_a_persons_images_are_alike():
    """Simulated people with strongly alike images: 95 % intervals must hold the true mean about 95 % of the time, where
    intervals that take images for independent hold it far less often."""
    generator, trials, people, images = np.random.default_rng(4), 400, 40, 20
    person = np.repeat(np.arange(people), images)
    held, naive = 0, 0
    for _ in range(trials):
        values = 0.5 + np.repeat(generator.normal(0, 0.1, people), images) + generator.normal(0, 0.05, people * images)
        found = by_group(values, person, np.zeros(len(values), dtype=int), 1, draws=500)[0]
        held += found.low <= 0.5 <= found.high
        half = 1.96 * values.std() / len(values) ** 0.5
        naive += abs(values.mean() - 0.5) <= half
    # Binomial spread over 400 trials is 1.1 %; a percentile bootstrap of 40 people holds about 94 %.
    assert 0.90 <= held / trials <= 0.985
    assert naive / trials < 0.7
