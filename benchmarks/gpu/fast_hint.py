"""Drawing the hint: one head and many, beside pytorch3d where it is installed, and beside what the bus and the launches allow."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from .clock import seconds
from .machine import launch_microseconds
from .rows import LeftOut, Row, Setting, Values
from .targets import MILLISECONDS, hint_row

SIDES = {"full": (512, 1024), "narrow": (64, 96)}
BATCHES = {"full": (1, 64), "narrow": (1, 3)}
CHANNELS = 11                            # that leave the card: nine maps, mask, depth; four bytes each
ROUNDS = 5


@dataclass(frozen=True)
class Heads:
    """The built-in head, turned by another angle in each row."""

    model: Any                           # HeadModel
    batch: Any                           # flow.Head


@cache
def heads(count: int) -> Heads:
    """So many."""
    from caphuman_core.flow import Head
    from caphuman_core.head.edit.edit import Edit, edit_head
    from caphuman_core.head.model.head_model import load_builtin
    from caphuman_core.head.new import new_head
    model = load_builtin()
    start = new_head(model, 512, 512)
    turned = [edit_head(start, model, Edit(yaw_degrees=60 * (i + 0.5) / count - 30)) for i in range(count)]
    return Heads(model, Head.stack(turned))


def drawing(setting: Setting, side: int, batch: int, rasterizer: Any = None) -> Callable[[], Any]:
    """Draws the hint on the setting's device."""
    import torch

    from caphuman_core.render.maps import render
    from caphuman_core.render.raster import rasterize
    these = heads(batch)
    device, chosen = torch.device(setting.device), rasterizer or rasterize
    return lambda: render(these.batch, these.model, side, side, rasterizer=chosen, device=device)


def operations(work: Callable[[], Any]) -> int:
    """How many operations of torch a call makes; nearly all of them launch something."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counter(TorchDispatchMode):
        """Counts."""

        seen = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen += not func.is_view
            return func(*args, **(kwargs or {}))
    with Counter() as counter:
        work()
    return counter.seen


@cache
def _launch_ms(device: str) -> float:
    return launch_microseconds(device) / 1000


def bus_ms(setting: Setting, side: int, batch: int) -> float | None:
    """What carrying the maps from the card costs; None on a processor."""
    if setting.device != "cuda":
        return None
    import torch
    maps = torch.empty(batch, CHANNELS, side, side, device="cuda")
    return seconds("cuda", maps.cpu, rounds=3) * 1000


def ours(setting: Setting) -> Iterator[tuple[str, Values]]:
    """Each size and batch: on the card, and with the way home, which results take between nodes."""
    for side in SIDES[setting.size]:
        for batch in BATCHES[setting.size]:
            work = drawing(setting, side, batch)
            took = seconds(setting.device, work, ROUNDS, warm=2) * 1000
            count = operations(work)
            yield hint_row(side, batch), {MILLISECONDS: took, "a head, ms": took / batch, "operations": count,
                                          "their launches, ms": count * _launch_ms(setting.device),
                                          "the maps over the bus, ms": bus_ms(setting, side, batch)}


def beside_processor(setting: Setting) -> Iterator[tuple[str, Values]]:
    """The same on the processor, where the card's share of the work was before."""
    from dataclasses import replace
    home = replace(setting, device="cpu")
    for side in SIDES[setting.size]:
        yield f"{hint_row(side, 1)}, on the processor", {MILLISECONDS: seconds("cpu", drawing(home, side, 1), 3) * 1000}


def pytorch3d(setting: Setting) -> Iterator[tuple[str, Values]]:
    """The same picture through pytorch3d's rasterizer. On a processor it takes minutes at full size."""
    import importlib.util

    from caphuman_core.render.pytorch3d_raster import rasterize_pytorch3d
    if importlib.util.find_spec("pytorch3d") is None:
        raise LeftOut("pytorch3d is not installed")
    if setting.device == "cpu" and setting.full:
        raise LeftOut("on a processor it takes minutes: python dev.py benchmark head --slow")
    for side in SIDES[setting.size]:
        for batch in BATCHES[setting.size] if setting.device == "cuda" else (1,):
            work = drawing(setting, side, batch, rasterize_pytorch3d)
            took = seconds(setting.device, work, 3) * 1000
            yield f"{hint_row(side, batch)}, pytorch3d", {MILLISECONDS: took, "a head, ms": took / batch}


ROWS = (
    Row("ours", ours, gigabytes=4, seconds=15),
    Row("on the processor", beside_processor, needs="cuda", seconds=3),
    Row("pytorch3d", pytorch3d, gigabytes=4, seconds=15),
)
