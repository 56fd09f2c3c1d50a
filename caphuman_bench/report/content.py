"""What a report says beside its numbers: settings, failures, notes; and report.json."""
from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..score.metrics import METRICS
from ..score.stats import DRAWS
from .compare import Difference, Pairs, differences_in_plan, not_compared
from .data import RunData
from .reference import Column
from .sharing import shareable
from .tables import Line, as_row

FORMAT = "caphuman-bench-report/1"
ERRORS_SHOWN = 10


def content_of(runs: Sequence[RunData], tables: Sequence[Sequence[Line]], columns: Sequence[Column], pairs: Pairs | None,
             changes: Sequence[Difference]) -> dict[str, Any]:
    """report.json."""
    content: dict[str, Any] = {
        "format": FORMAT, "made_at": now(), "interval": interval_text(), "metrics": [asdict(metric) for metric in METRICS],
        "runs": [{**settings_of(run), "lines": [as_row(line) for line in table]} for run, table in zip(runs, tables, strict=True)],
        "reference": [asdict(column) for column in columns]}
    if pairs is not None:
        content["comparison"] = {"common_images": len(pairs.first), "notes": comparison_notes(runs[0], runs[1]),
                                 "differences": [difference_row(change) for change in changes]}
    return content


def settings_of(run: RunData) -> dict[str, Any]:
    """What made a run's numbers; nothing in it tells of this machine's folders."""
    plan = run.plan
    return shareable({"name": run.name, "digest": plan.digest, "images": len(run.records), "counts": run.counts,
            "identities": [{"name": e.name, "photos": len(e.photos)} for e in plan.identities],
            "prompts": [asdict(e) for e in plan.prompts], "heads": [asdict(e) for e in plan.heads],
            "samples": plan.samples, "seed": plan.seed, "workflow": plan.workflow,
            "slots": {name: [asdict(target) for target in targets] for name, targets in plan.slots.items()},
            "notes": list(plan.notes), "errors": _errors(run),
            "seconds_per_image": _mean_seconds(run), "servers": dict(run.servers), "scoring": dict(run.score_info),
            "tool": tool_version()})


def tool_version() -> str:
    """Of this tool, which is the pack's; "?" where it is not known."""
    try:
        text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return "?"
    found = re.search(r'^version = "([^"]+)"', text, re.MULTILINE)
    return found[1] if found else "?"


def _errors(run: RunData) -> list[dict[str, Any]]:
    found = Counter(record.error for record in run.records if record.status == "failed" and record.error)
    return [{"error": error, "images": count} for error, count in found.most_common(ERRORS_SHOWN)]


def _mean_seconds(run: RunData) -> float | None:
    took = [record.seconds for record in run.records if record.status == "done" and record.seconds is not None]
    return sum(took) / len(took) if took else None


def comparison_notes(first: RunData, second: RunData) -> list[str]:
    notes = differences_in_plan(first, second)
    return [*notes, *(f"Not compared, as measured with {reason}: {', '.join(titles)}."
                      for reason, titles in not_compared(first, second).items())]


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def interval_text() -> str:
    return (f"Means over images; the small print is a 95 % bootstrap interval over people ({DRAWS:,} draws of people with "
            "replacement, all images of a person together, seeded).")


def difference_row(change: Difference) -> dict[str, Any]:
    """A difference for CSV and JSON."""
    end = change.change
    return {"metric": change.metric.name, "first": change.first.mean, "second": change.second.mean, "change": end.mean,
            "low": end.low, "high": end.high, "images": end.images, "people": end.people, "verdict": change.verdict}
