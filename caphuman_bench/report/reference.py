"""Published numbers beside a run's: only what a file says, with its source. The file that ships is empty (it says why)."""
from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from caphuman_core.check import fail

from ..score.metrics import BY_NAME

FILE = Path(__file__).with_name("reference.json")
FORMAT = "caphuman-bench-reference/1"


@dataclass(frozen=True)
class Column:
    """Means by metric name, and where exactly they are printed."""

    title: str
    source: str
    values: Mapping[str, float]


def load_columns(path: Path | None = None) -> list[Column]:
    """The columns of a file (None: the one that ships). InputError for entries without a source or of unknown metrics."""
    path = path or FILE
    name = f"reference file '{path.name}'"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise KeyError("format")
        columns = [Column(str(c["title"]), str(c["source"]), {str(k): float(v) for k, v in c["values"].items()})
                   for c in content["columns"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fail(name, f"must be of format {FORMAT}", f"{type(error).__name__}: {str(error)[:100]}", f"start from {FILE.name}")
    for column in columns:
        unknown = sorted(set(column.values) - set(BY_NAME))
        if unknown or not all(map(math.isfinite, column.values.values())) or not column.source.strip() or not column.title.strip():
            fail(name, "must name known metrics with numbers, a title and a source in every column",
                 ", ".join(unknown) or repr(column.source), f"use names such as {', '.join(list(BY_NAME)[:4])}")
    return columns
