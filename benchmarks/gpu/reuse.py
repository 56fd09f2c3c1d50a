"""CapFace evaluated every n-th step, its residuals reused between: what is saved, and how far the picture moves.

Kept here as a measurement, not in the pack: see benchmarks/RESULTS.md.
"""
from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

from . import world as worlds
from .clock import now
from .rows import Row, Setting, Values

STEPS = {"full": 20, "narrow": 4}
CELLS = {("full", "cuda"): 64, ("full", "cpu"): 16}
EVERY = {"full": (1, 2, 3, 4), "narrow": (1, 2)}


def reusing(control: ModuleType, every: int) -> type:
    """A control object that runs the network in steps 0, every, 2 every, ... of a run."""
    class Reusing(control.CapFaceControl):
        def _forget(self) -> None:
            super()._forget()
            self.kept: dict[tuple, tuple[int, list]] = {}

        def _residuals(self, piece: Any) -> list:
            key = piece.frames, piece.place, tuple(piece.x.shape)
            asked, residuals = self.kept.get(key, (0, []))
            if asked % every == 0:
                residuals = super()._residuals(piece)
            self.kept[key] = asked + 1, residuals
            return residuals
    return Reusing


def knob(setting: Setting) -> Iterator[tuple[str, Values]]:
    """Each setting beside the exact one: its error, also as a share of what CapFace does to the picture at all."""
    import torch
    steps, cells = STEPS[setting.size], CELLS.get((setting.size, setting.device), 0)
    world = worlds.make(setting, cells=cells, steps=steps)
    if setting.device == "cpu":
        torch.set_num_threads(1)             # so that processor seconds are the network's own
    world.sample(worlds.with_capface(world), steps=1)
    plain, _, plain_seconds = _run(setting, world, worlds.plain(world))
    exact = inside_exactly = None
    for every in EVERY[setting.size]:
        control = reusing(world.control, every)(world.capface, world.person(mask="none"))
        latents, inside, whole = _run(setting, world, world.with_control(control), control)
        exact, inside_exactly = (latents, inside) if exact is None else (exact, inside_exactly)
        error, effect = _rms(latents - exact), _rms(plain - exact)
        yield f"reuse {every}", {
            "CapFace's time, of exact": inside / (inside_exactly or inside), "run, of plain": whole / plain_seconds,
            "rel rms of the latent": error / _rms(exact), "of CapFace's effect": error / effect if effect else 0.0}


def _run(setting: Setting, world: worlds.World, pair: worlds.Pair, control: Any = None) -> tuple[Any, float, float]:
    """Final latents, seconds inside CapFace, seconds of the run."""
    device = setting.device
    start = now(device)
    if control is None:
        return world.sample(pair).cpu(), 0.0, now(device) - start
    with worlds.timed_control(control, partial(now, device)) as spent:
        latents = world.sample(pair).cpu()
    return latents, sum(spent), now(device) - start


def _rms(values: Any) -> float:
    return float(values.double().pow(2).mean().sqrt())


ROWS = (Row("reuse", knob, gigabytes=6, seconds=15),)
