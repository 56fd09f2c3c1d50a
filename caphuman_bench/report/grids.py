"""Images worth looking at: best and worst cases as small JPEGs inside the page."""
from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..plan import ImageRecord
from ..score.metrics import BY_NAME, Metric
from .compare import Pairs, why_not
from .data import RunData
from .tables import number

CASES = 6                                # tiles per grid
PER_PERSON = 2                           # so that one hard person does not fill a grid
SIDE, QUALITY = 176, 80                  # of a thumbnail: pixels, JPEG
TOLD = ("identity_", "clip_score", "head_angle")          # metrics whose values stand under a case
IDENTITY_JUDGES = ("identity_facenet", "identity_arcface", "identity_dlib")


@dataclass(frozen=True)
class Tile:
    """One case. pictures: (what it is, data URI or "" if it cannot be read)."""

    record: ImageRecord
    pictures: tuple[tuple[str, str], ...]
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    title: str
    tiles: tuple[Tile, ...]


def grids(run: RunData) -> list[Grid]:
    """Best and worst cases of identity, prompt and head; images without a face."""
    names = [*[name for name in IDENTITY_JUDGES if name in run.values][:1], "clip_score", "head_angle"]
    found = []
    for metric in (metric for metric in run.metrics if metric.name in names):
        order = _order(run.values[metric.name] * metric.better)
        for what, rows in (("Best", order[::-1]), ("Worst", order)):
            half = rows[:(len(rows) + 1) // 2]           # no image is among the best and the worst
            found.append(Grid(f"{what}: {metric.title}", tuple(_tile(run, row) for row in _spread(run, half))))
    if "face_found" in run.values:
        lost = np.flatnonzero(run.values["face_found"] == 0)
        found.append(Grid("No face found", tuple(_tile(run, int(row)) for row in _spread(run, lost))))
    return [grid for grid in found if grid.tiles]


def pair_grids(first: RunData, second: RunData, pairs: Pairs) -> list[Grid]:
    """Where the second run gained and lost most in identity."""
    metric = next((BY_NAME[name] for name in IDENTITY_JUDGES if BY_NAME[name] in first.metrics and name in second.values
                   and not why_not(first, second, BY_NAME[name])), None)
    if metric is None:
        return []
    name = metric.name
    change = second.values[name][pairs.second] - first.values[name][pairs.first]
    order = _order(change)
    found = []
    for what, rows in (("gains", order[::-1]), ("losses", order)):
        signed = [int(row) for row in rows if (change[row] > 0) == (what == "gains") and change[row] != 0]
        picked = list(_spread(first, np.array([pairs.first[row] for row in signed], dtype=np.int64)))
        where = {int(pairs.first[row]): row for row in signed}
        tiles = tuple(_pair_tile(first, second, int(row), int(pairs.second[where[row]]), metric) for row in picked)
        found.append(Grid(f"Largest {what}: {metric.title}, from {first.name} to {second.name}", tiles))
    return [grid for grid in found if grid.tiles]


def _order(values: np.ndarray) -> np.ndarray:
    """Rows with a value, smallest first."""
    rows = np.flatnonzero(np.isfinite(values))
    return rows[np.argsort(values[rows], kind="stable")]


def _spread(run: RunData, rows: np.ndarray) -> Iterator[int]:
    """The first CASES rows, at most PER_PERSON of a person."""
    taken: Counter[int] = Counter()
    for row in rows:
        person = int(run.people[row])
        if taken[person] < PER_PERSON and sum(taken.values()) < CASES:
            taken[person] += 1
            yield int(row)
        if sum(taken.values()) == CASES:
            return


def _tile(run: RunData, row: int) -> Tile:
    record = run.records[row]
    head = run.plan.head(record.head)
    pictures = [("reference", thumbnail(run.folder / run.plan.identity(record.identity).reference))]
    if head.picture:
        pictures.append(("head asked", thumbnail(run.folder / head.picture)))
    pictures.append(("image", thumbnail(run.folder / (record.file or "?"))))
    told = [(metric, float(run.values[metric.name][row])) for metric in run.metrics if metric.name.startswith(TOLD)]
    return Tile(record, tuple(pictures), tuple(_fact(metric, value) for metric, value in told if np.isfinite(value)))


def _pair_tile(first: RunData, second: RunData, row: int, other: int, metric: Metric) -> Tile:
    record, twin = first.records[row], second.records[other]
    pictures = (("reference", thumbnail(first.folder / first.plan.identity(record.identity).reference)),
                (first.name, thumbnail(first.folder / (record.file or "?"))),
                (second.name, thumbnail(second.folder / (twin.file or "?"))))
    values = float(first.values[metric.name][row]), float(second.values[metric.name][other])
    return Tile(record, pictures, (f"{_fact(metric, values[0])} → {number(values[1])}",))


def _fact(metric: Metric, value: float) -> str:
    return f"{metric.title} {number(value)}{f' {metric.unit}' if metric.unit.isalpha() else ''}"


def thumbnail(path: Path) -> str:
    """A picture as a small JPEG data URI; "" if it cannot be read."""
    from PIL import Image, ImageOps
    try:
        with Image.open(path) as file:
            file.draft("RGB", (SIDE, SIDE))
            picture = ImageOps.exif_transpose(file).convert("RGB")
            picture.thumbnail((SIDE, SIDE))
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=QUALITY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
