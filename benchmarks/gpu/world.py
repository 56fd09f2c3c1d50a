"""Networks to sample with, full or narrow, people and heads of noise, and the ways to run them through the host's sampler."""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from . import host
from .rows import Setting

CFG, SAMPLER, SCHEDULER = 7.0, "euler", "normal"
CELLS = {"full": 64, "narrow": 8}        # of a latent's side: pictures of 512 and 64 pixels
STEPS = {"full": 20, "narrow": 2}
Pair = tuple[list, list]                 # positive, negative


def noise(*shape: int, seed: int = 0) -> Any:
    """Numbers that follow from a seed, on the processor, the same wherever they are used."""
    import torch
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class World:
    """A base model and a CapFace, both under the host's model management, at one size and type."""

    base: Any                            # comfy.model_patcher.ModelPatcher
    capface: Any                         # nodes.capface.control.CapFace
    control: ModuleType                  # nodes.capface.control
    flow: ModuleType                     # caphuman_core.flow
    spec: ModuleType                     # caphuman_core.capface.spec
    cells: int
    steps: int
    full: bool

    def person(self, seed: int = 10, **options: Any) -> Any:
        """Somebody, with a head in the middle of the picture."""
        import torch
        side, shown = 8 * self.cells, torch.ones(1, dtype=torch.bool)
        whole = torch.nn.functional.normalize(noise(1, 512, seed=seed), dim=-1)
        mask = torch.zeros(1, side, side)
        mask[:, side // 4:3 * side // 4, side // 4:3 * side // 4] = 1
        hint = self.flow.HeadHint(noise(1, 9, side, side, seed=seed + 1) * mask[:, None], mask, shown)
        return self.control.Person(self.flow.Identity(whole, noise(1, 257, 1024, seed=seed + 2), shown, ""), hint,
                                   **{"mask": "rendered", **options})

    def text(self) -> Pair:
        """Two prompts without anybody."""
        return [[noise(1, 77, 768, seed=1), {}]], [[noise(1, 77, 768, seed=2), {}]]

    def with_control(self, control: Any) -> Pair:
        """The prompts with one control object on both sides, as the Apply nodes leave them."""
        positive, negative = self.text()
        added = {"control": control, "control_apply_to_uncond": False}
        return [[positive[0][0], added]], [[negative[0][0], dict(added)]]

    def sample(self, pair: Pair, steps: int = 0, batch: int = 1, seed: int = 5, callback: Any = None) -> Any:
        """Final latents [batch, 4, cells, cells] of a run, on the host's intermediate device."""
        import comfy.sample
        import torch
        latents = torch.zeros(batch, 4, self.cells, self.cells)
        with torch.inference_mode():
            return comfy.sample.sample(self.base, noise(*latents.shape, seed=seed), steps or self.steps, CFG, SAMPLER, SCHEDULER,
                                       *pair, latents, disable_pbar=True, seed=seed, callback=callback)

    @property
    def weights_mb(self) -> float:
        """MB of CapFace's weights."""
        return sum(value.nbytes for value in self.capface.network.parameters()) / 1e6


def make(setting: Setting, dtype_name: str = "", cells: int = 0, steps: int = 0) -> World:
    """Untrained networks: on a card in half precision, as the host runs a checkpoint there; on a processor in single."""
    part = host.start(setting)
    import torch
    dtype = getattr(torch, dtype_name or ("float16" if setting.device == "cuda" else "float32"))
    base, network = _networks(setting, part)
    _cast(base, network, dtype)
    control = part("nodes.capface.control")
    capface = control.CapFace(network, part("nodes.host").patcher(network), dtype, "untrained")
    return World(base, capface, control, part("caphuman_core.flow"), part("caphuman_core.capface.spec"),
                 cells or CELLS[setting.size], steps or STEPS[setting.size], setting.full)


def _networks(setting: Setting, part: Callable[[str], ModuleType]) -> tuple[Any, Any]:
    from tools.stand_ins import diffusion_nets, narrow_nets
    network_module = part("nodes.capface.network")
    if setting.full:
        base, network = diffusion_nets.base_model(setting.device), diffusion_nets.capface(network_module, setting.device)
    else:
        part("nodes.capface.base_model").SHAPE["model_channels"] = narrow_nets.WIDTH
        base, network = narrow_nets.base_model(), narrow_nets.capface(network_module)
    return on_the_hosts_device(base), network


def on_the_hosts_device(base: Any) -> Any:
    """A patcher that the host moves to its own device, and back to where it keeps models that it has no room for."""
    import comfy.model_management as management
    base.load_device, base.offload_device = management.get_torch_device(), management.unet_offload_device()
    return base


def _cast(base: Any, network: Any, dtype: Any) -> None:
    base.model.diffusion_model.to(dtype).dtype = dtype
    network.to(dtype).dtype = dtype


# --- the ways

def straightforward(control: ModuleType) -> type:
    """Everything, both branches, every step: the control object as it is commonly written."""
    class Straightforward(control.CapFaceControl):
        def get_control(self, x_noisy, t, cond, batched_number, transformer_options):
            self.identities, self.features = None, {}
            self.steps = control.StepCache()
            return super().get_control(x_noisy, t, {}, 1, transformer_options)
    return Straightforward


def plain(world: World) -> Pair:
    """The checkpoint alone."""
    return world.text()


def with_capface(world: World) -> Pair:
    """One person."""
    return world.with_control(world.control.CapFaceControl(world.capface, world.person()))


def with_two_people(world: World) -> Pair:
    """Two Apply nodes in a row."""
    first, second = (world.control.CapFaceControl(world.capface, world.person(seed)) for seed in (10, 20))
    second.set_previous_controlnet(first)
    return world.with_control(second)


def straightforwardly(world: World) -> Pair:
    """One person, without anything saved."""
    return world.with_control(straightforward(world.control)(world.capface, world.person()))


def with_controlnet(world: World) -> Pair:
    """An ordinary ControlNet in CapFace's place: the host's own, of the same blocks."""
    from tools.stand_ins import diffusion_nets, narrow_nets
    made = (diffusion_nets.pose_controlnet(world.spec, str(world.base.load_device)) if world.full
            else narrow_nets.controlnet(world.spec))
    made = _controlnet_on(made, world)
    side = 8 * world.cells
    return world.with_control(made.set_cond_hint(noise(1, 3, side, side, seed=3).sigmoid(), 1.0, (0.0, 1.0)))


def _controlnet_on(made: Any, world: World) -> Any:
    import comfy.controlnet
    network = made.control_model.to(world.capface.dtype)
    network.dtype = world.capface.dtype
    return comfy.controlnet.ControlNet(network, load_device=world.base.load_device)


@contextlib.contextmanager
def timed_control(control: Any, now: Callable[[], float]) -> Iterator[list[float]]:
    """Seconds inside get_control of each call, as they come."""
    spent: list[float] = []
    inner = control.get_control

    def timed(*args: Any) -> Any:
        start = now()
        out = inner(*args)
        spent.append(now() - start)
        return out
    control.get_control = timed
    try:
        yield spent
    finally:
        del control.get_control
