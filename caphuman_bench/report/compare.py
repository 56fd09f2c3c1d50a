"""Two runs, image by image: the same person, prompt, head condition and sample in both."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..plan import Plan
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
    """The common images, in the first run's order: of people, heads and prompts that are the same, not only named the same."""
    unlike = [set(names) for names in _unlike(first.plan, second.plan).values()]
    place = {(r.identity, r.head, r.prompt, r.sample): row for row, r in enumerate(second.records)}
    found = [(row, place[key]) for row, r in enumerate(first.records)
             if (key := (r.identity, r.head, r.prompt, r.sample)) in place
             and not any(name in names for name, names in zip(key, unlike, strict=False))]
    rows = np.array(found, dtype=np.int64).reshape(-1, 2)
    return Pairs(rows[:, 0], rows[:, 1])


def differences(first: RunData, second: RunData, pairs: Pairs) -> list[Difference]:
    """One entry per metric that both runs have with common images and that measures the same in both."""
    people = first.people[pairs.first]
    entries = []
    for metric in first.metrics:
        if metric.name not in second.values or why_not(first, second, metric):
            continue
        a, b = first.values[metric.name][pairs.first], second.values[metric.name][pairs.second]
        both = np.isfinite(a) & np.isfinite(b)
        parts = [estimate(part[both].astype(np.float64), people[both]) for part in (a, b, b.astype(np.float64) - a)]
        if parts[0] is not None and parts[1] is not None and parts[2] is not None:
            entries.append(Difference(metric, parts[0], parts[1], parts[2], _verdict(metric, parts[2])))
    return entries


def why_not(first: RunData, second: RunData, metric: Metric) -> str:
    """Why this metric of two runs cannot be compared; "" if it can."""
    judges = [run.score_info.get("versions", {}).get(metric.group, "") for run in (first, second)]
    if judges[0] != judges[1]:
        return "different judges"
    if _rivals(first.plan, metric) != _rivals(second.plan, metric):
        return "different prompts to be told apart from"
    if metric.name.startswith("copy_paste_"):
        photos = [{e.name: {run.plan.hashes.get(photo, photo) for photo in e.photos} for e in run.plan.identities}
                  for run in (first, second)]
        if any(photos[0][name] != photos[1][name] for name in photos[0].keys() & photos[1].keys()):
            return "different other photos of the people"
    return ""


def _rivals(plan: Plan, metric: Metric) -> set[Any]:
    """What an accuracy tells an image's prompt from; empty for other metrics."""
    if metric.name == "prompt_accuracy":
        return {prompt.text for prompt in plan.prompts}
    return {(prompt.kind, prompt.expects) for prompt in plan.prompts} if metric.name == "phrase_accuracy" else set()


def not_compared(first: RunData, second: RunData) -> dict[str, list[str]]:
    """Titles of metrics that both runs have and that are not compared, by reason."""
    found: dict[str, list[str]] = {}
    for metric in first.metrics:
        if metric in second.metrics and (reason := why_not(first, second, metric)):
            found.setdefault(reason, []).append(metric.title)
    return found


def differences_in_plan(first: RunData, second: RunData) -> list[str]:
    """Sentences on what else differs between the runs than the graph: such differences are not the graph's doing."""
    unlike = _unlike(first.plan, second.plan)
    notes = [f"The runs have different {what} under the same key: {', '.join(unlike[what])}. Their images are not compared."
             for what in ("head conditions", "prompts") if unlike[what]]
    if unlike["people"]:
        notes.append(f"The runs have different reference photos of: {', '.join(unlike['people'])}. Their images are not compared.")
    forms = [sorted({target.form for target in run.plan.slots.get("head", ())}) for run in (first, second)]
    if forms[0] != forms[1]:
        notes.append(f"The graphs take heads in different forms ({' and '.join(', '.join(form) or 'none' for form in forms)}): "
                     "what is asked of light and expression is not the same.")
    return notes


def _unlike(first: Plan, second: Plan) -> dict[str, list[str]]:
    """People, head conditions and prompts (in this order) that have one name in both plans and are not the same."""
    def content(plan: Plan) -> tuple[dict[str, Any], ...]:
        return ({e.name: plan.hashes.get(e.reference) for e in plan.identities},
                {h.key: dict(h.values) or plan.hashes.get(h.file or h.picture) for h in plan.heads},
                {p.key: p.text for p in plan.prompts})
    return {what: sorted(name for name in a.keys() & b.keys() if a[name] != b[name])
            for what, a, b in zip(("people", "head conditions", "prompts"), content(first), content(second), strict=True)}


def _verdict(metric: Metric, change: Estimate) -> str:
    if change.low is None or change.high is None or change.low <= 0 <= change.high:
        return "undecided"
    if not metric.better:
        return "different"
    return "better" if (change.mean > 0) == (metric.better > 0) else "worse"
