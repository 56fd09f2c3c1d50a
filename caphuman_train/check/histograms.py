"""Histograms of a data set, as one picture."""
from __future__ import annotations

import io
from collections.abc import Sequence

from caphuman_core.check import fail

from .facts import Facts, column

SHOWN = (("yaw", "yaw, degrees (right +)", 5.0), ("pitch", "pitch, degrees (up +)", 5.0), ("roll", "roll, degrees (cw +)", 5.0),
         ("face_share", "face height / picture height", 0.05), ("expression", "expression code, rms", 0.05),
         ("jaw", "jaw, degrees", 2.0), ("brightness", "light from the front", 0.1), ("side_light", "light: right less left", 0.1),
         ("face_area", "face target, share of cells", 0.05), ("words", "words of a caption", 2.0))
COLUMNS = 5
MOST_BINS = 60


def edges_of(values: Sequence[float], width: float) -> list[float]:
    """Edges of bins of a width (doubled until they are few), at its whole multiples, around all values."""
    low, high = min(values), max(values)
    while (high - low) / width > MOST_BINS:
        width *= 2
    first, last = int(low // width), int(high // width) + 1
    return [width * at for at in range(first, last + 1)]


def draw_histograms(facts: Sequence[Facts]) -> bytes:
    """A PNG with one histogram for each entry of SHOWN."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        fail("histograms", "need the Python package matplotlib", str(error), 'run `pip install ".[train]"` in this folder')
    rows = -(-len(SHOWN) // COLUMNS)
    figure = Figure(figsize=(3.0 * COLUMNS, 2.3 * rows), layout="constrained")
    for place, (name, title, width) in enumerate(SHOWN, start=1):
        axes = figure.add_subplot(rows, COLUMNS, place)
        values = [float(value) for value in column(facts, name)]
        axes.hist(values, edges_of(values, width), color="#2563a8")
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
