"""Workers beyond this machine, as Ray actors.

Photos and shards travel through Ray's object store: this process alone reads and writes files.
"""
from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from caphuman_bench.ray_session import RaySession, affordable_gpus
from caphuman_core.check import InputError, fail

from .pool import Outcome
from .settings import Settings
from .tools import Tools
from .work import Task, Worker

MOST_LOSSES = 3                          # of workers over one task: then the task is what kills them


class Actor(Worker):
    """A worker on some machine."""

    def ready(self) -> None:
        """Returns when the actor is up."""


class RayWorkers:
    """`workers` actors; one that dies is replaced, and what it had in hand is done again."""

    def __init__(self, settings: Settings, load: Callable[[], Tools], address: str, workers: int, gpus: float) -> None:
        self._arguments, self._address, self._workers, self._gpus = (settings, load), address, workers, gpus

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """(task, outcome) as they are done. An actor gets work when it is up, so that one without a machine holds up nobody."""
        with RaySession(self._address) as ray:
            yield from _Run(ray, self._arguments, self._workers, affordable_gpus(ray, self._gpus)).go(iter(tasks))


class _Run:
    def __init__(self, ray: Any, arguments: tuple[Any, ...], workers: int, gpus: float) -> None:
        self._ray, self._arguments = ray, arguments
        self._class = ray.remote(Actor).options(num_cpus=1, num_gpus=gpus)
        self._again: deque[Task] = deque()
        self._losses: Counter[str] = Counter()
        self._hands: dict[Any, tuple[Any, Task | None]] = {}     # what is awaited -> actor, task (None: to be up)
        for _ in range(workers):
            self._hire()

    def _hire(self) -> None:
        actor = self._class.remote(*self._arguments)
        self._hands[actor.ready.remote()] = (actor, None)

    def go(self, waiting: Iterator[Task]) -> Iterator[Outcome]:
        following = next(waiting, None)
        while self._again or following is not None or any(task for _, task in self._hands.values()):
            (done, *_), _ = self._ray.wait(list(self._hands), num_returns=1)
            actor, task = self._hands.pop(done)
            try:
                outcome = self._ray.get(done)
            except (self._ray.exceptions.RayActorError, self._ray.exceptions.ObjectLostError) as error:
                self._lost(task, error)      # with its machine went the worker, or what it had done and nobody had fetched yet
                continue
            except self._ray.exceptions.RayTaskError as error:
                self._explain(error)
            if self._again:
                self._give(actor, self._again.popleft())
            elif following is not None:
                self._give(actor, following)
                following = next(waiting, None)
            if task is not None:
                yield task, outcome

    def _give(self, actor: Any, task: Task) -> None:
        self._hands[actor.do.remote(task)] = (actor, task)

    def _lost(self, task: Task | None, error: BaseException) -> None:
        name = "start" if task is None else task.name
        self._losses[name] += 1
        if self._losses[name] >= MOST_LOSSES:
            said = str(error).strip().splitlines()[0][:120]
            fail("Ray workers", "must live through their work", f"{MOST_LOSSES} that died over {name} ({said})",
                 "give them more memory, or fewer to each machine; nothing is lost")
        if task is not None:
            self._again.append(task)
        self._hire()

    def _explain(self, error: BaseException) -> None:
        cause = getattr(error, "cause", None)
        if isinstance(cause, InputError):
            raise InputError(str(cause)) from error
        raise error
