"""Following one face through the frames of a video."""
from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from ..flow import Face, Faces

FARTHEST = 1.5               # face sizes a face may move from one frame to the next, and as much more for each frame missed
FORGOTTEN = 50               # frames after which somebody else who has left is no longer waited for


@dataclass
class _Path:
    """Where somebody was last seen, in pixels."""

    place: tuple[float, float, float]            # centre x, y, size
    step: tuple[float, float] = (0.0, 0.0)       # of the last frame
    missed: int = 0                              # frames since

    def reaches(self, place: tuple[float, float, float], frames: int) -> bool:
        """Whether somebody may have got there in so many frames."""
        return math.dist(self.place[:2], place[:2]) <= FARTHEST * frames * self.place[2]

    def surprise(self, place: tuple[float, float, float]) -> tuple[bool, float]:
        """Least for whoever was seen a frame ago, and goes on as fast and as large as before."""
        x, y, size = self.place
        due = (x, y) if self.missed else (x + self.step[0], y + self.step[1])
        return self.missed > 0, math.dist(due, place[:2]) / size + abs(math.log(place[2] / size))

    def seen(self, place: tuple[float, float, float]) -> None:
        """Goes on to that place."""
        self.step = (place[0] - self.place[0], place[1] - self.place[1])
        self.place, self.missed = place, 0


class Track:
    """Chooses the face that goes on from the frames before; the first choice is the largest face.

    Everybody who was ever seen beside that person is followed too, so that somebody who walks past in front of it is not
    taken for it.
    """

    def __init__(self) -> None:
        self._chosen: _Path | None = None
        self._others: list[_Path] = []

    def choose(self, faces: Faces) -> Faces:
        """At most one face per frame."""
        return Faces(tuple(self._next(found) for found in faces.per_image), faces.width, faces.height)

    def _next(self, found: tuple[Face, ...]) -> tuple[Face, ...]:
        places = [_place(face) for face in found]
        if self._chosen is None:
            if not found:
                return ()
            self._chosen = _Path(max(places, key=lambda place: place[2]))
        paths = [self._chosen, *self._others]
        taken = self._matched(paths, places)
        for index, path in enumerate(paths):
            if index in taken:
                path.seen(places[taken[index]])
            else:
                path.missed += 1
        self._others = [path for path in self._others if path.missed <= FORGOTTEN]
        if 0 not in taken:                       # who appears now may be that person, after a cut
            return ()
        self._others += [_Path(place) for index, place in enumerate(places) if index not in taken.values()]
        return (found[taken[0]],)

    @staticmethod
    def _matched(paths: list[_Path], places: list[tuple[float, float, float]]) -> dict[int, int]:
        """Path -> place, the least surprising first; index 0 is the person who is followed."""
        taken: dict[int, int] = {}
        pairs = [pair for pair in product(range(len(paths)), range(len(places)))
                 if paths[pair[0]].reaches(places[pair[1]], 1 if pair[0] else 1 + paths[0].missed)]
        for path, place in sorted(pairs, key=lambda pair: paths[pair[0]].surprise(places[pair[1]])):
            if path not in taken and place not in taken.values():
                taken[path] = place
        return taken


def _place(face: Face) -> tuple[float, float, float]:
    left, top, right, bottom = face.box_xyxy.tolist()
    return (left + right) / 2, (top + bottom) / 2, max((right - left) * (bottom - top), 1.0) ** 0.5
