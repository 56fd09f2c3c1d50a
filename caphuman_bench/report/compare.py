"""Two runs, image by image: the same person, prompt, head condition and sample in both."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..score.metrics import Metric
from ..score.stats import Estimate, estimate
from .data import RunData


@dataclass(frozen=True)
class Pairs:
    """Rows of the images that both runs plan: first[i] and second[i] are one place of the benchmark."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]


@dataclass(frozen=True)
class Difference:
    """One metric: means over the images that have a value in both runs, and second - first with its paired interval."""

    metric: Metric
    first: Estimate
    second: Estimate
    change: Estimate
    verdict: str                         # "better", "worse", "different" (neither way is better), "undecided"


def pair(first: RunData, second: RunData) -> Pairs:
    """The common images, in the first run's order."""
    place = {(r.identity, r.head, r.prompt, r.sample): row for row, r in enumerate(second.records)}
    found = [(row, place[key]) for row, r in enumerate(first.records) if (key := (r.identity, r.head, r.prompt, r.sample)) in place]
    rows = np.array(found, dtype=np.int64).reshape(-1, 2)
    return Pairs(rows[:, 0], rows[:, 1])


def differences(first: RunData, second: RunData, pairs: Pairs) -> list[Difference]:
    """One entry per metric that both runs have with common images."""
    people = first.people[pairs.first]
    entries = []
    for metric in first.metrics:
        if metric.name not in second.values or judge_of(first, metric) != judge_of(second, metric):
            continue
        a, b = first.values[metric.name][pairs.first], second.values[metric.name][pairs.second]
        both = np.isfinite(a) & np.isfinite(b)
        parts = [estimate(part[both].astype(np.float64), people[both]) for part in (a, b, b.astype(np.float64) - a)]
        if parts[0] is not None and parts[1] is not None and parts[2] is not None:
            entries.append(Difference(metric, parts[0], parts[1], parts[2], _verdict(metric, parts[2])))
    return entries


def judge_of(run: RunData, metric: Metric) -> str:
    """What measured this metric in that run."""
    return run.score_info.get("versions", {}).get(metric.group, "")


def different_judges(first: RunData, second: RunData) -> list[str]:
    """Titles of metrics that both runs have, but from different judges: they are not compared."""
    return [metric.title for metric in first.metrics
            if metric.name in second.values and judge_of(first, metric) != judge_of(second, metric)]


def differences_in_plan(first: RunData, second: RunData) -> list[str]:
    """Sentences on what else differs between the runs than the graph: such differences are not the graph's doing."""
    notes = []
    for what, entries in (("prompts", lambda run: {p.key: p.text for p in run.plan.prompts}),
                          ("head conditions", lambda run: {h.key: dict(h.values) for h in run.plan.heads})):
        a, b = entries(first), entries(second)
        changed = sorted(key for key in set(a) & set(b) if a[key] != b[key])
        if changed:
            notes.append(f"The runs have different {what} under the same key: {', '.join(changed)}.")
    people = {entry.name: first.plan.hashes.get(entry.reference) for entry in first.plan.identities}
    other = sorted(entry.name for entry in second.plan.identities
                   if entry.name in people and people[entry.name] != second.plan.hashes.get(entry.reference))
    return notes + ([f"The runs have different reference photos of: {', '.join(other)}."] if other else [])


def _verdict(metric: Metric, change: Estimate) -> str:
    if change.low is None or change.high is None or change.low <= 0 <= change.high:
        return "undecided"
    if not metric.better:
        return "different"
    return "better" if (change.mean > 0) == (metric.better > 0) else "worse"
