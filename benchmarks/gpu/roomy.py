"""Little memory: the same run under the host's ways to save it. Each way is a part of its own (parts.py), for the host reads its
flags once; the first leaves its latents for the others to be equal to.
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from . import world as worlds
from .clock import each, held, peak
from .rows import LeftOut, Row, Setting, Values, let_go, told

RUNS = {"full": 20, "narrow": 4}
STEPS = {"full": 5, "narrow": 2}
REFERENCE = "roomy-latents.pt"


@cache
def _world(setting: Setting) -> worlds.World:
    return worlds.make(setting, steps=STEPS[setting.size])


def state(setting: Setting) -> Values:
    """What the host has decided."""
    world = _world(setting)
    import comfy.memory_management
    import comfy.model_management as management
    return {"vram state": management.vram_state.name, "smart memory": not management.DISABLE_SMART_MEMORY,
            "offload streams": getattr(management, "NUM_STREAMS", 0),
            "dynamic VRAM": bool(getattr(comfy.memory_management, "aimdo_enabled", False)),
            "CapFace's patcher": type(world.capface.patcher).__name__}


def run(setting: Setting) -> Values:
    """Seconds, memory, and whether the numbers are those of the host's normal way."""
    import torch
    world, notes = _world(setting), setting.note(REFERENCE)
    pair = worlds.with_capface(world)
    took = each(setting.device, lambda: world.sample(pair), 2, warm=1)
    most, kept = peak(setting.device, lambda: world.sample(pair))
    latents = world.sample(pair).cpu()
    values: Values = {"seconds": min(took), "peak, MB": most, "held after, MB": kept}
    if not notes.is_file():
        torch.save(latents, notes)
        return {**values, "equal to the normal way": True, "max abs": 0.0}
    want = torch.load(notes, weights_only=True)
    return {**values, "equal to the normal way": torch.equal(latents, want), "max abs": float((latents - want).abs().max())}


def flat(setting: Setting) -> Values:
    """Many runs: the memory held after each."""
    world = _world(setting)
    pair = worlds.with_capface(world)
    amounts = []
    for _ in range(RUNS[setting.size]):
        world.sample(pair, steps=2)
        amounts.append(held(setting.device))
    half = len(amounts) // 2
    return {"runs": len(amounts), "held first, MB": amounts[0], "most of the first half, MB": max(amounts[:half]),
            "most of the second half, MB": max(amounts[half:])}


def out_of_memory(setting: Setting) -> Iterator[tuple[str, Values]]:
    """A run that finds no room in its middle ends with the host's own error; the next one gives the numbers of before."""
    import torch
    world = _world(setting)
    pair = worlds.with_capface(world)
    want = world.sample(pair).cpu()
    said = _starved(setting, world)
    yield "out of memory in the middle", {"error": said, "its own kind": "OutOfMemory" in said}
    let_go()
    again = world.sample(pair).cpu()
    yield "the run after it", {"equal": torch.equal(again, want), "held, MB": held(setting.device)}


def _starved(setting: Setting, world: worlds.World) -> str:
    """Run until the second step, take away what memory is free, and go on. Returns what was said."""
    import torch
    taken: list[Any] = []

    def take_all(step: int, *_: Any) -> None:
        if setting.device != "cuda":         # a processor's memory is not to be filled for a test: the error alone is made
            raise torch.OutOfMemoryError("made for this test: no memory left")
        torch.cuda.empty_cache()
        for size in (1 << 28, 1 << 24, 1 << 20):
            with contextlib.suppress(torch.OutOfMemoryError):
                while True:
                    taken.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
    try:
        world.sample(worlds.with_capface(world), callback=take_all)
    except torch.OutOfMemoryError as error:
        return told(error)
    finally:
        taken.clear()
        let_go()
    raise LeftOut("the run went on without memory: what it had in hand was enough")


ROWS = (
    Row("the host's choice", state, gigabytes=4, seconds=8),
    Row("run", run, gigabytes=4, seconds=6),
    Row("many runs", flat, gigabytes=4, seconds=8),
    Row("out of memory", out_of_memory, gigabytes=4, seconds=5),
)
