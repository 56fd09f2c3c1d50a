"""The miniature as one small file: narrow weights in half precision or eight bits; what follows from a seed, as a seed."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from caphuman_core.check import fail
from caphuman_core.files.weights import read_metadata, read_state_dict, strip_prefix, write_safetensors

FORMAT = "caphuman-miniature/1"
PARTS = ("base", "style", "autoencoder", "capface", "points", "facenet")
TOLD = ("seed", "side", "style", "head_model", "capface")        # texts in the metadata
LEVELS, SCALE = 127, ".scale"                    # of eight bits on either side of 0; the key of a tensor's factors


@dataclass(frozen=True)
class Packed:
    """What a file holds, as it is computed with: float32, narrow."""

    base: dict[str, Tensor]                      # the UNet
    style: dict[str, Tensor]                     # the second UNet, as its difference from the first
    autoencoder: dict[str, Tensor]
    capface: dict[str, Tensor]
    points: dict[str, Tensor]                    # the ControlNet of landmarks
    facenet: dict[str, Tensor]                   # measures of its normalisations; see `eyes`
    told: Mapping[str, str]                      # TOLD

    @property
    def seed(self) -> int:
        """Of the text encoder and the identity networks."""
        return int(self.told["seed"])

    @property
    def styled(self) -> dict[str, Tensor]:
        """The second UNet."""
        return {name: value + self.style[name] for name, value in self.base.items()}


def save_packed(path: Path, packed: Packed, kinds: Mapping[str, str]) -> None:
    """kinds: fp16 (the default) or int8, by part."""
    tensors: dict[str, Tensor] = {}
    for part in PARTS:
        for name, value in getattr(packed, part).items():
            eight = kinds.get(part) == "int8" and value.dim() >= 2
            kept = in_eight_bits(name, value) if eight else {name: value.half()}
            tensors |= {f"{part}/{key}": tensor for key, tensor in kept.items()}
    write_safetensors(path, tensors, {"format": FORMAT, **packed.told})


def in_eight_bits(name: str, value: Tensor) -> dict[str, Tensor]:
    """value [C, ...] -> whole numbers around 128, uint8, and a factor for each of the C rows, float16."""
    rows = value.float().flatten(1)
    factor = (rows.abs().amax(1) / LEVELS).clamp(min=1e-7).half()
    whole = (rows / factor.float()[:, None]).round().clamp(-LEVELS, LEVELS) + 128
    return {name: whole.to(torch.uint8).view(value.shape), name + SCALE: factor}


def load_packed(path: Path) -> Packed:
    """InputError for a file that is missing, damaged or another."""
    about = read_metadata(path, "miniature") if path.is_file() else {}
    if about.get("format") != FORMAT or not set(TOLD) <= about.keys():
        fail(f"miniature file '{path.name}'", f"must be of format {FORMAT}", about.get("format", "no such file"),
             "take it from the repository again")
    state = read_state_dict(path, "miniature")
    parts = {part: _whole(strip_prefix(state, f"{part}/")) for part in PARTS}
    return Packed(**parts, told={name: about[name] for name in TOLD})


def _whole(kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    out = {}
    for name, value in kept.items():
        if value.dtype == torch.uint8:
            factor = kept[name + SCALE].float()
            out[name] = ((value.float() - 128).flatten(1) * factor[:, None]).view(value.shape)
        elif not name.endswith(SCALE):
            out[name] = value.float()
    return out
