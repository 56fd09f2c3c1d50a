"""A head corrected by hand: a few of its 68 landmarks are put elsewhere, and the head follows, changed as little as that takes."""
from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from ...check import require
from ...flow import Head
from ...points import HANDLES
from ..model.head_model import HeadModel
from ..model.landmarks import contour_rows
from .evidence import contour_places, inner_places, pinned
from .geometry import State, head_of, solve, state_of, to_pixels, view_of

STEPS = 4                    # a refit is to be there when the hand lets go


def refit(head: Head, model: HeadModel, pins: Mapping[int | str, tuple[float, float]]) -> Head:
    """The head, a batch of one, with landmarks where they were put: number (0..67) or name (`points.HANDLES`) -> pixels x, y of its
    picture. The others hold loosely, and its own codes are what is expected; pins that contradict each other are met halfway.
    """
    numbers = {_number(name): place for name, place in pins.items()}
    for number, place in numbers.items():
        require(all(map(math.isfinite, place)), f"pinned landmark {number}", "must lie at finite pixels", place, "move it again")
    if not numbers:
        return head
    state = state_of(head)
    view = view_of(pinned(_landmarks(state, head, model), numbers, model), head, model, state)
    return head_of(solve([view], [state], model, STEPS)[0], head)


def _number(name: int | str) -> int:
    number = HANDLES.get(name, -1) if isinstance(name, str) else name
    require(0 <= number < 68, "pinned landmark", f"must be from 0 to 67 or one of {', '.join(HANDLES)}", repr(name),
            "choose one of them")
    return number


def _landmarks(state: State, head: Head, model: HeadModel) -> torch.Tensor:
    """The head's 68 landmarks as its picture shows them, [68, 2] pixels; float64."""
    row = int(contour_rows(state.turn[None])[0])
    found = []
    for places in (contour_places(model, row), inner_places(model)):
        points, root = places.points(state.shape)
        found.append(to_pixels(points @ state.turn.mT + root, state, head.crop_to_picture[0].double()))
    return torch.cat(found)
