"""index.html: the template with everything it shows."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from caphuman_core.check import fail

from ..score.metrics import METRICS, Metric
from ..score.stats import FEW
from .compare import Difference, Pairs, why_not
from .content import comparison_notes, interval_text, now, settings_of
from .data import RunData
from .grids import Grid, grids, pair_grids
from .plots import Plot, by_group_plot, histogram
from .reference import Column
from .tables import SCOPES, Line, groups_of, number

TABLED = ("kind", "head", "prompt")                      # scopes with a table of their own
PLOTTED = ("kind", "head")
MOST_PEOPLE = 200                                        # listed one by one


def page_of(runs: Sequence[RunData], tables: Sequence[Sequence[Line]], columns: Sequence[Column], pairs: Pairs | None,
          changes: Sequence[Difference]) -> str:
    """index.html; every text goes through the template's escaping."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        fail("report", "needs the Python package jinja2", str(error), 'run `pip install ".[bench]"` in this folder')
    environment = Environment(loader=PackageLoader(__package__ or "", "templates"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": number, "count": "{:,}".format,
                            "json": lambda value: json.dumps(value, ensure_ascii=False, indent=1)}
    metrics = [metric for metric in METRICS if any(metric in run.metrics for run in runs)]
    by_place = [{(line.scope, line.group, line.metric.name): line for line in table} for table in tables]
    context = {
        "runs": runs, "settings": [settings_of(run) for run in runs], "metrics": metrics, "columns": columns, "changes": changes,
        "common": 0 if pairs is None else len(pairs.first), "lines": by_place, "tables": _tables(runs, tables), "scopes": SCOPES,
        "unlike": {metric.name: why_not(runs[0], runs[1], metric) for metric in runs[0].metrics
                   if metric in runs[1].metrics} if len(runs) == 2 else {},
        "plots": _plots(runs, tables, metrics), "grids": _grids(runs, pairs), "made_at": now(), "interval": interval_text(),
        "sizes": [{scope: _sizes(run, scope) for scope, _ in _tables(runs, tables)} for run in runs],
        "lone": [sum(len(entry.photos) < 2 for entry in run.plan.identities) for run in runs], "few": FEW,
        "notes": comparison_notes(runs[0], runs[1]) if len(runs) == 2 else [],
    }
    return environment.get_template("report.html").render(context)


def _sizes(run: RunData, scope: str) -> dict[str, int]:
    """Finished images of each group."""
    names, numbers = groups_of(run, scope)
    return dict(zip(names, np.bincount(numbers[run.done], minlength=len(names)).tolist(), strict=True))


def _tables(runs: Sequence[RunData], tables: Sequence[Sequence[Line]]) -> list[tuple[str, list[str]]]:
    """Scopes and the groups of each, of all runs, in order."""
    return [(scope, list(dict.fromkeys(line.group for table in tables for line in table if line.scope == scope)))
            for scope in (*TABLED, *(["person"] if max(len(run.plan.identities) for run in runs) <= MOST_PEOPLE else []))]


def _plots(runs: Sequence[RunData], tables: Sequence[Sequence[Line]], metrics: Sequence[Metric]) -> Mapping[str, list[Plot]]:
    found = {}
    for metric in metrics:
        plots = [by_group_plot(metric, scope, [(run.name, [line for line in table if line.scope == scope and line.metric == metric])
                                               for run, table in zip(runs, tables, strict=True)]) for scope in PLOTTED]
        found[metric.name] = [plot for plot in (*plots, histogram(metric, runs)) if plot is not None]
    return found


def _grids(runs: Sequence[RunData], pairs: Pairs | None) -> list[Grid]:
    if len(runs) == 2 and pairs is not None:
        return pair_grids(runs[0], runs[1], pairs)
    return grids(runs[0])
