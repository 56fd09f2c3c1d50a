"""CapFace as a control object of the host: residuals from a posed head and an identity, inside a face mask."""
from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

import comfy.model_management
import comfy.model_patcher
import torch
from comfy.controlnet import ControlBase
from torch import Tensor

from ...caphuman_core.capface.about import NOT_TOLD, About
from ...caphuman_core.capface.frames import entries_for_frames, identity_heard
from ...caphuman_core.capface.mask import face_mask, resize_mask
from ...caphuman_core.capface.places import Area, Place, Tile, map_of_places, read_tiles, within_area
from ...caphuman_core.capface.schedule import Schedule, strengths
from ...caphuman_core.capface.spec import CELL, SPEC, TOKENS
from ...caphuman_core.flow import HeadHint, Identity
from .. import host
from .base_model import require_sd15
from .hint_features import ENCODE_AT_ONCE, HintFeatures, encode, hint_size, warn_of_resizing
from .network import CapFaceNet, FrameContext, IdentityContext
from .pieces import AREA_KEY, Piece, pieces, tiled_pieces
from .step_cache import Residuals, StepCache

FEATURES_BYTES = 256 * 2**20                    # of hint features kept over a run, beyond the newest


@dataclass(frozen=True)
class CapFace:
    """Loaded CapFace weights: what travels on a CAPHUMAN_CAPFACE socket. All applications share it."""

    network: CapFaceNet
    patcher: comfy.model_patcher.ModelPatcher
    dtype: torch.dtype                          # computed in
    name: str                                   # of the file, for messages
    about: About = NOT_TOLD                     # what the file tells of its training
    elsewhere: WeakValueDictionary = field(default_factory=WeakValueDictionary, repr=False, compare=False)   # by device

    def on(self, device: torch.device) -> CapFace:
        """The same weights for another device: one copy, however many people use it, for as long as somebody does."""
        found = self.elsewhere.get(device)
        if found is None:
            network = copy.deepcopy(self.network)
            patcher = comfy.model_patcher.ModelPatcher(network, load_device=device,
                                                       offload_device=comfy.model_management.unet_offload_device())
            found = replace(self, network=network, patcher=patcher)
            self.elsewhere[device] = found
        return found


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


