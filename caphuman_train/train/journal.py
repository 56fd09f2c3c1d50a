"""What a run tells: TensorBoard scalars and pictures, a progress bar with the time left, and the watch for NaN.

Losses stay on the device until an entry is due, so that no step waits for them; each entry looks through all of them.
"""
from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from caphuman_core.check import fail
from caphuman_core.pixels import image_of

from .world import World

BANDS = ((0, 200), (200, 400), (400, 600), (600, 800), (800, 1000))    # timesteps; high is early in a sampling run
FOLDER = "log"
PICTURES = "pictures"


@dataclass(frozen=True)
class StepRecord:
    """What one process knows of one of its parts of a step; tensors wait on the device."""

    step: int
    keys: Sequence[str]                         # of the samples
    timesteps: Tensor                           # [B]
    noise_error: Tensor                         # [B]
    mask_error: Tensor                          # [B]
    closed: Tensor                              # [B] share of the mask
    gradient_norm: Tensor | None                # [] over all parameters, with the last part of a step
    below_eps: Tensor | None = None             # [] share of the gradient's numbers that the optimizer hardly hears; now and then


class Journal:
    """Collects records of all processes; the first one writes them down."""

    def __init__(self, folder: Path, world: World, first_step: int, last_step: int, watch_gradients: bool = True) -> None:
        """watch_gradients: infinite ones are an error (with fp16 they are the loss scale's ordinary search)."""
        self.world, self.watch_gradients, self.folder = world, watch_gradients, folder
        self.waiting: list[StepRecord] = []
        self._began, self._samples = time.monotonic(), 0
        self.writer = _writer(folder / FOLDER, first_step) if world.first else None
        self.bar = _bar(first_step, last_step) if world.first else None
        self.seen: dict[str, float] = {}        # the last entry, for the bar and for tests

    def note(self, record: StepRecord) -> None:
        """Keep what a part of a step gave."""
        self.waiting.append(record)
        self._samples += len(record.keys) * self.world.size

    def advance(self) -> None:
        """One step more is done."""
        if self.bar is not None:
            self.bar.update(1)

    def settle(self, lr: float) -> None:
        """Write an entry of all that waits. InputError names the first step with a NaN or infinity, and its samples."""
        records = [record for part in self.world.gather([_at_rest(record) for record in self.waiting]) for record in part]
        self.waiting = []
        if not records:
            return
        require_finite(records, self.watch_gradients)
        seconds, samples = time.monotonic() - self._began, self._samples
        self._began, self._samples = time.monotonic(), 0
        self.seen = {**summary(records), "learning rate": lr, "samples a second": samples / max(seconds, 1e-9)}
        self._write(self.seen, records[-1].step)

    def _write(self, entry: dict[str, float], step: int) -> None:
        if self.writer is not None:
            for name, value in entry.items():
                self.writer.add_scalar(name, value, step)
            self.writer.flush()
        if self.bar is not None:
            self.bar.set_postfix_str(f"noise {entry['loss/noise']:.4f}, mask {entry['loss/mask']:.4f}, "
                                     f"{entry['samples a second']:.1f} samples/s", refresh=False)

    def held_out(self, entry: dict[str, float], step: int) -> None:
        """Losses on held-out samples."""
        if self.writer is not None:
            for name, value in entry.items():
                self.writer.add_scalar(f"held out/{name}", value, step)

    def pictures(self, grid: Tensor, step: int) -> None:
        """grid: [3, H, W] 0..1. It goes into the log and, to be looked at without one, into a file."""
        if self.writer is not None:
            place = self.folder / PICTURES
            place.mkdir(parents=True, exist_ok=True)
            image_of(grid).save(place / f"{step:08}.jpg", quality=90)
            self.writer.add_image("held out samples", grid, step)
            self.writer.flush()

    def close(self) -> None:
        """Nothing more comes."""
        for thing in (self.writer, self.bar):
            if thing is not None:
                thing.close()


def summary(records: Sequence[StepRecord]) -> dict[str, float]:
    """Means over the records, the noise's error by timestep band as well."""
    timesteps, noise, mask, closed = (torch.cat([getattr(record, name).float() for record in records])
                                      for name in ("timesteps", "noise_error", "mask_error", "closed"))
    entry = {"loss/noise": float(noise.mean()), "loss/mask": float(mask.mean()), "mask closed": float(closed.mean()),
             **{f"noise by timestep/{band}": error for band, error in by_timestep(timesteps, noise).items()}}
    for name, found in (("gradient norm", [record.gradient_norm for record in records]),
                        ("gradients below eps", [record.below_eps for record in records])):
        values = [float(value) for value in found if value is not None]
        if values:
            entry[name] = sum(values) / len(values)
    return entry


def by_timestep(timesteps: Tensor, errors: Tensor) -> dict[str, float]:
    """Means of errors [N] over each band of timesteps [N] that any of them lies in, by "200-399" and so on."""
    inside = {f"{low:03}-{high - 1:03}": (timesteps >= low) & (timesteps < high) for low, high in BANDS}
    return {band: float(errors[of_band].mean()) for band, of_band in inside.items() if of_band.any()}


def require_finite(records: Sequence[StepRecord], gradients: bool) -> None:
    """InputError for the first step with a loss, or gradient, that is no number."""
    for step in sorted({record.step for record in records}):
        of_step = [record for record in records if record.step == step]
        bad = [key for record in of_step for key, fine in zip(record.keys, _finite(record).tolist(), strict=True) if not fine]
        norms = [float(record.gradient_norm) for record in of_step if record.gradient_norm is not None]
        if bad or (gradients and not all(map(math.isfinite, norms))):
            keys = bad or [key for record in of_step for key in record.keys]
            what = "loss" if bad else "gradient"
            named = ", ".join(keys[:8]) + (f" and {len(keys) - 8} more" if len(keys) > 8 else "")
            fail("training", "must have finite numbers", f"a {what} of NaN or infinity in step {step}, samples {named}",
                 "look at these samples, lower optimizer.lr or set optimizer.clip_norm to 1; the last checkpoint is from before it")


def _finite(record: StepRecord) -> Tensor:
    return record.noise_error.isfinite() & record.mask_error.isfinite()


def _at_rest(record: StepRecord) -> StepRecord:
    norm, below = (None if value is None else value.detach().cpu() for value in (record.gradient_norm, record.below_eps))
    return StepRecord(record.step, record.keys, record.timesteps.cpu(), record.noise_error.detach().cpu(),
                      record.mask_error.detach().cpu(), record.closed.cpu(), norm, below)


def _writer(folder: Path, first_step: int) -> Any:
    """purge_step: what a killed run wrote after its last checkpoint is told anew."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        fail("the log", "needs the Python package tensorboard", str(error), "run `pip install \".[train]\"`")
    return SummaryWriter(str(folder), purge_step=first_step)


def _bar(first_step: int, last_step: int) -> Any:
    from tqdm import tqdm
    return tqdm(total=last_step, initial=first_step, desc="training", unit="step", dynamic_ncols=True, smoothing=0.05,
                bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left, {rate_fmt}{postfix}]")
