"""From a batch of the shards to the inputs of a step."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from caphuman_core.capface.frames import identity_heard

from .draws import draw
from .loss import StepInputs

if TYPE_CHECKING:
    from caphuman_train.data.batch import Batch

Encode = Callable[[str], Tensor]                # a caption as [77, 768] float32


def make_inputs(batch: Batch, encode_text: Encode, seed: int, step: int, rows: Sequence[int], text_dropout: float = 0.0,
                identity_dropout: float = 0.0, tau: int = 0) -> StepInputs:
    """rows: places of the batch's samples in the whole batch of the step (processes and accumulation share it out).

    tau: identity is silent at timesteps above it; 0 switches the rule off.
    """
    drawn = draw(seed, step, rows, (batch.latent_mean.shape[-2], batch.latent_mean.shape[-1]), text_dropout, identity_dropout)
    texts = ["" if dropped else text for text, dropped in zip(batch.texts, drawn.text_dropped.tolist(), strict=True)]
    return StepInputs(
        latents=batch.latent_mean + batch.latent_std * drawn.latent_noise, noise=drawn.noise, timesteps=drawn.timesteps,
        hint=batch.hint, local_tokens=batch.local_tokens, global_embedding=batch.global_embedding,
        heard=identity_heard(drawn.timesteps, tau) * (~drawn.identity_dropped).float(),
        text=torch.stack([encode_text(text) for text in texts]), face_target=batch.face_target)