class CapFaceControl(ControlBase):
    """One person in a chain of control objects.

    Positive and negative share one object, so that the host batches them and one CapFace forward
    serves both. Predecessors are called with the conditioning as it came: they see the text, CapFace
    alone sees identity. Weights live in the shared `CapFace`; a copy costs nothing. What other packs read
    and write on control objects stands in docs/COMPANY.md.
    """

    sub_idxs: list[int] | None                  # set by AnimateDiff-Evolved: the frames of its window
    full_latent_length: int                     # likewise: frames in all
    context_length: int                         # likewise: frames in a window
    manual_cast_dtype = torch.float32           # Tiled Diffusion casts what it cuts to it

    def __init__(self, capface: CapFace, person: Person) -> None:
        super().__init__()
        self.capface = capface
        self.person = person
        self.strength = person.strength
        self.timestep_percent_range = (person.start_percent, person.end_percent)
        self.compression_ratio = CELL
        self._forget()

    # --- tiled samplers

    @property
    def cond_hint_original(self) -> Tensor:     # pyright: ignore[reportIncompatibleVariableOverride]
        """What tiled samplers cut, [N, 3, H, W]: not the hint but a map of its places (places.py), or what they made of it."""
        if self._cut is not None:
            return self._cut
        return map_of_places(len(self.person.hint), *hint_size(self.person))

    @cond_hint_original.setter
    def cond_hint_original(self, cut: Tensor | None) -> None:
        self._cut = cut

    def _tiles(self, cells: tuple[int, int]) -> tuple[list[Tile] | None, bool]:
        """What each row of this call shows, None where nobody has cut anything; whether areas lie within the tiles.

        cells: height and width of the call's latents. Tiled samplers that work inside a step set `cond_hint`, at the tile's size;
        those around whole runs replace `cond_hint_original`.
        """
        inside: Tensor | None = self.cond_hint
        if inside is not None and tuple(inside.shape[-2:]) == (cells[0] * CELL, cells[1] * CELL):
            return read_tiles(inside), False
        return (None if self._cut is None else read_tiles(self._cut)), True

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
        self.sub_idxs, self.full_latent_length, self.context_length = None, 0, 0
        self.cond_hint: Tensor | None = None
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
        areas = cond.get(AREA_KEY, ())
        areas = areas if len(areas) == batched_number else (None,) * batched_number
        asked = self._pieces(x_noisy, t, areas, transformer_options)
        if not any(any(self._gains(piece.sigma, piece.frames)) for piece in asked):
            return previous
        return merge(self.steps.collect(asked, self._residuals), previous)

    def _pieces(self, x: Tensor, sigma: Tensor, areas: Sequence[Area | None], options: dict) -> list[Piece]:
        """The call in pieces of one place each; areas: one for each chunk."""
        if self.sub_idxs:
            options = {**options, "sub_idxs": self.sub_idxs}
        tiles, areas_within = self._tiles((x.shape[-2], x.shape[-1]))
        if tiles is None:
            return pieces(x, sigma, len(areas), areas, options)
        size, found = hint_size(self.person), []
        for piece, chunk in tiled_pieces(x, sigma, len(areas), tiles, options):
            tile, area = piece.place, areas[chunk]
            if isinstance(tile, Tile) and area is not None:
                tile = area.of_whole().inside(tile) if areas_within else within_area(tile, area, *size)
            found.append(replace(piece, place=tile))
        return found

    # --- one forward

    def _gains(self, t: Tensor, frames: Sequence[int]) -> list[float]:
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

    def _residuals(self, piece: Piece) -> Residuals:
        """One CapFace forward."""
        x, sigma, frames = piece.x, piece.sigma, piece.frames
        device, dtype = x.device, self.capface.dtype
        hints = self._features(x.shape[-2], x.shape[-1], piece.place, device)
        rows = torch.tensor(entries_for_frames(len(self.person.hint), frames), device=device)
        guided = hints.guided[rows]
        if self.person.head_strength != 1.0:
            guided = guided * self.person.head_strength
        timesteps = self.sampling.timestep(sigma).float()
        latents = self.sampling.calculate_input(sigma, x).to(dtype)
        raw = self.capface.network(latents, guided, timesteps, self._context(timesteps, frames, device))
        gain = torch.tensor(self._gains(sigma, frames), dtype=torch.float32, device=device)[:, None, None, None]
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

    def _context(self, timesteps: Tensor, frames: Sequence[int], device: torch.device) -> FrameContext:
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

    def _features(self, height: int, width: int, place: Place, device: torch.device) -> HintFeatures:
        key = (height, width, place, device)
        if key not in self.features:
            made = self.encode(height, width, place, device)
            while self.features and sum(kept.nbytes for kept in self.features.values()) > FEATURES_BYTES:
                self.features.pop(next(iter(self.features)))
            self.features[key] = made
        return self.features[key]

    def encode(self, height: int, width: int, place: Place, device: torch.device) -> HintFeatures:
        """Hint block and masks for every entry, at latent size height x width."""
        if place is None and hint_size(self.person) != (height * CELL, width * CELL):
            self._warn_of_resizing((height * CELL, width * CELL))
        return encode(self.capface, self.person, (height, width), place, device)

    def _warn_of_resizing(self, size: tuple[int, int]) -> None:
        if not self.warned:
            self.warned = True
            warn_of_resizing(hint_size(self.person), size)

    # --- what the host asks of a control object

    def copy(self) -> CapFaceControl:
        made = CapFaceControl(self.capface, self.person)
        self.copy_to(made)
        made._cut = self._cut                   # copy_to would take the map for something that was cut
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
        made.capface = self.capface.on(load_device)
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
