"""CapFace as a control object of the host: residuals from a posed head and an identity, inside a face mask."""
from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.utils
import torch
from comfy.controlnet import ControlBase
from torch import Tensor

from ...caphuman_core.capface.about import NOT_TOLD, About
from ...caphuman_core.capface.frames import entries_for_frames, identity_heard
from ...caphuman_core.capface.mask import face_mask, resize_mask
from ...caphuman_core.capface.schedule import Schedule, strengths
from ...caphuman_core.capface.spec import CELL, SPEC, TOKENS
from ...caphuman_core.flow import HeadHint, Identity
from .. import host
from .base_model import require_sd15
from .network import CapFaceNet, FrameContext, IdentityContext
from .step_cache import AREA_KEY, Area, Residuals, StepCache

ENCODE_AT_ONCE = 2                              # hints encoded together; more costs memory, not time
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CapFace:
    """Loaded CapFace weights: what travels on a CAPHUMAN_CAPFACE socket. All applications share it."""

    network: CapFaceNet
    patcher: comfy.model_patcher.ModelPatcher
    dtype: torch.dtype                          # computed in
    name: str                                   # of the file, for messages
    about: About = NOT_TOLD                     # what the file tells of its training


@dataclass(frozen=True)
class Person:
    """One application of CapFace: who, posed how, and how strongly where."""

    identity: Identity
    hint: HeadHint
    strength: float = 1.0
    start_percent: float = 0.0                  # fraction of the run, 0..1
    end_percent: float = 1.0
    id_dropout_tau: int = 0                     # 0: off; else identity is silent while t > tau
    mask: str = "predicted"                     # predicted, rendered, none
    soft_mask: bool = False
    head_strength: float = 1.0                  # on the hint's features alone
    identity_strength: float = 1.0              # on what identity tokens say alone
    schedule: Schedule = field(default_factory=Schedule)
    frame_strengths: tuple[float, ...] = ()
    spatial_mask: Tensor | None = None          # [B, H, W] 0..1, on the residuals only


@dataclass(frozen=True)
class HintFeatures:
    """What a hint amounts to at one latent size: the same for every step of a run."""

    guided: Tensor                              # [N, 320, h, w] compute dtype
    mask: Tensor | None                         # [N, 1, h, w] float32 0..1; None: everywhere
    spatial: Tensor | None                      # [M, 1, h, w] float32, the user's own; None: everywhere


