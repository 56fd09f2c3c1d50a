"""CapFace, its noise predictions and DDIM runs through the host, against the reference (DIFFUSION.md)."""
from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch

from ..stand_ins import diffusion_nets as nets
from .compare import Distance, arrays, distance

# DIFFUSION.md's table of tolerances: each is several times what two float32 attention kernels differ by.
CONTROL = (3e-4, 2e-5)
CONSTANT = (1e-5, 2e-6)
EPS = (5e-5, 2e-5)
LATENT = (2e-3, 5e-5)
PRED_X0 = (3e-3, 5e-5)
# Relative rms of half precision: about eight times the type's rounding (2^-11, 2^-8), which 40 layers in a row add up to.
HALF = {torch.float16: 3e-3, torch.bfloat16: 3e-2}

FORWARDS = ("capface_16x16_t601", "capface_24x16_t21")
PREDICTIONS = tuple(name for name, case in nets.index()["cases"].items() if case["group"] == "B")
RUNS = tuple(name for name, case in nets.index()["cases"].items() if case["group"] == "C" and "inputs" in case)


@dataclass(frozen=True)
class Nodes:
    """What of the pack and the host a golden run goes through."""

    apply: Callable[..., Any]            # CapHumanApplyCapFace with named inputs -> positive, negative, mask
    control: ModuleType                  # nodes.capface.control
    spec: ModuleType                     # caphuman_core.capface.spec
    flow: ModuleType                     # caphuman_core.flow
    device: str = "cpu"                  # where stand-ins are computed


def entry(case: str) -> dict[str, Any]:
    """Inputs and settings of a case."""
    return nets.index()["cases"][case]


# --- CapFace alone

def forward(case: str, network: Any, module: ModuleType, device: str = "cpu", dtype: torch.dtype = torch.float32
            ) -> Iterator[Distance]:
    """One forward of a network on a device; module: nodes.capface.network.

    In half precision: what the residuals and the mask differ by, within HALF; else every stage within the reference's tolerances.
    """
    inputs, want, exact = entry(case)["inputs"], arrays(f"diffusion_{case}"), dtype == torch.float32
    given = {key: nets.tensor(inputs["persons"][0][key]).to(device) for key in ("hint", "clip", "id")}
    x, t = nets.tensor(inputs["x"]).to(device, dtype), torch.tensor(entry(case)["timesteps"], device=device)
    guided, mask = network.encode_hint(given["hint"])
    tokens = network.project(given["clip"], given["id"][:, 0])
    if exact:
        yield distance("time embedding", network.embed_time(t, torch.float32), want["time_embedding"], CONSTANT)
        yield distance("guided hint", guided, want["guided_hint"], CONSTANT)
        if "context" in want:
            yield distance("context", tokens, want["context"], CONSTANT)
    yield distance("mask", mask, want["mask"], CONSTANT if exact else (HALF[dtype], 1.0))
    shown = module.FrameContext(module.IdentityContext(tokens.to(dtype)), torch.tensor([0], device=device), None)
    for index, control in enumerate(network(x, guided.to(dtype), t, shown)):
        yield distance(f"control {index}", control.float(), want[f"control_{index:02d}"], CONTROL if exact else (1.0, HALF[dtype]))


# --- through the host's guidance

def apply_all(nodes: Nodes, capface: Any, persons: Sequence[dict], settings: dict[str, Any], conditioning: list | None = None
              ) -> list:
    """One CapHumanApplyCapFace for each person, and the host's own ControlNet node where a pose strength is set."""
    applied: list = conditioning or [[nets.tensor(persons[-1]["text"]), {}]]
    for person in persons if settings["control"] else []:
        hint, clip, who = (nets.tensor(person[key]) for key in ("hint", "clip", "id"))
        shown = torch.ones(len(hint), dtype=torch.bool)
        applied = nodes.apply(
            positive=applied, negative=[], capface=capface,
            identity=nodes.flow.Identity(who[:, 0], clip, shown, ""),
            hint=nodes.flow.HeadHint(hint, torch.zeros_like(hint[:, 0]), shown),
            strength=settings["strength"], id_dropout_tau=settings["tau"], mask="predicted" if settings["mask"] else "none")[0]
        if settings["pose_strength"] is not None:
            applied = pose(nodes, applied, person, settings["pose_strength"])
    return applied


