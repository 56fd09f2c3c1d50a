"""The loop of the stages that the trainer of CapFace does not have: the autoencoder and the base models.

Everything random follows from the seed and the step, so a run that was stopped goes on as if it had not been. Its layers are too
small for torch to share one out among cores, so each core takes a part of the batch.
"""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from caphuman_bench.folder import locked
from caphuman_core.check import fail

from ..train import checkpoint
from ..train.loop import Outcome, stop_asked
from ..train.optimizer import RunningMean, learning_rate
from ..train.settings import Schedule
from .recipe import Looks

WARMUP_STEPS, FINAL_SHARE, CLIP_NORM, MEAN_DECAY = 100, 0.1, 1.0, 0.998
KEPT = 1                                         # checkpoints
LOSSES = "loss.tsv"


class Lesson(Protocol):
    """What is learnt."""

    @property
    def network(self) -> nn.Module:
        """Whose weights are trained."""
        ...

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """What the step after `step` finished ones learns from, samples first; everything random is in it."""
        ...

    def loss(self, *batch: Tensor) -> Tensor:
        """What is minimised, the mean over some of a batch's samples, []."""
        ...

    def sheet(self) -> Any:
        """A picture (PIL's) that shows what the network now does; it has the running mean's weights."""
        ...


@dataclass(frozen=True)
class Plan:
    """How long and how fast."""

    steps: int
    lr: float
    batch: int                                   # for the log alone


def learn(folder: Path, lesson: Lesson, plan: Plan, looks: Looks, depends_on: Mapping[str, Any],
          say: Callable[[str], object]) -> Outcome:
    """Go on from the folder's last checkpoint to the last step, or until somebody stops it (Ctrl-C, SIGTERM)."""
    with locked(folder, "train"), stop_asked() as stopped, _Cores(lesson) as cores:
        run = _Run(folder, lesson, plan, looks, depends_on, say, cores)
        while run.finished < plan.steps and not stopped():
            run.step()
        run.save()
        return Outcome(run.finished, run.finished >= plan.steps)


class _Cores:
    """Computes gradients on as many cores as torch would use, which it does not use meanwhile."""

    def __init__(self, lesson: Lesson) -> None:
        self.lesson, self.count = lesson, torch.get_num_threads()
        self.parameters = list(lesson.network.requires_grad_(True).parameters())

    def __enter__(self) -> _Cores:
        self.pool = ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(1,))
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.shutdown()
        torch.set_num_threads(self.count)

    def step(self, step: int) -> Tensor:
        """The loss of the step after `step` finished ones, []; its gradients are left in the network."""
        batch = self.lesson.batch(step)
        parts = list(zip(*(tensor.tensor_split(min(self.count, len(tensor))) for tensor in batch), strict=True))
        shares = [len(part[0]) / len(batch[0]) for part in parts]
        found = list(self.pool.map(self._part, parts, shares))
        for parameter, *gradients in zip(self.parameters, *(gradients for _, gradients in found), strict=True):
            parameter.grad = sum(gradients[1:], gradients[0])
        return torch.stack([loss for loss, _ in found]).sum()

    def _part(self, part: tuple[Tensor, ...], share: float) -> tuple[Tensor, tuple[Tensor, ...]]:
        loss = self.lesson.loss(*part) * share
        return loss.detach(), torch.autograd.grad(loss, self.parameters)


