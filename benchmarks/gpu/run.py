"""Running the parts in processes that are ended when a part's time is up; the tables are written as results come.

On a card each part has a process of its own: the host reads its flags once, and an error of the card spoils the process it came in.
On a processor, where flags change nothing, parts share one, and only what comes after a part that broke it gets another.
"""
from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.devkit.children import child, tool_environment
from tools.devkit.places import ROOT, host_tree, say

from . import report
from .child import BEGUN, RESULTS, at, read, rows_of, write
from .parts import Part, deadlines
from .rows import Outcome, Setting

NO_TIME, TIME_UP = "no time was left for its part", "the time was up"
LEAST_SECONDS = 2.0                      # that a part is begun with: importing torch takes as long
LOOK_SECONDS = 0.2
CHILD: tuple[str, ...] = ("-m", "benchmarks.gpu.child")
Plan = list[tuple[Part, Setting]]


def run(chosen: Sequence[Part], setting: Setting, seconds: float) -> list[Outcome]:
    """Every part, one after the other, `seconds` for all of them together; returns what came of their rows."""
    setting.out.mkdir(parents=True, exist_ok=True)
    for name in (RESULTS, BEGUN):
        (setting.out / name).unlink(missing_ok=True)
    ends = deadlines(chosen, time.time(), seconds)
    plan = [(part, dataclasses.replace(setting, part=part.name, until=until)) for part, until in zip(chosen, ends, strict=True)]
    while plan:
        plan = plan[after(plan, in_child):]
    report.write(setting.out, setting)
    return read(setting.out)


def after(plan: Plan, started: Callable[[Plan], str]) -> int:
    """Run the first parts of a plan; returns how many are finished, each row of theirs with an outcome.

    started: runs parts in one process and gives the reason why it ended before they did, or "".
    """
    part, setting = plan[0]
    if part.needs == "cuda" and setting.device != "cuda":
        return finish(plan[:1], "needs a CUDA card", "left out")
    if time.time() + LEAST_SECONDS > setting.until:
        return finish(plan[:1], NO_TIME, "no time")
    together = [one for one in plan if not one[0].needs] if setting.device == "cpu" else plan[:1]
    together = together[:next((i for i, one in enumerate(together) if one is not plan[i]), len(together))]
    reason = started(together)
    begun = [one.name for one, _ in together].index(at(setting.out)[0]) if reason and at(setting.out)[0] else 0
    whole = len(together) if not reason else begun + 1
    return finish(together[:whole], reason, "no time" if reason == TIME_UP else "failed")


def finish(parts: Plan, reason: str, state: str) -> int:
    """Give each row that has no outcome one; returns how many parts these are."""
    for part, setting in parts:
        for outcome in left_over([row.name for row in rows_of(part)], setting, reason, state):
            write(setting.out, outcome)
    return len(parts)


def left_over(names: Sequence[str], setting: Setting, reason: str, state: str) -> list[Outcome]:
    """Outcomes for the rows of a part that have none: one was cut off, the others never began."""
    known = {outcome.asked for outcome in read(setting.out) if outcome.part == setting.part}
    begun = at(setting.out)
    made = []
    for name in names:
        if reason and begun == (setting.part, name):
            made.append(Outcome(setting.part, name, name, state, said=f"cut off: {reason}"))
        elif name not in known:
            why = reason or "it gave no line"
            made.append(Outcome(setting.part, name, name, state, said=why if state == "left out" else f"not begun: {why}"))
    return made


def in_child(parts: Plan) -> str:
    """Run parts in one process until they end or a part's time is up. Returns why it ended badly; "" where it did not."""
    first, setting = parts[0]
    path, log = setting.out / "settings.json", setting.out / f"{first.name.replace(': ', '-').replace(' ', '-')}.log"
    path.write_text(json.dumps([{**dataclasses.asdict(one), "out": str(one.out)} for _, one in parts]), encoding="utf-8")
    (setting.out / BEGUN).unlink(missing_ok=True)
    environment = tool_environment({**first.environment, "COMFYUI_PATH": str(host_tree())})
    command = [sys.executable, ROOT / "tools" / "devkit" / "guarded.py", *CHILD, path]
    with log.open("wb") as output, child(command, environment, output=output) as process:
        while True:
            try:
                code = process.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            else:
                return "" if code == 0 else f"the process ended with status {code}: {last_line(log)} (more in {log.name})"
            if time.time() > follow(parts, setting.out).until:
                return TIME_UP


_told: dict[Path, tuple[str, int]] = {}


def follow(parts: Plan, out: Path) -> Setting:
    """The setting of the part that is being run; says when another has begun, and writes the tables when there is something new."""
    name = at(out)[0] or parts[0][0].name
    setting = next(setting for part, setting in parts if part.name == name)
    size = (out / RESULTS).stat().st_size if (out / RESULTS).is_file() else 0
    before, _told[out] = _told.get(out, ("", 0)), (name, size)
    if before[0] != name:
        say(f"{name} (until {time.strftime('%H:%M:%S', time.localtime(setting.until))})")
    if before[1] != size:
        report.write(out, setting)
    return setting


def last_line(log: Path) -> str:
    """What a process said last."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")[:200]
