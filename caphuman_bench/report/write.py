"""A report as files: index.html, report.json, summary.csv, images.csv and, for two runs, differences.csv."""
from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..folder import write_whole
from ..score.metrics import METRICS
from .compare import differences, pair
from .content import content_of, difference_row
from .data import RunData, load
from .page import page_of
from .reference import load_columns
from .tables import Line, as_row, lines

FOLDER = "report"
SUMMARY_FIELDS = ("run", "scope", "group", "metric", "mean", "low", "high", "images", "people", "missing")
IMAGE_FIELDS = ("run", "id", "identity", "head", "prompt", "kind", "sample", "seed", "status", "file", "seconds", "attempts",
                "error")
DIFFERENCE_FIELDS = ("metric", "first", "second", "change", "low", "high", "images", "people", "verdict")
FORMULA = ("=", "+", "-", "@", "\t", "\r")               # spreadsheet programs run texts that begin so


def report(folder: Path, out: Path | None = None, compare: Path | None = None, reference: Path | None = None) -> Path:
    """Write the report of a run folder, beside another one's if `compare` is given; returns the path of index.html.

    out: where to (default: `report` in the run folder). A run that is not done is reported as far as it is.
    """
    first = load(folder)
    runs = [first] if compare is None else _named(first, load(compare))
    columns = load_columns(reference)
    tables = [lines(run) for run in runs]
    pairs = pair(*runs) if len(runs) == 2 else None
    changes = differences(runs[0], runs[1], pairs) if pairs is not None else []
    out = out or folder / FOLDER
    out.mkdir(parents=True, exist_ok=True)
    content = content_of(runs, tables, columns, pairs, changes)
    write_whole(out / "report.json", json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False).encode())
    write_whole(out / "summary.csv", _csv(SUMMARY_FIELDS, _summary_rows(runs, tables)))
    write_whole(out / "images.csv", _csv(*_image_rows(runs)))
    if pairs is not None:
        write_whole(out / "differences.csv", _csv(DIFFERENCE_FIELDS, (list(difference_row(change).values()) for change in changes)))
    page = page_of(runs, tables, columns, pairs, changes)
    write_whole(out / "index.html", page.encode())
    return out / "index.html"


def _named(first: RunData, second: RunData) -> list[RunData]:
    """Two runs under two names."""
    if first.name != second.name:
        return [first, second]
    return [replace(run, name=f"{run.name} ({letter})") for run, letter in ((first, "A"), (second, "B"))]


def _summary_rows(runs: Sequence[RunData], tables: Sequence[Sequence[Line]]) -> Iterator[list[Any]]:
    for run, table in zip(runs, tables, strict=True):
        for line in table:
            row = as_row(line)
            yield [run.name, *(row[name] for name in SUMMARY_FIELDS[1:])]


def _image_rows(runs: Sequence[RunData]) -> tuple[list[str], Iterator[list[Any]]]:
    names = [metric.name for metric in METRICS if any(metric in run.metrics for run in runs)]

    def rows() -> Iterator[list[Any]]:
        for run in runs:
            kinds = {prompt.key: prompt.kind for prompt in run.plan.prompts}
            empty = np.full(len(run.records), np.nan, dtype=np.float32)
            values = np.stack([run.values.get(name, empty) for name in names], 1) if names else np.zeros((len(run.records), 0))
            for r, row in zip(run.records, values, strict=True):
                yield [run.name, r.id, r.identity, r.head, r.prompt, kinds[r.prompt], r.sample, r.seed, r.status, r.file, r.seconds,
                       r.attempts, r.error, *(None if value != value else f"{value:.6g}" for value in row.tolist())]
    return [*IMAGE_FIELDS, *names], rows()


def _csv(fields: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(fields)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    text = buffer.getvalue()
    # Spreadsheet programs take a file without a mark for the system's old character set; plain ASCII needs none.
    return text.encode("utf-8" if text.isascii() else "utf-8-sig")


def _harmless(cell: Any) -> Any:
    """A text that a spreadsheet program would run is quoted; numbers stay what they are."""
    if not isinstance(cell, str) or not cell.startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell
