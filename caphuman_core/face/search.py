"""How a photo is searched for faces, whatever the back end."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _go_on() -> None:
    """Nobody asks for an end."""


@dataclass(frozen=True)
class Search:
    """What is asked of a detector."""

    smallest_face: float = 0.0           # share of the photo's shorter side; 0: as the back end finds right for the photo's size
    heed: Callable[[], object] = _go_on  # called between pieces of work of a fraction of a second; raises to end the search


ORDINARY = Search()
