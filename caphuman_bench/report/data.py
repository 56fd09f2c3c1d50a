"""A run folder as columns: one row per image, one array per metric. 105,000 images take some 20 MB."""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..plan import ImageRecord, Plan, load_plan
from ..score.metrics import BY_NAME, METRICS, Metric
from ..score.run import INFO
from ..store import SERVERS, STATUSES, reading
from .sharing import shareable, without_folders


@dataclass(frozen=True)
class RunData:
    """One run, as far as it is done. `values`: metric -> [N] float32, NaN where missing."""

    folder: Path
    name: str                            # as the report calls the run
    plan: Plan
    records: Sequence[ImageRecord]       # all N, in order
    values: Mapping[str, NDArray[np.float32]]
    score_info: Mapping[str, Any]        # what score/run.py noted: versions, missing, notes, packages
    servers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)      # what made the images: store.SERVERS

    @cached_property
    def done(self) -> NDArray[np.bool_]:
        """[N] images that are there."""
        return np.fromiter((record.status == "done" for record in self.records), bool, len(self.records))

    @cached_property
    def counts(self) -> dict[str, int]:
        """Images by status."""
        found = Counter(record.status for record in self.records)
        return {status: found[status] for status in STATUSES}

    @cached_property
    def scored_people(self) -> int:
        """People with a value at all."""
        any_value = np.zeros(len(self.records), bool)
        for values in self.values.values():
            any_value |= np.isfinite(values)
        return len(np.unique(self.people[any_value]))

    @cached_property
    def people(self) -> NDArray[np.int64]:
        """[N] number of the person in the plan."""
        return self._numbers([entry.name for entry in self.plan.identities], "identity")

    @cached_property
    def heads(self) -> NDArray[np.int64]:
        """[N] number of the head condition in the plan."""
        return self._numbers([entry.key for entry in self.plan.heads], "head")

    @cached_property
    def prompts(self) -> NDArray[np.int64]:
        """[N] number of the prompt in the plan."""
        return self._numbers([entry.key for entry in self.plan.prompts], "prompt")

    @cached_property
    def kind_names(self) -> list[str]:
        """Prompt kinds in the plan's order."""
        return list(dict.fromkeys(prompt.kind for prompt in self.plan.prompts))

    @cached_property
    def kinds(self) -> NDArray[np.int64]:
        """[N] number of the prompt's kind in `kind_names`."""
        row = np.array([self.kind_names.index(prompt.kind) for prompt in self.plan.prompts], dtype=np.int64)
        return row[self.prompts] if len(row) else np.zeros(0, dtype=np.int64)

    @cached_property
    def metrics(self) -> list[Metric]:
        """Metrics with a value at all, in the order of metrics.py."""
        return [metric for metric in METRICS if metric.name in self.values and bool(np.isfinite(self.values[metric.name]).any())]

    def _numbers(self, names: Sequence[str], of: str) -> NDArray[np.int64]:
        index = {name: number for number, name in enumerate(names)}
        return np.fromiter((index[getattr(record, of)] for record in self.records), np.int64, len(self.records))


def load(folder: Path, name: str = "") -> RunData:
    """Read a run folder, whether a run or a scoring is under way or not. Raises InputError for a folder without a plan."""
    plan = load_plan(folder)
    with reading(folder) as store:
        records = [record if record.error is None else replace(record, error=without_folders(record.error))
                   for record in store.records()]
        place = {record.id: row for row, record in enumerate(records)}
        values: dict[str, NDArray[np.float32]] = {}
        for number, metric, value in store.scores():
            if value is not None and math.isfinite(value) and metric in BY_NAME and number in place:
                if metric not in values:
                    values[metric] = np.full(len(records), np.nan, dtype=np.float32)
                values[metric][place[number]] = value
        return RunData(folder, name or folder.resolve().name, plan, records, values, shareable(store.info(INFO, {})),
                       shareable(store.info(SERVERS, {})))
