"""Sampling: the checkpoint alone, with one person, with two, with CapFace as it is commonly written, with an ordinary ControlNet;
the same compiled and in channels-last order; batches. In half precision on a card."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from caphuman_train.step.compiling import compile_blocks

from . import world as worlds
from .clock import MB, each, peak
from .machine import matmul_tflops
from .rows import Row, Setting, Values
from .targets import BEYOND_WEIGHTS, OF_PLAIN, OF_STRAIGHTFORWARD, WITH_CAPFACE
from .world import Pair, World

WAYS: dict[str, Callable[[World], Pair]] = {
    "plain": worlds.plain, WITH_CAPFACE: worlds.with_capface, "two people": worlds.with_two_people,
    "straightforward CapFace": worlds.straightforwardly, "ordinary ControlNet": worlds.with_controlnet}
ROUNDS = {"full": 3, "narrow": 1}
BATCHES = {"full": (1, 4, 8), "narrow": (1, 2)}
CHANNELS_LAST, COMPILED = "channels last", "compiled"


@cache
def world_of(setting: Setting) -> World:
    """One for all rows."""
    return worlds.make(setting)


@cache
def bound_tflops(setting: Setting) -> float:
    """Matrix products in the type that is sampled in, in this very process."""
    return matmul_tflops(setting, world_of(setting).capface.dtype)


def tflop_of_a_run(world: World, pair: Pair, batch: int) -> float:
    """Counted, not timed: what is done once a run, and the steps, which are all alike."""
    one, two = (_tflop(world, pair, batch, steps) for steps in (1, 2))
    return one + (world.steps - 1) * (two - one)


def _tflop(world: World, pair: Pair, batch: int, steps: int) -> float:
    from torch.utils.flop_counter import FlopCounterMode
    with FlopCounterMode(display=False) as counter:
        world.sample(pair, steps=steps, batch=batch)
    return counter.get_total_flops() / 1e12


def measured(setting: Setting, pair: Pair, batch: int = 1) -> Values:
    """A run's seconds and memory, and its share of what matrix products reach."""
    import comfy.model_management
    world = world_of(setting)
    comfy.model_management.unload_all_models()          # what another way left on the card is not this one's
    took = sorted(each(setting.device, lambda: world.sample(pair, batch=batch), ROUNDS[setting.size], warm=int(setting.full)))
    middle = took[len(took) // 2]
    most, kept = peak(setting.device, lambda: world.sample(pair, batch=batch))
    work = tflop_of_a_run(world, pair, batch)
    return {"seconds": middle, "steps a second": world.steps / middle, "pictures a second": batch / middle, "peak, MB": most,
            "held, MB": kept, "TFLOP": work, "share of matmul": work / middle / bound_tflops(setting)}


def ways(setting: Setting) -> Iterator[tuple[str, Values]]:
    """Each way, one after the other: how long, beside the plain run and the straightforward one."""
    world, found = world_of(setting), {}
    for name, way in WAYS.items():
        found[name] = measured(setting, way(world))
        found[name][OF_PLAIN] = found[name]["seconds"] / found["plain"]["seconds"]
        if name == "straightforward CapFace":           # the line of ours follows it: it is judged beside both
            yield from _ours(world, found)
        if name != WITH_CAPFACE:
            yield name, found[name]


def _ours(world: World, found: dict[str, Values]) -> Iterator[tuple[str, Values]]:
    mine = dict(found[WITH_CAPFACE])
    mine[OF_STRAIGHTFORWARD] = mine["seconds"] / found["straightforward CapFace"]["seconds"]
    if mine["peak, MB"] is not None:
        mine[BEYOND_WEIGHTS] = mine["peak, MB"] - found["plain"]["peak, MB"] - world.weights_mb
    yield WITH_CAPFACE, mine


def batches(setting: Setting) -> Iterator[tuple[str, Values]]:
    """Several pictures at once, alone and with a person."""
    world = world_of(setting)
    for batch in BATCHES[setting.size][1:]:
        for name in ("plain", WITH_CAPFACE):
            yield f"{name}, batch {batch}", measured(setting, WAYS[name](world), batch)


def channels_last(setting: Setting) -> Iterator[tuple[str, Values]]:
    """Pictures with their colours side by side in memory."""
    import torch
    world = world_of(setting)
    for module in (world.base.model.diffusion_model, world.capface.network):
        module.to(memory_format=torch.channels_last)
    for name in ("plain", WITH_CAPFACE):
        yield f"{name}, {CHANNELS_LAST}", measured(setting, WAYS[name](world))


def compiled(setting: Setting) -> Iterator[tuple[str, Values]]:
    """The UNet through the host's own wrapper, CapFace block by block; in channels-last order, as they are by now."""
    world = compile_world(world_of(setting), "inductor")
    for name in ("plain", WITH_CAPFACE):
        first = each(setting.device, lambda name=name: world.sample(WAYS[name](world), steps=1), 1, warm=0)[0]
        yield f"{name}, {COMPILED}", {**measured(setting, WAYS[name](world)), "first step, s": first}


def compile_world(world: World, backend: str) -> World:
    """The same networks, compiled when they are first used."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper
    network = world.capface.network
    set_torch_compile_wrapper(model=world.base, backend=backend)
    compile_blocks((*network.input_blocks, network.middle_block), backend)
    return world


def stay(setting: Setting) -> Values:
    """What networks hold when nothing runs."""
    world = world_of(setting)
    unet: Any = world.base.model.diffusion_model
    return {"UNet's weights, MB": sum(value.nbytes for value in unet.parameters()) / MB, "CapFace's weights, MB": world.weights_mb,
            "pixels a side": 8 * world.cells, "steps": world.steps, "type": str(world.capface.dtype).removeprefix("torch."),
            "cfg": worlds.CFG}


ROWS = (
    Row("what is sampled", stay, gigabytes=4, seconds=20),
    Row("ways", ways, gigabytes=6, seconds=25),
    Row("batches", batches, gigabytes=10, seconds=20),
    Row(CHANNELS_LAST, channels_last, gigabytes=6, seconds=10),
    Row(COMPILED, compiled, needs="cuda", gigabytes=6, seconds=60),
)