class CapFaceControl(ControlBase):
    """One person in a chain of control objects.

    Positive and negative share one object, so that the host batches them and one CapFace forward
    serves both. Predecessors are called with the conditioning as it came: they see the text, CapFace
    alone sees identity. Weights live in the shared `CapFace`; a copy costs nothing.
    """

    def __init__(self, capface: CapFace, person: Person) -> None:
        super().__init__()
        self.capface = capface
        self.person = person
        self.strength = person.strength
        self.timestep_percent_range = (person.start_percent, person.end_percent)
        self.compression_ratio = CELL
        self._forget()

    # --- the run: the host calls pre_run, then get_control for every step, then cleanup (not after an interrupt)

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        require_sd15(model, "model")
        super().pre_run(model, percent_to_timestep_function)
        self._forget()
        self.sampling = model.model_sampling

    def cleanup(self) -> None:
        super().cleanup()
        self._forget()

    def _forget(self) -> None:
        """Drop everything that belongs to one run."""
        self.sampling: Any = None
        self.identities: IdentityContext | None = None
        self.features: dict[tuple, HintFeatures] = {}
        self.steps = StepCache()
        self.warned = False

    def get_control(self, x_noisy: Tensor, t: Tensor, cond: dict, batched_number: int, transformer_options: dict) -> dict | None:
        """Residuals for the UNet, by the host's contract: x_noisy holds `batched_number` chunks (positive,
        negative, regions) of the frames in this window, noised; t is sigma, one for each row."""
        previous = None
        predecessor: Any = self.previous_controlnet
        if predecessor is not None:
            previous = predecessor.get_control(x_noisy, t, cond, batched_number, transformer_options)
        if self.timestep_range is not None and (t[0] > self.timestep_range[0] or t[0] < self.timestep_range[1]):
            return previous
        frames = _window(transformer_options, x_noisy.shape[0] // batched_number)
        gains = self._gains(t, frames)
        if not any(gains):
            return previous
        areas = cond.get(AREA_KEY, ())
        areas = areas if len(areas) == batched_number else (None,) * batched_number
        chunks = list(zip(x_noisy.chunk(batched_number), t.chunk(batched_number), areas, strict=True))
        found = self.steps.collect(chunks, tuple(frames), partial(self._residuals, frames=frames, gains=gains))
        return merge(found, previous)

    # --- one forward

    def _gains(self, t: Tensor, frames: list[int]) -> list[float]:
        """Strength of each frame now; 0 for a frame without a face or a head."""
        person = self.person
        run = 0.0
        if person.schedule.points:                  # counted as the host's percent_to_sigma does
            run = 1.0 - float(self.sampling.timestep(t[:1]).float()) / 999.0
        gains = strengths(self.strength, person.schedule, person.frame_strengths, run, frames)
        who = entries_for_frames(len(person.identity), frames)
        posed = entries_for_frames(len(person.hint), frames)
        return [gain * bool(person.identity.present[a]) * bool(person.hint.present[b])
                for gain, a, b in zip(gains, who, posed, strict=True)]

    def _residuals(self, x: Tensor, sigma: Tensor, area: Area | None, frames: list[int], gains: list[float]) -> Residuals:
        """One CapFace forward. x: [F, 4, h, w] noised latents of the frames; sigma: [F]."""
        device, dtype = x.device, self.capface.dtype
        hints = self._features(x.shape[-2], x.shape[-1], area, device)
        rows = torch.tensor(entries_for_frames(len(self.person.hint), frames), device=device)
        guided = hints.guided[rows]
        if self.person.head_strength != 1.0:
            guided = guided * self.person.head_strength
        timesteps = self.sampling.timestep(sigma).float()
        latents = self.sampling.calculate_input(sigma, x).to(dtype)
        raw = self.capface.network(latents, guided, timesteps, self._context(timesteps, frames, device))
        gain = torch.tensor(gains, dtype=torch.float32, device=device)[:, None, None, None]
        mask = None if hints.mask is None else hints.mask[rows]
        spatial = None if hints.spatial is None else hints.spatial[entries_for_frames(len(hints.spatial), frames)]
        return self._masked(raw, gain, mask, spatial)

    def _masked(self, raw: list[Tensor], gain: Tensor, mask: Tensor | None, spatial: Tensor | None) -> Residuals:
        """Strength first, the masks afterwards; all at once, since a product with 0 or 1 is exact.

        gain: [F, 1, 1, 1]; mask, spatial: [F, 1, h, w] at latent size.
        """
        factors: dict[tuple[int, int], Tensor] = {}
        out = []
        for residual in raw:
            size = (residual.shape[-2], residual.shape[-1])
            if size not in factors:
                factor = gain if mask is None else gain * face_mask(mask, size, self.person.soft_mask)
                factors[size] = factor if spatial is None else factor * resize_mask(spatial, size)
            out.append(residual.mul_(factors[size].to(residual)))      # nobody else holds them yet
        return out

    def _context(self, timesteps: Tensor, frames: list[int], device: torch.device) -> FrameContext:
        if self.identities is None:
            identity = self.person.identity
            tokens = self.capface.network.project(identity.local_tokens.to(device, torch.float32),
                                                  identity.global_embedding.to(device, torch.float32))
            self.identities = IdentityContext(tokens.to(self.capface.dtype))
        rows = torch.tensor(entries_for_frames(len(self.person.identity), frames), device=device)
        loudness = identity_heard(timesteps, self.person.id_dropout_tau) * self.person.identity_strength
        neutral = self.person.id_dropout_tau == 0 and self.person.identity_strength == 1.0
        return FrameContext(self.identities, rows, None if neutral else loudness[:, None, None])

    # --- constants of a run

    def _features(self, height: int, width: int, area: Area | None, device: torch.device) -> HintFeatures:
        key = (height, width, area, device)
        if key not in self.features:
            if len(self.features) >= 4:
                self.features.pop(next(iter(self.features)))
            self.features[key] = self.encode(height, width, area, device)
        return self.features[key]

    def encode(self, height: int, width: int, area: Area | None, device: torch.device) -> HintFeatures:
        """Hint block and masks for every entry, at latent size height x width."""
        hint = self.person.hint
        pixels = (height * CELL, width * CELL)
        maps = self._fitted(hint.maps, pixels, area)
        guided, masks = [], []
        for start in range(0, len(maps), ENCODE_AT_ONCE):
            features, mask = self.capface.network.encode_hint(maps[start:start + ENCODE_AT_ONCE].to(device, torch.float32))
            guided.append(features.to(self.capface.dtype))
            masks.append(mask)
        mask = {"none": lambda: None, "predicted": lambda: torch.cat(masks),
                "rendered": lambda: self._drawn(hint.mask, (height, width), area, device)}[self.person.mask]()
        spatial = self.person.spatial_mask
        return HintFeatures(torch.cat(guided), mask,
                            None if spatial is None else self._drawn(spatial, (height, width), area, device))

    def _drawn(self, mask: Tensor, cells: tuple[int, int], area: Area | None, device: torch.device) -> Tensor:
        """A mask [B, H, W] of the whole picture at latent size, [B, 1, *cells]."""
        return self._fitted(mask[:, None].to(device, torch.float32), cells, area)

    def _fitted(self, picture: Tensor, size: tuple[int, int], area: Area | None) -> Tensor:
        """A whole-picture map [B, C, H, W] at `size`: the part the area shows, then the host's rule for
        control pictures (centre crop to the aspect, then resize; cells hold means when it shrinks)."""
        if area is not None:
            height, width = self.person.hint.maps.shape[-2:]
            picture = area.cut(picture, (height // CELL, width // CELL))
        if tuple(picture.shape[-2:]) == size:
            return picture
        if picture.shape[1] > 1:
            self._warn_of_resizing(picture, size)
        shrinks = picture.shape[-1] >= size[1] and picture.shape[-2] >= size[0]
        return comfy.utils.common_upscale(picture, size[1], size[0], "area" if shrinks else "bilinear", "center")

    def _warn_of_resizing(self, maps: Tensor, size: tuple[int, int]) -> None:
        if not self.warned:
            self.warned = True
            logger.warning("CapHuman: the hint is %dx%d pixels but the picture is %dx%d: it is centre-cropped and resized; "
                           "draw the head at the picture's size to keep its place exact.",
                           maps.shape[-1], maps.shape[-2], size[1], size[0])

    # --- what the host asks of a control object

    def copy(self) -> CapFaceControl:
        made = CapFaceControl(self.capface, self.person)
        self.copy_to(made)
        return made

    def get_models(self) -> list:
        return [*super().get_models(), self.capface.patcher]

    def inference_memory_requirements(self, dtype: torch.dtype) -> int:
        """Bytes kept over a run or used beside the UNet: hint features, keys and values, residuals of one step."""
        count, _, height, width = self.person.hint.maps.shape
        cells = height * width // CELL**2
        features = count * cells * (SPEC.width + 1) * self.capface.dtype.itemsize
        contexts = len(self.person.identity) * TOKENS * 2 * SPEC.key_width * self.capface.dtype.itemsize
        encoding = 2 * 16 * height * width * 4 * min(count, ENCODE_AT_ONCE)
        return features + contexts + encoding + 2 * StepCache.BYTES + super().inference_memory_requirements(dtype)

    def deepclone_multigpu(self, load_device: torch.device, autoregister: bool = False) -> CapFaceControl:
        made = self.copy()
        network = copy.deepcopy(self.capface.network)
        patcher = comfy.model_patcher.ModelPatcher(network, load_device=load_device,
                                                   offload_device=comfy.model_management.unet_offload_device())
        made.capface = replace(self.capface, network=network, patcher=patcher)
        if autoregister:
            self.multigpu_clones[load_device] = made
        return made


def merge(found: Residuals, previous: dict | None) -> dict:
    """The host's control dictionary, ours added to a predecessor's. Nothing that came in is changed."""
    out: dict[str, list] = {"input": [], "middle": [found[-1]], "output": list(found[:-1])}
    for place, theirs in (previous or {}).items():
        ours = out.setdefault(place, [])
        for index, residual in enumerate(theirs):
            if index >= len(ours):
                ours.append(residual)
            elif residual is not None:
                ours[index] = residual + ours[index]
    return out


def _window(transformer_options: dict, count: int) -> list[int]:
    """Indices, in the whole animation, of the `count` frames that are being sampled now."""
    window = transformer_options.get("context_window")                               # the host's context windows
    named = list(getattr(window, "index_list", None) or ())
    anchor = getattr(window, "causal_anchor_index", None)
    if anchor is not None and anchor >= 0:
        named.insert(0, anchor)
    named = named or transformer_options.get("sub_idxs") or (transformer_options.get("ad_params") or {}).get("sub_idxs") or ()
    return [int(index) for index in named] if len(named) == count else list(range(count))


def preview_mask(capface: CapFace, person: Person) -> Tensor:
    """The mask as it will act, before thresholding, [B, H, W] 0..1 at the hint's size."""
    height, width = person.hint.maps.shape[-2:]
    if person.mask == "none":
        return torch.ones(len(person.hint), height, width)
    if person.mask == "rendered":
        return person.hint.mask.float()
    control = CapFaceControl(capface, person)
    features = control.encode(max(1, height // CELL), max(1, width // CELL), None, host.compute_device())
    mask = resize_mask(features.mask, (height, width))[:, 0] if features.mask is not None else person.hint.mask
    return (mask * person.hint.present.to(mask)[:, None, None]).to(host.intermediate_device())
