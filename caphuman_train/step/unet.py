"""The base model's frozen UNet in two halves: up to the middle without a graph, from there with gradients for the residuals.

CapFace acts on the middle and on the skips alone, so nothing before them needs a gradient. The host's own forward adds control
residuals in place, which autograd does not take; its blocks are called one by one here.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Encoded:
    """What the UNet's encoder and middle make of noised latents; no part of it has a graph."""

    hidden: Tensor                              # [B, C, h/8, w/8] after the middle block
    skips: tuple[Tensor, ...]                   # 12, of the input blocks in order
    embedding: Tensor                           # [B, E] of the timestep


@torch.no_grad()
def encode(unet: Any, latents: Tensor, timesteps: Tensor, text: Tensor) -> Encoded:
    """unet: the host's UNetModel; latents: [B, 4, h, w] noised, unit variance, in the UNet's dtype; timesteps: [B];
    text: [B, 77, 768]."""
    from comfy.ldm.modules.diffusionmodules.util import timestep_embedding
    embedding = unet.time_embed(timestep_embedding(timesteps, unet.model_channels, repeat_only=False).to(latents.dtype))
    hidden, skips = latents, []
    for block in unet.input_blocks:
        hidden = block(hidden, embedding, text, {})
        skips.append(hidden)
    return Encoded(unet.middle_block(hidden, embedding, text, {}), tuple(skips), embedding)


def decode(unet: Any, encoded: Encoded, residuals: Sequence[Tensor], text: Tensor) -> Tensor:
    """The predicted noise [B, 4, h, w].

    residuals: 13, already gated: those of the 12 input blocks, then the middle block's.
    """
    hidden = encoded.hidden + residuals[-1]
    skips = list(encoded.skips)
    for block in unet.output_blocks:
        skip = skips.pop()
        hidden = torch.cat([hidden, skip + residuals[len(skips)]], dim=1)
        hidden = block(hidden, encoded.embedding, text, {}, output_shape=skips[-1].shape if skips else None)
    return unet.out(hidden)
