"""Workers on this machine: processes of their own, or this one."""
from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from typing import Any, Protocol

from caphuman_core.check import fail

from .settings import Settings
from .tools import Tools
from .work import Task, Worker

Outcome = tuple[Task, Any]
_worker: Worker | None = None


class Pool(Protocol):
    """Does tasks, in any order."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """(task, outcome) as they are done. Tasks are taken from the iterable as workers need them."""
        ...


class Here:
    """No process but this one."""

    def __init__(self, settings: Settings, load: Callable[[], Tools]) -> None:
        self._worker = Worker(settings, load)

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """One after the other."""
        for task in tasks:
            yield task, self._worker.do(task)


class Processes:
    """`workers` processes, which end with this one however it ends."""

    def __init__(self, settings: Settings, load: Callable[[], Tools], workers: int) -> None:
        self._arguments, self._workers = (settings, load), workers

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Two tasks for each worker are in hand at a time. InputError if a worker is killed."""
        spawn = multiprocessing.get_context("spawn")             # a fork would carry over threads and graphics cards
        pool = ProcessPoolExecutor(self._workers, mp_context=spawn, initializer=_begin, initargs=self._arguments)
        waiting, running = iter(tasks), dict[Future[Any], Task]()
        try:
            while True:
                while len(running) < 2 * self._workers and (task := next(waiting, None)) is not None:
                    running[pool.submit(_do, task)] = task
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(done), done.result()
        except BrokenProcessPool:
            fail("workers", "must live to the end", "one that was killed (by a full memory, most likely)",
                 "give the same command again, with fewer --workers; nothing is lost")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list((getattr(pool, "_processes", None) or {}).values()):
                process.terminate()


def _begin(settings: Settings, load: Callable[[], Tools]) -> None:
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = Worker(settings, load)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        with contextlib.suppress(OSError):
            wait_for([parent.sentinel])
        os._exit(1)


def _do(task: Task) -> Any:
    if _worker is None:
        raise RuntimeError("a worker that was not begun")
    return _worker.do(task)
