"""Who does what next. A unit is one person under one head condition: all its prompts and samples.

What is dear to prepare (checkpoint, the person's codes, the fitted head) stays warm on a server while it works through a
unit, and the person also from unit to unit: a worker that needs a new unit takes one of the person it has last worked on,
else of a person nobody works on, else any. When no whole unit is left, the longest one still open is shared, so that
the last minutes of a run keep every worker busy.
"""
from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from .plan import ImageRecord


class _Unit:
    """Images of one person and head that nobody has in hand yet."""

    __slots__ = ("identity", "images")

    def __init__(self, identity: str, images: Iterable[ImageRecord] = ()) -> None:
        self.identity, self.images = identity, deque(images)


class WorkQueue:
    """Hands out images to workers (any hashable) of one event loop."""

    def __init__(self, images: Iterable[ImageRecord]) -> None:
        units: dict[tuple[str, str], _Unit] = {}
        for image in images:
            units.setdefault((image.identity, image.head), _Unit(image.identity)).images.append(image)
        self._free: dict[str, deque[_Unit]] = {}
        for unit in units.values():
            self._free.setdefault(unit.identity, deque()).append(unit)
        self._held: dict[object, _Unit] = {}
        self.waiting = sum(len(unit.images) for unit in units.values())     # images nobody has in hand
        self.in_hand = 0
        self._changed = asyncio.Event()
        self.over = asyncio.Event()             # everything is done or given up
        self._look()

    async def take(self, worker: object) -> ImageRecord | None:
        """The next image for a worker; waits while others may still give some back; None when all is done."""
        while True:
            unit = self._held.get(worker)
            if unit is None or not unit.images:
                unit = self._next_unit(worker)
            if unit is not None:
                self.waiting -= 1
                self.in_hand += 1
                return unit.images.popleft()
            if self.over.is_set():
                return None
            self._changed.clear()
            await self._changed.wait()

    def finished(self) -> None:
        """One image in hand is done, or given up."""
        self.in_hand -= 1
        self._look()

    def _look(self) -> None:
        if self.waiting == 0 and self.in_hand == 0:
            self.over.set()
        self._changed.set()

    def give_back(self, image: ImageRecord) -> None:
        """One image in hand is not done; whoever needs work next takes it."""
        self.in_hand -= 1
        self.waiting += 1
        self._free.setdefault(image.identity, deque()).appendleft(_Unit(image.identity, [image]))
        self._changed.set()

    def leave(self, worker: object) -> None:
        """A worker is gone: what is left of its unit is free."""
        unit = self._held.pop(worker, None)
        if unit is not None and unit.images:
            self._free.setdefault(unit.identity, deque()).appendleft(unit)
            self._changed.set()

    def _next_unit(self, worker: object) -> _Unit | None:
        last = self._held.pop(worker, None)
        busy = {unit.identity for unit in self._held.values()}
        if last is not None and last.identity in self._free:
            unit = self._claim(last.identity)
        elif self._free:
            unit = self._claim(next((name for name in self._free if name not in busy), None) or max(
                self._free, key=lambda name: len(self._free[name])))
        else:
            unit = self._share()
        if unit is not None:
            self._held[worker] = unit
        return unit

    def _claim(self, identity: str) -> _Unit:
        units = self._free[identity]
        unit = units.popleft()
        if not units:
            del self._free[identity]
        return unit

    def _share(self) -> _Unit | None:
        """The later half of the longest unit that somebody holds; all of it when it is a single image."""
        longest = max(self._held.values(), key=lambda unit: len(unit.images), default=None)
        if longest is None or not longest.images:
            return None
        part = _Unit(longest.identity)
        for _ in range((len(longest.images) + 1) // 2):
            part.images.appendleft(longest.images.pop())
        return part
