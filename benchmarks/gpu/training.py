"""A training step on the device: samples a second, memory, its share of what matrix products reach."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from benchmarks import train

from . import host
from .clock import peak, seconds
from .machine import matmul_tflops
from .rows import Row, Setting, Values

SIZE, BATCH = {"full": 512, "narrow": 64}, {"full": 8, "narrow": 2}
NARROW = 32                              # channels of the first level


@cache
def world_of(setting: Setting) -> Any:
    """CapFace in float32, the UNet in bf16 on a card."""
    host.start(setting)
    dtype = "bfloat16" if setting.device == "cuda" else "float32"
    return train.make_world(setting.device, dtype, *(() if setting.full else (NARROW,)))


def _tflop(step: Callable[[], Any]) -> float:
    from torch.utils.flop_counter import FlopCounterMode
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 1e12


def measured(setting: Setting, batch: int) -> Values:
    """Loss and gradients of a batch; the optimizer's own step comes on top."""
    world = world_of(setting)
    step = train.ours(world, batch, SIZE[setting.size])
    took = seconds(setting.device, step, *((5, 2) if setting.full else (1, 0)))
    most, _ = peak(setting.device, step)
    work = _tflop(step)
    return {"samples a second": batch / took, "peak, MB": most, "TFLOP a sample": work / batch,
            "share of matmul": work / took / matmul_tflops(setting, world.step.dtype)}


def steps(setting: Setting) -> Iterator[tuple[str, Values]]:
    """One sample, and a batch."""
    for batch in (1, BATCH[setting.size]) if setting.full else (BATCH[setting.size],):
        yield f"batch {batch}", measured(setting, batch)


def optimizer(setting: Setting) -> Values:
    """AdamW over all of CapFace's weights, as the trainer takes it."""
    import torch
    world = world_of(setting)
    train.ours(world, 1, SIZE[setting.size])()
    parameters = list(world.step.parameters())
    for value in parameters:
        value.grad = torch.zeros_like(value)
    adam = torch.optim.AdamW(parameters, lr=1e-4, fused=setting.device == "cuda")
    took = seconds(setting.device, adam.step, 3)
    world.step.zero_grad(set_to_none=True)
    return {"ms": took * 1000, "weights": sum(value.numel() for value in parameters)}


def straightforward(setting: Setting) -> Values:
    """The step with everything in it, as common ControlNet training scripts have it."""
    batch, size = BATCH[setting.size], SIZE[setting.size]
    took = seconds(setting.device, train.straightforward(world_of(setting), batch, size), 3)
    return {"samples a second": batch / took}


def compiled(setting: Setting) -> Values:
    """The same compiled, in channels-last order."""
    train.compile_world(world_of(setting))
    return measured(setting, BATCH[setting.size])


ROWS = (
    Row("a step", steps, gigabytes=20, seconds=15),
    Row("the optimizer", optimizer, gigabytes=12, seconds=3),
    Row("straightforward", straightforward, needs="cuda", gigabytes=30, seconds=8),
    Row("compiled", compiled, needs="cuda", gigabytes=20, seconds=60),
)
