"""CapFace, noise predictions and DDIM runs on the device against the reference: in single precision within its tolerances, in half
precision the distance. On narrow networks the reference says nothing: there only the two kinds of precision are compared.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from tools.goldens.compare import Distance

from . import host
from . import world as worlds
from .rows import LeftOut, Row, Setting, Values

NO_REFERENCE = "the reference's numbers belong to full-size networks"


def worst(distances: Iterable[Distance]) -> Values:
    """The distance that uses up most of its tolerance, and whether all hold."""
    found = list(distances)
    one = max(found, key=lambda each: max(each.max_abs / each.allowed[0], each.rel_rms / each.allowed[1]))
    return {"numbers": len(found), "worst in": one.name, "max abs": one.max_abs, "allowed abs": one.allowed[0],
            "rel rms": one.rel_rms, "allowed rms": one.allowed[1], "within": all(each.holds for each in found)}


@cache
def golden_world(setting: Setting) -> tuple[Any, Any, Any]:
    """The base model, CapFace and nodes of the golden runs, in single precision, where the host puts them."""
    part = host.start(setting)
    import torch

    from tools.goldens.diffusion import Nodes
    from tools.stand_ins import diffusion_nets as nets
    exactly(torch)
    control = part("nodes.capface.control")
    network = nets.capface(part("nodes.capface.network"), setting.device)
    capface = control.CapFace(network, part("nodes.host").patcher(network), torch.float32, "golden")
    base = worlds.on_the_hosts_device(nets.base_model(setting.device))
    nodes = Nodes(lambda **inputs: part("nodes.capface.apply").ApplyCapFace.execute(**inputs).result, control,
                  part("caphuman_core.capface.spec"), part("caphuman_core.flow"), setting.device)
    return base, capface, nodes


def exactly(torch: Any) -> None:
    """Single precision that is one: TensorFloat-32 rounds to ten bits, far beyond the tolerances."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def forwards(setting: Setting) -> Iterator[tuple[str, Values]]:
    """CapFace alone, in each precision."""
    if not setting.full:
        raise LeftOut(NO_REFERENCE)
    import torch

    from tools.goldens import diffusion as goldens
    part = host.start(setting)
    _, capface, _ = golden_world(setting)
    module = part("nodes.capface.network")
    network = capface.network.to(setting.device)
    with torch.no_grad():
        for case in goldens.FORWARDS:
            yield f"{case}, float32", worst(goldens.forward(case, network, module, setting.device))
        for dtype in goldens.HALF:
            half = _copy(network, module, dtype, setting.device)
            name = str(dtype).removeprefix("torch.")
            yield f"{goldens.FORWARDS[0]}, {name}", worst(goldens.forward(goldens.FORWARDS[0], half, module, setting.device, dtype))
            del half


def _copy(network: Any, module: Any, dtype: Any, device: str) -> Any:
    import comfy.ops
    import torch
    made = module.CapFaceNet(dtype, torch.device(device), comfy.ops.disable_weight_init).requires_grad_(False)
    made.load_state_dict(network.state_dict())
    return made


def predictions(setting: Setting) -> Values:
    """Every noise prediction of the reference, through the host's guidance."""
    if not setting.full:
        raise LeftOut(NO_REFERENCE)
    import torch

    from tools.goldens import diffusion as goldens
    with torch.no_grad():
        return worst(goldens.prediction(case, *golden_world(setting)) for case in goldens.PREDICTIONS)


def runs(setting: Setting) -> Iterator[tuple[str, Values]]:
    """Every DDIM run of the reference, through the host's sampler."""
    if not setting.full:
        raise LeftOut(NO_REFERENCE)
    import torch

    from tools.goldens import diffusion as goldens
    with torch.no_grad():
        for case in goldens.RUNS:
            yield case, worst(goldens.ddim(case, *golden_world(setting)).distances)


def half_against_single(setting: Setting) -> Iterator[tuple[str, Values]]:
    """A whole run in half precision beside the same in single: what people's pictures differ by."""
    import torch

    from tools.goldens.compare import distance
    exact = worlds.make(setting, "float32", steps=4 if setting.full else 1)
    want = exact.sample(worlds.with_capface(exact))
    del exact
    for name in ("float16", "bfloat16"):
        _forget()
        world = worlds.make(setting, name, steps=4 if setting.full else 1)
        found = distance(name, world.sample(worlds.with_capface(world)).float(), want, (float("inf"), float("inf")))
        yield f"final latents, {name} beside float32", {"rel rms": found.rel_rms, "max abs": found.max_abs}
        del world
    torch.cuda.empty_cache()


def _forget() -> None:
    """Cast networks are no golden ones any more."""
    import comfy.model_management

    from tools.stand_ins import diffusion_nets

    from .rows import let_go
    comfy.model_management.unload_all_models()
    diffusion_nets.forget()
    golden_world.cache_clear()
    let_go()


ROWS = (
    Row("CapFace", forwards, gigabytes=8, seconds=20),
    Row("noise predictions", predictions, gigabytes=8, seconds=12),
    Row("DDIM runs", runs, gigabytes=8, seconds=12),
    Row("half precision", half_against_single, gigabytes=8, seconds=15),
)
