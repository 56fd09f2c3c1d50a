"""Following one face through the frames of a video."""
from __future__ import annotations

from ..flow import Face, Faces

FARTHEST = 1.5               # face sizes a face may move from one frame to the next, and as much more for each frame missed


class Track:
    """Chooses the face that goes on from the frames before; the first choice is the largest face."""

    def __init__(self) -> None:
        self._last: tuple[float, float, float] | None = None     # centre x, y, size in pixels
        self._missed = 0

    def choose(self, faces: Faces) -> Faces:
        """At most one face per frame: the nearest to the track, unless it is too far off to be the same."""
        return Faces(tuple(self._next(found) for found in faces.per_image), faces.width, faces.height)

    def _next(self, found: tuple[Face, ...]) -> tuple[Face, ...]:
        chosen = self._chosen(found)
        if chosen is None:
            self._missed += 1
            return ()
        self._last, self._missed = _place(chosen), 0
        return (chosen,)

    def _chosen(self, found: tuple[Face, ...]) -> Face | None:
        if self._last is None:
            return max(found, key=lambda face: _place(face)[2], default=None)
        x, y, size = self._last

        def distance(face: Face) -> float:
            cx, cy, _ = _place(face)
            return ((cx - x) ** 2 + (cy - y) ** 2) ** 0.5 / max(size, 1.0)
        nearest = min(found, key=distance, default=None)
        far = nearest is None or distance(nearest) > FARTHEST * (1 + self._missed)
        return None if far else nearest


def _place(face: Face) -> tuple[float, float, float]:
    left, top, right, bottom = face.box_xyxy.tolist()
    return (left + right) / 2, (top + bottom) / 2, max((right - left) * (bottom - top), 1.0) ** 0.5
