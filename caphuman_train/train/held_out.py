"""Losses on samples that nothing is learnt from, always with the same noise and timesteps."""
from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..data.batch import collate
from ..step.inputs import make_inputs
from .journal import by_timestep

if TYPE_CHECKING:
    from caphuman_core.head.model.head_model import HeadModel

    from ..data.batch import Batch
    from ..data.shards import Shards
    from ..step.inputs import Encode
    from ..step.loss import CapFaceStep

STEP = -1                                       # no step of a run: its draws are these samples' own
DRAWS = 4                                       # timesteps of each sample


def batch_of(shards: Shards, first: int, last: int, head_model: HeadModel) -> Batch:
    """Samples first .. last - 1, unflipped, each with its next photo of the person as reference."""
    return collate([shards.sample(index) for index in range(first, last)], head_model)


@torch.no_grad()
def held_out_losses(step: CapFaceStep, shards: Shards, head_model: HeadModel, encode_text: Encode, at_once: int,
                    device: torch.device) -> dict[str, float]:
    """Mean errors of noise and mask over all samples at DRAWS timesteps each, the noise's by band of timesteps as well."""
    noise, mask, timesteps = [], [], []
    for first in range(0, len(shards), at_once):
        batch = batch_of(shards, first, min(first + at_once, len(shards)), head_model)
        for draw in range(DRAWS):
            rows = [index * DRAWS + draw for index in range(first, first + len(batch.keys))]
            inputs = make_inputs(batch, encode_text, 0, STEP, rows).to(device)
            noise_error, mask_error, _ = step(inputs)
            noise.append(noise_error)
            mask.append(mask_error)
            timesteps.append(inputs.timesteps)
    errors = torch.cat(noise)
    return {"noise": float(errors.mean()), "mask": float(torch.cat(mask).mean()),
            **{f"noise {band}": error for band, error in by_timestep(torch.cat(timesteps), errors).items()}}
