"""Drawings of a report, by matplotlib, as SVG inside the page."""
from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np

from caphuman_core.check import fail

from ..score.metrics import Metric
from ..score.stats import Estimate
from .data import RunData
from .tables import SCOPES, Line

INK, SOFT, COLOURS = "#22303c", "#d9dee3", ("#2563a8", "#c2571a")
BINS = 40
_STYLE: Any = {"text.parse_math": False, "svg.fonttype": "path", "font.size": 9, "font.family": "DejaVu Sans",
          "axes.edgecolor": SOFT,
          "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
          "axes.spines.right": False, "svg.hashsalt": "caphuman-bench"}
LONGEST_LABEL = 28
WIDTH = 4.4                              # inches; drawn at about this size, so that labels can be read


def _styled(draw: Callable[..., Plot | None]) -> Callable[..., Plot | None]:
    """In this style from first to last: texts read it when they are made (a `$` in a name is no formula)."""
    @wraps(draw)
    def styled(*args: Any) -> Plot | None:
        try:
            import matplotlib
        except ImportError as error:
            fail("report", "needs the Python package matplotlib", str(error), 'run `pip install ".[bench]"` in this folder')
        with matplotlib.rc_context(_STYLE):
            return draw(*args)
    return styled


@dataclass(frozen=True)
class Plot:
    """A drawing. text: what it shows, for those who cannot see it."""

    title: str
    text: str
    uri: str                             # data:image/svg+xml;base64,...


@_styled
def by_group_plot(metric: Metric, scope: str, runs: Sequence[tuple[str, Sequence[Line]]]) -> Plot | None:
    """Means and intervals of one metric in the groups of a scope, one colour per run; None with fewer than two groups."""
    names = list(dict.fromkeys(line.group for _, lines in runs for line in lines if line.estimate))
    if len(names) < 2:
        return None
    figure, axes = _figure(WIDTH, 0.75 + 0.26 * len(names))
    for number, (name, lines) in enumerate(runs):
        offset = (number - (len(runs) - 1) / 2) * 0.26
        found = {line.group: line.estimate for line in lines if line.estimate}
        rows = [row for row, group in enumerate(names) if group in found]
        _dots(axes, [found[names[row]] for row in rows], [row + offset for row in rows], COLOURS[number % 2], name)
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(_axis(metric), loc="right")          # from there it has room to the left
    if len(runs) > 1:
        axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderpad=0)
    text = f"{metric.title} by {SCOPES[scope].lower()}: mean and 95 % interval; the same numbers are in the table."
    return Plot(f"{metric.title} by {SCOPES[scope].lower()}", text, _uri(figure))


def _dots(axes: Any, found: Sequence[Estimate], rows: Sequence[float], colour: str, label: str) -> None:
    means = [one.mean for one in found]
    lows, highs = ([getattr(one, end) if getattr(one, end) is not None else one.mean for one in found] for end in ("low", "high"))
    axes.hlines(rows, lows, highs, color=colour, alpha=0.45, linewidth=4)
    axes.plot(means, rows, "o", color=colour, markersize=5, label=_short(label))


@_styled
def histogram(metric: Metric, runs: Sequence[RunData]) -> Plot | None:
    """How the values of a metric are spread over images; None where nearly all are equal."""
    series = [run.values[metric.name][np.isfinite(run.values[metric.name])] for run in runs if metric.name in run.values]
    every = np.concatenate(series) if series else np.zeros(0)
    if len(np.unique(every)) < 3:
        return None
    edges = np.histogram_bin_edges(every, BINS)
    figure, axes = _figure(WIDTH, 2.0)
    for number, values in enumerate(series):
        axes.hist(values, edges, weights=np.full(len(values), 100 / max(len(values), 1)), color=COLOURS[number % 2], alpha=0.55,
                  label=_short(runs[number].name))
    axes.set_xlabel(_axis(metric), loc="right")
    axes.set_ylabel("% of images")
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderpad=0)
    return Plot(f"{metric.title} over images", f"Histogram of {metric.title} over {len(every)} images.", _uri(figure))


def _axis(metric: Metric) -> str:
    arrow = {1: "higher is better", -1: "lower is better", 0: ""}[metric.better]
    return f"{metric.title}{f', {metric.unit}' if metric.unit else ''} ({arrow})"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else f"{name[:LONGEST_LABEL - 1]}…"


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """Inches. No pyplot: it keeps state and asks for a display."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.locator_params(axis="x", nbins=5)               # more would touch
    axes.grid(axis="x", color=SOFT, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _uri(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
