"""python -m benchmarks.gpu.child SETTINGS.json: parts, one after the other, in this process; each outcome a line of rows.jsonl."""
from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from . import parts
from .rows import Outcome, Row, Setting, asked

RESULTS, BEGUN = "rows.jsonl", "begun.json"


def write(out: Path, outcome: Outcome) -> None:
    """One JSON line, on the disk when this returns."""
    with (out / RESULTS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(dataclasses.asdict(outcome), ensure_ascii=False) + "\n")


def read(out: Path) -> list[Outcome]:
    """The outcomes so far."""
    path = out / RESULTS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [Outcome(**json.loads(line)) for line in lines]


def begin(out: Path, part: str, row: str) -> None:
    """Leave word of what is being done, for the process that waits."""
    partial = out / f"{BEGUN}.part"
    partial.write_text(json.dumps([part, row]), encoding="utf-8")
    partial.replace(out / BEGUN)
    sys.stdout.write(f"{part}: {row}\n")
    sys.stdout.flush()


def at(out: Path) -> tuple[str, str]:
    """The part and the row that were begun last; empty before the first."""
    path = out / BEGUN
    part, row = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else ("", "")
    return part, row


def rows_of(part: parts.Part) -> Sequence[Row]:
    """A part's rows; its module loads nothing heavy until one is asked."""
    return importlib.import_module(f"benchmarks.gpu.{part.module}").ROWS


def main(path: Path) -> None:
    """Run the rows of the parts that the settings name."""
    for values in json.loads(path.read_text(encoding="utf-8")):
        setting = Setting(**{**values, "out": Path(values["out"])})
        begin(setting.out, setting.part, "")
        part = next(part for part in parts.PARTS if part.name == setting.part)
        for outcome in asked(rows_of(part), setting, lambda name, setting=setting: begin(setting.out, setting.part, name)):
            write(setting.out, outcome)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