def pose(nodes: Nodes, conditioning: list, person: dict, strength: float) -> list:
    """The host's ordinary ControlNet, put there by the host's own node."""
    image, net = nets.tensor(person["pose"]).movedim(1, -1), nets.pose_controlnet(nodes.spec, nodes.device)
    applied = importlib.import_module("nodes").ControlNetApplyAdvanced()         # the host's module
    return applied.apply_controlnet(conditioning, [], net, image, strength, 0.0, 1.0)[0]


class Probe:
    """A sampler of the host that evaluates the model once and keeps what came."""

    def __init__(self, x: torch.Tensor, sigma: torch.Tensor) -> None:
        self.x, self.sigma, self.denoised = x, sigma, torch.zeros(0)

    def sample(self, model, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False):
        self.denoised = model(self.x.to(noise.device), self.sigma.to(noise.device), **extra_args)
        return noise


def eps(base: Any, positive: list, x: torch.Tensor, timesteps: list[int], negative: Sequence = (), cfg: float = 1.0
        ) -> torch.Tensor:
    """The noise prediction of the host's whole guidance machinery at latents x [B, 4, h, w] of unit variance, on the processor."""
    import comfy.samplers
    sigma = base.model.model_sampling.sigmas.cpu()[torch.tensor(timesteps)].expand(len(x))
    noised = x * (sigma**2 + 1).sqrt()[:, None, None, None]
    probe: Any = Probe(noised, sigma)
    comfy.samplers.sample(base, torch.zeros_like(x), positive, list(negative) or positive, cfg, base.load_device, probe,
                          sigma[:1].repeat(2).to(base.load_device), latent_image=torch.zeros_like(x), disable_pbar=True)
    return (noised - probe.denoised.cpu()) / sigma[:, None, None, None]


def prediction(case: str, base: Any, capface: Any, nodes: Nodes) -> Distance:
    """One noise prediction of the reference."""
    known = entry(case)
    positive = apply_all(nodes, capface, known["inputs"]["persons"], known["settings"])
    got = eps(base, positive, nets.tensor(known["inputs"]["x"]), known["timesteps"])
    return distance(case, got, arrays("diffusion_apply_model")[f"{case}__eps"], EPS)


@dataclass(frozen=True)
class Run:
    """A DDIM run, and CapFace forwards of each person after each step."""

    distances: tuple[Distance, ...]      # all latents, all predictions
    forwards: tuple[tuple[int, ...], ...]


def ddim(case: str, base: Any, capface: Any, nodes: Nodes) -> Run:
    """The host's own ddim sampler over the reference's sigmas: every latent, every prediction."""
    import comfy.samplers
    known, want = entry(case), arrays("diffusion_ddim")
    positive = apply_all(nodes, capface, known["inputs"]["persons"], known["settings"])
    negative = [[nets.tensor(known["inputs"]["uncond_persons"][-1]["text"]), dict(positive[0][1])]]
    x_t, steps = nets.tensor(known["inputs"]["x"]), torch.from_numpy(want[f"{case}__timesteps"])
    sigmas = base.model.model_sampling.sigmas.cpu()[torch.cat([steps, torch.zeros(1, dtype=steps.dtype)])]
    unit = (sigmas**2 + 1).sqrt()        # latents of the host have this many times the reference's size
    latents, clean, counts = [], [], []

    def keep(step: int, denoised: torch.Tensor, x: torch.Tensor, total: int) -> None:
        latents.append(x.cpu() / unit[step])
        clean.append(denoised.cpu())
        counts.append(tuple(control.steps.forwards for control in chain(positive[0][1]["control"], nodes)))
    final = comfy.samplers.sample(base, x_t * unit[0] / sigmas[0], positive, negative, known["settings"]["cfg"], base.load_device,
                                  comfy.samplers.sampler_object("ddim"), sigmas.to(base.load_device),
                                  latent_image=torch.zeros_like(x_t), callback=keep, disable_pbar=True, seed=0)
    latents.append(base.model.process_latent_in(final.cpu()) / unit[-1])
    return Run((distance(f"{case} latents", torch.stack(latents), want[f"{case}__x_inter"], LATENT),
                distance(f"{case} pred_x0", torch.stack(clean), want[f"{case}__pred_x0"], PRED_X0)), tuple(counts))


def chain(control: Any, nodes: Nodes) -> Iterator[Any]:
    """The CapFace objects of a chain of control objects."""
    while control is not None:
        if isinstance(control, nodes.control.CapFaceControl):
            yield control
        control = control.previous_controlnet
