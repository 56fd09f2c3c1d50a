"""What the numbers of a card have to be at most."""
from __future__ import annotations

from dataclasses import dataclass

SAMPLING, HINT, PHOTO = "fast: sampling", "fast: hint", "fast: photo to conditioning"
# Titles of rows and columns that targets name.
WITH_CAPFACE, OF_PLAIN, OF_STRAIGHTFORWARD = "CapFace", "of plain", "of straightforward"
BEYOND_WEIGHTS = "peak over plain and weights, MB"
MILLISECONDS, WHOLE = "ms", "all of it"


@dataclass(frozen=True)
class Target:
    """A promise about one value of one row."""

    name: str
    part: str
    row: str
    column: str
    most: float


def hint_row(side: int, batch: int) -> str:
    """Name of a row of the hint's table."""
    return f"{side}x{side}, batch {batch}"


TARGETS = (
    Target("a run with CapFace, of the plain run", SAMPLING, WITH_CAPFACE, OF_PLAIN, 1.25),
    Target("a run with CapFace, of straightforward CapFace", SAMPLING, WITH_CAPFACE, OF_STRAIGHTFORWARD, 0.87),
    Target("card memory over the plain run and CapFace's weights, batch 1, MB", SAMPLING, WITH_CAPFACE, BEYOND_WEIGHTS, 64),
    Target("hint at 512, ms", HINT, hint_row(512, 1), MILLISECONDS, 3),
    Target("64 hints at 512, ms", HINT, hint_row(512, 64), MILLISECONDS, 60),
    Target("photo to conditioning, warm, ms", PHOTO, WHOLE, MILLISECONDS, 150),
)
