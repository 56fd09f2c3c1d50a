"""The numbers of a report: every metric over all images, per prompt kind, head condition, prompt and person."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..score.metrics import Metric
from ..score.stats import Estimate, by_group
from .data import RunData

SCOPES = {"all": "All images", "kind": "Prompt kind", "head": "Head condition", "prompt": "Prompt", "person": "Person"}


@dataclass(frozen=True)
class Line:
    """One metric in one group of images."""

    scope: str                           # one of SCOPES
    group: str
    metric: Metric
    estimate: Estimate | None            # None: no value in this group
    missing: int                         # images of the group that are there but have no value


def lines(run: RunData) -> list[Line]:
    """All lines of a run, metrics in order, groups in the plan's order."""
    return [line for metric in run.metrics for scope in SCOPES for line in _scope(run, metric, scope)]


def groups_of(run: RunData, scope: str) -> tuple[list[str], np.ndarray]:
    """Names of the groups of a scope and, per image, the number of its group."""
    if scope == "kind":
        return run.kind_names, run.kinds
    if scope == "head":
        return [entry.key for entry in run.plan.heads], run.heads
    if scope == "prompt":
        return [entry.key for entry in run.plan.prompts], run.prompts
    if scope == "person":
        return [entry.name for entry in run.plan.identities], run.people
    return ["all"], np.zeros(len(run.records), dtype=np.int64)


def _scope(run: RunData, metric: Metric, scope: str) -> Iterator[Line]:
    names, numbers = groups_of(run, scope)
    values = run.values[metric.name]
    # The interval is over people: for one person there is none, so nothing needs drawing.
    found = by_group(values, run.people, numbers, len(names), draws=1 if scope == "person" else 2000)
    lacking = run.done & ~np.isfinite(values)
    missing = np.bincount(numbers[lacking], minlength=len(names))
    for number, name in enumerate(names):
        yield Line(scope, name, metric, found[number], int(missing[number]))


def as_row(line: Line) -> dict[str, Any]:
    """A line for CSV and JSON."""
    numbers: dict[str, Any] = dict.fromkeys(("mean", "low", "high", "images", "people"))
    if line.estimate is not None:
        numbers |= asdict(line.estimate)
    return {"scope": line.scope, "group": line.group, "metric": line.metric.name, **numbers, "missing": line.missing}


def number(value: float | None) -> str:
    """Three or four digits; "–" for what is missing."""
    if value is None:
        return "–"
    size = abs(value)
    decimals = 1 if size >= 100 else 2 if size >= 10 else 3 if size >= 0.1 or not size else 4
    return f"{round(value, decimals) + 0.0:.{decimals}f}"            # + 0.0: no minus before zeros
