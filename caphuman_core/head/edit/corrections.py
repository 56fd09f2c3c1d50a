"""Landmarks that a hand has put elsewhere in the picture: the text that keeps them, and the head that follows them.

The text is JSON, {name: [x, y]}: names of `points.HANDLES`, places in shares of the picture's width and height. It stands in a
widget of CapHuman Edit Head, so that the graph saves, shares and undoes it.
"""
from __future__ import annotations

import json
import math
from typing import Any

from ...check import fail, require
from ...flow import Head
from ...points import HANDLES
from ..model.head_model import HeadModel

LONGEST = 4000               # letters of the text
FAR = 2.0                    # how far from the picture's corner a point may lie, in its sides, as the pack lets heads lie outside


def pins_of(text: str, width: int, height: int) -> dict[int | str, tuple[float, float]]:
    """Name -> pixels of a picture, of the text; {} where nothing is corrected."""
    if not text.strip():
        return {}
    require(len(text) <= LONGEST, "corrections", f"must have at most {LONGEST} letters", len(text), "set them back in the editor")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        fail("corrections", "must be a JSON object of landmarks", repr(text)[:40], "set them back in the editor")
    return {_known(name): (_share(name, place, 0) * width, _share(name, place, 1) * height) for name, place in given.items()}


def _known(name: str) -> str:
    require(name in HANDLES, "corrections", "must hold known landmarks", repr(name)[:40], f"use {', '.join(HANDLES)}")
    return name


def _share(name: str, place: Any, axis: int) -> float:
    fits = isinstance(place, list) and len(place) == 2 and type(place[axis]) in (int, float)
    require(fits and math.isfinite(place[axis]) and abs(place[axis]) <= FAR, f"corrections of {name}",
            f"must be two shares of the picture's sides, within {FAR:g}", repr(place)[:40], "drag the point again")
    return float(place[axis])


def corrected(head: Head, model: HeadModel, text: str) -> Head:
    """The batch whose first head follows the corrections; exactly as it was where there are none, or where it is not present."""
    pins = pins_of(text, head.width, head.height)
    if not pins or not bool(head.present[0]):
        return head
    from ..fit.pinned import refit
    first = refit(head[0], model, pins)
    return first if len(head) == 1 else Head.stack([first, *(head[k] for k in range(1, len(head)))])


def handle_places(head: Head, model: HeadModel) -> dict[str, list[float]]:
    """Where the landmarks of HANDLES lie in the picture of the first head: pixels x, y by name."""
    from ...render.maps import pose
    from ..camera import to_picture
    points = to_picture(head[0], pose(head[0], model).landmarks2d)[0, :, :2]
    return {name: points[number].tolist() for name, number in HANDLES.items()}


__all__ = ["corrected", "handle_places", "pins_of"]
