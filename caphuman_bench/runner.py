"""A run: workers take images from the queue until all are done; every result is in the store before the next one.

A worker always has two images at its server, so that the server goes from one to the next without a pause.
"""
from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from caphuman_core.check import InputError

from .jobs import is_image_of
from .plan import ImageRecord, Plan, image_file
from .schedule import WorkQueue
from .store import SERVERS, Store
from .worker import ImageFailed, ServerLost, Worker

DEPTH = 2                       # images at a server at once: one is made, one waits
HOPELESS = 20                   # failures without a single success after which a run stops
WAITS = (1.0, 60.0)             # seconds between attempts to reach a lost server: first, longest


@dataclass(frozen=True)
class Settings:
    """How patient a run is."""

    attempts: int = 3                       # per image
    patience_seconds: float = 900.0         # without any server at work
    waits: tuple[float, float] = WAITS
    depth: int = DEPTH


@dataclass
class Summary:
    """What a run did."""

    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    losses: int = 0                         # times a server was lost
    last_error: str = ""
    busy: dict[str, float] = field(default_factory=dict)        # worker -> seconds its server worked


class Runner:
    """One run over the images of a store that are planned. step(failed) is called after each image."""

    def __init__(self, store: Store, workers: Sequence[Worker], settings: Settings | None = None,
                 step: Callable[[bool], object] = lambda failed: None) -> None:
        self._store, self._workers, self._settings = store, workers, settings or Settings()
        self._step, self.summary = step, Summary()
        self._lost_since: dict[str, float] = {}
        self._attempts: dict[int, int] = {}

    async def run(self, images: Sequence[ImageRecord]) -> Summary:
        """Make the images. Raises InputError for what no patience mends: a refused graph, a full disk, no server left."""
        self._queue = WorkQueue(images)
        self._attempts = {image.id: image.attempts for image in images if image.attempts}
        start = time.monotonic()
        everyone = asyncio.gather(*(self._work(worker) for worker in self._workers))
        over = asyncio.create_task(self._queue.over.wait())
        try:
            await asyncio.wait([everyone, over], return_when=asyncio.FIRST_COMPLETED)
            if everyone.done():
                everyone.result()
        except (OSError, sqlite3.OperationalError) as error:
            raise _disk_failure(error) from error
        finally:
            everyone.cancel()
            over.cancel()
            await asyncio.gather(everyone, over, return_exceptions=True)
            await asyncio.gather(*(worker.close() for worker in self._workers), return_exceptions=True)
            self._release()
            self.summary.seconds = time.monotonic() - start
        return self.summary

    def _release(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._store.release()           # else the next run does it

    async def _work(self, worker: Worker) -> None:
        """One worker to the end: ready, `depth` lanes, ready again after each loss."""
        while True:
            await self._ready(worker)
            lanes = [asyncio.create_task(self._lane(worker)) for _ in range(self._settings.depth)]
            try:
                await asyncio.gather(*lanes)
                return
            except ServerLost as lost:
                self.summary.losses += 1
                self.summary.last_error = str(lost)
                self._lost_since.setdefault(worker.name, time.monotonic())
            finally:
                for lane in lanes:
                    lane.cancel()
                await asyncio.gather(*lanes, return_exceptions=True)
                self._queue.leave(worker.name)

    async def _ready(self, worker: Worker) -> None:
        """Wait until the worker can work; InputError once no worker has worked for too long."""
        wait = self._settings.waits[0]
        while True:
            if worker.name in self._lost_since:
                self._check_patience()
                await asyncio.sleep(wait)
                wait = min(wait * 2, self._settings.waits[1])
            try:
                await worker.start()
                self._note(worker)
                return
            except ServerLost as lost:
                self.summary.last_error = str(lost)
                self._lost_since.setdefault(worker.name, time.monotonic())

    def _note(self, worker: Worker) -> None:
        """Keep what made the images, for the report."""
        known = self._store.info(SERVERS, {})
        if worker.about and known.get(worker.name) != worker.about:
            self._store.put_info(SERVERS, {**known, worker.name: dict(worker.about)})

    def _check_patience(self) -> None:
        if len(self._lost_since) < len(self._workers):
            return
        silent = time.monotonic() - max(self._lost_since.values())
        if silent > self._settings.patience_seconds:
            raise InputError(f"servers must answer, but got none at work for {silent:.0f} s ({self.summary.last_error}): start "
                             "them and give the same command again; nothing is lost.")

    async def _lane(self, worker: Worker) -> None:
        while (image := await self._queue.take(worker.name)) is not None:
            over = False
            try:
                over = await self._one(worker, image)
            except ServerLost as lost:
                over = lost.started and self._failed(image, str(lost))
                raise
            finally:
                if over:
                    self._queue.finished()
                else:
                    self._queue.give_back(image)

    async def _one(self, worker: Worker, image: ImageRecord) -> bool:
        """Make one image; whether it is over with, as done or as failed for good."""
        self._store.lease([image.id])
        try:
            file, seconds = await worker.make(image)
        except ImageFailed as failure:
            return self._failed(image, str(failure))
        self._lost_since.pop(worker.name, None)
        self._store.finish([(image.id, file, seconds)])
        self.summary.done += 1
        self.summary.busy[worker.name] = self.summary.busy.get(worker.name, 0.0) + seconds
        self._step(False)
        return True

    def _failed(self, image: ImageRecord, error: str) -> bool:
        """Note a failed attempt; True if it was the last one."""
        count = self._attempts[image.id] = self._attempts.get(image.id, 0) + 1
        final = count >= self._settings.attempts
        self._store.attempt(image.id, error, final)
        self.summary.last_error = error
        if final:
            self.summary.failed += 1
            self._step(True)
            if self.summary.failed >= HOPELESS and self.summary.done == 0:
                raise InputError(f"images must come out, but got {self.summary.failed} failures and no picture, the last with "
                                 f"'{error}': correct the workflow or its model files, then run with --retry-failed.")
        return final


def take_over(store: Store, plan: Plan, folder: Path) -> tuple[int, int]:
    """Bring store and disk together: (images adopted from whole files that a killed run left, done images that are gone)."""
    store.release()
    there = {path.relative_to(folder).as_posix() for path in (folder / "images").rglob("*.png")}
    gone = [record.id for record in store.records("done") if record.file not in there]
    store.replan(gone)
    if not there:
        return 0, len(gone)
    found = [(record.id, file, None) for record in store.records("planned") if (file := image_file(record)) in there
             and is_image_of(folder / file, plan, record)]
    store.finish(found)
    return len(found), len(gone)


def _disk_failure(error: Exception) -> InputError:
    return InputError(f"the run folder's disk must take what is written, but got '{error}': free some space and give the same "
                      "command again; nothing is lost.")


class _Lines:
    """Standard error as a log file wants it: each state of the bar on a line of its own."""

    def write(self, text: str) -> None:
        line = text.replace("\r", "").strip()
        if line:
            sys.stderr.write(line + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def progress(total: int, done: int, failed: int, unit: str = "image", lost: str = "failed"):
    """A bar on standard error with rate, time left and failures: step(failed) -> None, and the bar itself."""
    from tqdm import tqdm
    live = sys.stderr.isatty()
    bar = tqdm(total=total, initial=done + failed, unit=unit, smoothing=0.05, dynamic_ncols=True,
               mininterval=0.5 if live else 10.0, file=sys.stderr if live else _Lines())
    counts = [failed]

    def step(is_failure: bool) -> None:
        counts[0] += is_failure
        bar.set_postfix_str(f"{counts[0]} {lost}", refresh=False)
        bar.update(1)
    bar.set_postfix_str(f"{failed} {lost}")
    return step, bar