class _Run:
    """The parts of a run and where it stands."""

    def __init__(self, folder: Path, lesson: Lesson, plan: Plan, looks: Looks, depends_on: Mapping[str, Any],
                 say: Callable[[str], object], cores: _Cores) -> None:
        self.folder, self.lesson, self.plan, self.looks, self.say, self.cores = folder, lesson, plan, looks, say, cores
        self.depends_on = dict(depends_on)
        self.parameters = cores.parameters
        self.optimizer = torch.optim.AdamW(self.parameters, lr=plan.lr)
        self.mean = RunningMean(dict(lesson.network.named_parameters()), MEAN_DECAY)
        self.schedule = Schedule("cosine", min(WARMUP_STEPS, plan.steps // 2), FINAL_SHARE)
        self.finished, self.saved = 0, -1
        self.losses: list[Tensor] = []
        self._restore()
        self.since, self.seconds = time.monotonic(), self._told_seconds()

    def _restore(self) -> None:
        last = checkpoint.latest(self.folder)
        if last is None:
            return
        state = checkpoint.load(last)
        checkpoint.require_same(state.depends_on, self.depends_on, self.folder)
        self.lesson.network.load_state_dict(state.weights)
        checkpoint.restore_optimizer(self.optimizer, state.optimizer)
        self.mean.weights = dict(state.mean or {})
        self.finished = self.saved = state.step

    def step(self) -> None:
        """One step, and whatever is due after it."""
        lr = learning_rate(self.finished, self.plan.steps, self.plan.lr, self.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        loss = self.cores.step(self.finished)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.finished += 1
        self.mean.follow(dict(self.lesson.network.named_parameters()), self.finished)
        self.losses.append(loss)
        self._look(float(norm), lr)

    def _look(self, norm: float, lr: float) -> None:
        last = self.finished == self.plan.steps
        if self.finished % self.looks.log_every == 0 or last:
            self._log(norm, lr)
        if self.finished % self.looks.save_every == 0 or last:
            self.save()
        if self.looks.sheet_every and (self.finished % self.looks.sheet_every == 0 or last):
            self._draw()

    def _log(self, norm: float, lr: float) -> None:
        loss = float(torch.stack(self.losses).mean())
        if not (math.isfinite(loss) and math.isfinite(norm)):
            fail("training", "must have finite numbers", f"a loss of {loss} before step {self.finished}",
                 "lower the stage's lr in the recipe; the last checkpoint is from before it")
        now = time.monotonic()
        self.seconds += now - self.since
        speed = len(self.losses) * self.plan.batch / max(now - self.since, 1e-9)
        self.losses, self.since = [], now
        rows = [row for row in _rows(self.folder) if int(row.split("\t")[0]) < self.finished]
        rows.append(f"{self.finished}\t{loss:.6f}\t{norm:.4f}\t{lr:.2e}\t{speed:.2f}\t{self.seconds:.0f}")
        (self.folder / LOSSES).write_text("step\tloss\tgradient norm\tlr\tsamples/s\tseconds\n" + "\n".join(rows) + "\n",
                                          encoding="utf-8")
        self.say(f"{self.folder.name}: step {self.finished:,} of {self.plan.steps:,}, loss {loss:.4f}, {speed:.1f} samples/s")

    def _told_seconds(self) -> float:
        rows = [row for row in _rows(self.folder) if int(row.split("\t")[0]) <= self.finished]
        return float(rows[-1].split("\t")[5]) if rows else 0.0

    def save(self) -> None:
        """A checkpoint, unless there is one of this step."""
        if self.saved != self.finished:
            state = checkpoint.State(self.finished, dict(self.lesson.network.state_dict()), self.optimizer.state_dict(),
                                     self.mean.weights, {}, self.depends_on, {})
            checkpoint.save(self.folder, state, KEPT)
            self.saved = self.finished

    def _draw(self) -> None:
        kept = checkpoint.to_cpu(self.lesson.network.state_dict())
        self.lesson.network.load_state_dict(self.mean.weights)
        try:
            place = self.folder / "sheets"
            place.mkdir(parents=True, exist_ok=True)
            with torch.no_grad():
                self.lesson.sheet().save(place / f"{self.finished:06}.jpg", quality=90)
        finally:
            self.lesson.network.load_state_dict(kept)
        self.since = time.monotonic()            # pictures are no part of the speed


def _rows(folder: Path) -> list[str]:
    path = folder / LOSSES
    return path.read_text(encoding="utf-8").splitlines()[1:] if path.is_file() else []


def learnt(folder: Path) -> dict[str, Tensor]:
    """The running mean's weights of a stage's last checkpoint. InputError where there is none."""
    last = checkpoint.latest(folder)
    if last is None:
        fail(f"stage '{folder.name}'", "must have a checkpoint", "none", "run the stages in their order")
    return dict(checkpoint.load(last).mean or {})
