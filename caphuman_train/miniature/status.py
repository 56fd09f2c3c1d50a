"""How far a miniature is, for people."""
from __future__ import annotations

from collections.abc import Sequence

from .training import LOSSES
from .work import Work

POINTS = 8                                       # of a loss curve that are told


def status(work: Work, names: Sequence[str]) -> str:
    """A line for each stage, and some points of its loss curve."""
    return "".join(_told(work, name) for name in names)


def _told(work: Work, name: str) -> str:
    state = "done" if work.is_done(name) else "begun" if work.place(name).is_dir() else "to come"
    lines = [f"{name:12} {state}"]
    path = work.place(name) / LOSSES
    if path.is_file():
        rows = [row.split("\t") for row in path.read_text(encoding="utf-8").splitlines()[1:]]
        chosen = rows[::max(1, len(rows) // POINTS)]
        if chosen and chosen[-1] is not rows[-1]:
            chosen.append(rows[-1])
        lines += [f"    step {int(step):>7,}  loss {float(loss):.4f}  {float(speed):6.1f} samples/s  {float(seconds) / 3600:.2f} h"
                  for step, loss, _, _, speed, seconds, *_ in chosen]
        sheets = sorted((work.place(name) / "sheets").glob("*.jpg"))
        lines += [f"    look at {sheets[-1]}"] if sheets else []
    return "\n".join(lines) + "\n"
