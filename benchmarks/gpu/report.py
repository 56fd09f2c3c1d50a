"""The outcomes as Markdown tables, one for each part, with what was left out and why below; and the targets, judged."""
from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .child import read
from .rows import Outcome, Setting
from .targets import TARGETS, Target

TABLES = "tables.md"
STATES = ("done", "failed", "left out", "no time")


def write(out: Path, setting: Setting) -> None:
    """tables.md from what rows.jsonl holds, replaced in one move."""
    partial = out / f"{TABLES}.part"
    partial.write_text(page(read(out), setting), encoding="utf-8")
    os.replace(partial, out / TABLES)


def page(outcomes: Sequence[Outcome], setting: Setting) -> str:
    """All tables."""
    where = f"on {setting.device}, {setting.size} size"
    parts = dict.fromkeys(outcome.part for outcome in outcomes)
    tables = [table(part, [outcome for outcome in outcomes if outcome.part == part]) for part in parts]
    return "\n\n".join([f"# dev.py gpu, {where}", summary(outcomes), *tables, targets(outcomes, setting)]) + "\n"


def table(part: str, outcomes: Sequence[Outcome]) -> str:
    """One part: a line for each row that was done, and a sentence for each that was not."""
    lines = [f"## {part}", ""]
    for columns, done in alike([outcome for outcome in outcomes if outcome.state == "done"]):
        lines += [line(["", *columns]), line(["---"] * (len(columns) + 1))]
        lines += [line([outcome.row, *(shown(outcome.values.get(column)) for column in columns)]) for outcome in done]
        lines.append("")
    lines += [f"- {outcome.row}: {outcome.state}: {outcome.said}" for outcome in outcomes if outcome.state != "done"]
    return "\n".join(lines).rstrip()


def alike(outcomes: Sequence[Outcome]) -> list[tuple[list[str], list[Outcome]]]:
    """Outcomes that share a column stand in one table, in the order in which they came."""
    found: list[tuple[list[str], list[Outcome]]] = []
    for outcome in outcomes:
        if not found or not set(found[-1][0]) & set(outcome.values):
            found.append(([], []))
        columns, lines = found[-1]
        columns += [column for column in outcome.values if column not in columns]
        lines.append(outcome)
    return found


def line(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def shown(value: Any) -> str:
    """A value as it stands in a table: three digits of what was measured, whole numbers whole."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many rows came out how."""
    counts = Counter(outcome.state for outcome in outcomes)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]) or "nothing was asked"


def targets(outcomes: Sequence[Outcome], setting: Setting) -> str:
    """Each target beside what was measured. They are promises about a card: without one nothing is judged."""
    lines = ["## Targets", "", line(["target", "at most", "measured", "met"]), line(["---"] * 4)]
    for target in TARGETS:
        value = measured(target, outcomes)
        judged = setting.device == "cuda" and setting.full and value is not None
        met = shown(value <= target.most) if judged and value is not None else "not judged: " + (
            "not measured" if setting.device == "cuda" else "no card")
        lines.append(line([target.name, shown(target.most), shown(value) if judged else "", met]))
    return "\n".join(lines)


def measured(target: Target, outcomes: Sequence[Outcome]) -> float | None:
    """The value that a target is about, where its row was done."""
    return next((outcome.values.get(target.column) for outcome in outcomes
                 if (outcome.part, outcome.row, outcome.state) == (target.part, target.row, "done")), None)
