"""What is minimised: the error of the predicted noise with CapFace's residuals in it, and the error of the predicted face mask.

The mask gates the residuals in training as in sampling: detached, resized to each residual, thresholded at 0.5. Where it is
closed no gradient reaches CapFace through the residual; a soft gate lets some through at the start.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from caphuman_core.capface.mask import THRESHOLD, face_mask

from .unet import decode, encode


@dataclass(frozen=True)
class LossSettings:
    """How the two errors are weighed. The defaults are the reference's."""

    mask_weight: float = 1.0
    min_snr_gamma: float = 0.0                  # 0: every timestep counts the same
    snr_power: float = 0.0                      # 0: likewise


@dataclass(frozen=True)
class StepInputs:
    """One batch, ready to be computed: on the device, with everything drawn."""

    latents: Tensor                             # [B, 4, h, w] float32, clean, scaled to about unit variance
    noise: Tensor                               # [B, 4, h, w] float32
    timesteps: Tensor                           # [B] int64, 0..999
    hint: Tensor                                # [B, 9, 8h, 8w] float32
    local_tokens: Tensor                        # [B, 257, 1024] float32
    global_embedding: Tensor                    # [B, 512] float32
    heard: Tensor                               # [B] float32: 1 identity is heard, 0 it is silent
    text: Tensor                                # [B, 77, 768] float32
    face_target: Tensor                         # [B, 1, h, w] float32, 1 on the face, else 0

    def to(self, device: torch.device) -> StepInputs:
        return StepInputs(**{item.name: getattr(self, item.name).to(device, non_blocking=True) for item in fields(self)})


class SampleContext:
    """What each sample of a batch attends to: its own identity. (The sampling run's FrameContext keeps keys and values for
    later steps; here weights change with each step, and what is kept would break gradient checkpointing.)"""

    def __init__(self, tokens: Tensor, heard: Tensor) -> None:
        self.tokens = tokens                    # [B, 258, 768]
        self.heard = heard[:, None, None]

    def keys_values(self, attention: Any) -> tuple[Tensor, Tensor]:
        """[B, 258, C] twice. The layers have no bias: silenced values attend to the same nothing as silenced tokens."""
        values = attention.to_v(self.tokens)
        return attention.to_k(self.tokens), values * self.heard.to(values)


class CapFaceStep(nn.Module):
    """CapFace under training beside the frozen UNet. Its parameters are CapFace's alone."""

    def __init__(self, network: Any, unet: Any, alphas: Tensor, settings: LossSettings, dtype: torch.dtype) -> None:
        """alphas: [1000] cumulative products of the base model's schedule; dtype: computed in, as the host would when sampling
        (the hint block, the mask and the projections are computed in float32 there and here)."""
        super().__init__()
        self.network = network
        self.settings = settings
        self.dtype = dtype
        self._frozen = (unet,)                  # no submodule: neither saved nor sent to other processes
        self.alphas: Tensor
        self.register_buffer("alphas", alphas, persistent=False)
        self.timestep_weights: Tensor
        weights = snr_weights(alphas, settings.min_snr_gamma) * power_weights(alphas, settings.snr_power)
        self.register_buffer("timestep_weights", weights, persistent=False)

    def forward(self, inputs: StepInputs, soft_gate: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Errors of each sample: noise [B] (weighted), mask [B]; and the share of each mask that is closed [B]."""
        found, mask = self.predict(inputs, soft_gate)
        noise_error = (found.float() - inputs.noise).square().mean((1, 2, 3)) * self.weights(inputs.timesteps)
        mask_error = (mask - inputs.face_target).square().mean((1, 2, 3))
        return noise_error, mask_error, (mask.detach() <= THRESHOLD).float().mean((1, 2, 3))

    def total(self, noise_error: Tensor, mask_error: Tensor) -> Tensor:
        """What is minimised, from the errors of each sample."""
        return noise_error.mean() + self.settings.mask_weight * mask_error.mean()

    def predict(self, inputs: StepInputs, soft_gate: bool) -> tuple[Tensor, Tensor]:
        """The predicted noise [B, 4, h, w], compute dtype, and the predicted face mask [B, 1, h, w], float32."""
        unet, = self._frozen
        latents, text = self.noised(inputs).to(self.dtype), inputs.text.to(self.dtype)
        encoded = encode(unet, latents, inputs.timesteps, text)
        guided, mask = self.network.encode_hint(inputs.hint)
        tokens = self.network.project(inputs.local_tokens, inputs.global_embedding).to(self.dtype)
        residuals = self.network(latents, guided.to(self.dtype), inputs.timesteps, SampleContext(tokens, inputs.heard))
        return decode(unet, encoded, gated(residuals, mask.detach(), soft_gate), text), mask

    def noised(self, inputs: StepInputs) -> Tensor:
        """Latents at their timesteps, unit variance."""
        alpha = self.alphas[inputs.timesteps][:, None, None, None]
        return alpha.sqrt() * inputs.latents + (1 - alpha).sqrt() * inputs.noise

    def weights(self, timesteps: Tensor) -> Tensor:
        """[B] weight of each sample's noise error."""
        return self.timestep_weights[timesteps]


def snr_weights(alphas: Tensor, gamma: float) -> Tensor:
    """Weights of noise errors at cumulative products `alphas`: min(SNR, gamma) / SNR (Hang et al. 2023); gamma 0: 1."""
    if gamma == 0:
        return torch.ones_like(alphas)
    snr = alphas / (1 - alphas)
    return snr.clamp(max=gamma) / snr


def power_weights(alphas: Tensor, power: float) -> Tensor:
    """[T] weights of noise errors of a whole schedule `alphas` [T]: SNR to a power, 1 in the mean over the timesteps.

    A noise error grows about as the square root of the SNR does, so a power of -0.5 makes all timesteps count about the same.
    """
    weights = (alphas / (1 - alphas))**power
    return weights / weights.mean()


def gated(residuals: Sequence[Tensor], mask: Tensor, soft: bool) -> list[Tensor]:
    """Residuals inside the face mask alone. mask: [B, 1, h, w] float32 0..1, detached; soft: not thresholded."""
    gates: dict[tuple[int, int], Tensor] = {}
    out = []
    for residual in residuals:
        size = (residual.shape[-2], residual.shape[-1])
        if size not in gates:
            gates[size] = face_mask(mask, size, soft).to(residual)
        out.append(residual * gates[size])
    return out
