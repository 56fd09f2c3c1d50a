"""Samples side by side, with the hint drawn."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from caphuman_core.check import require
from caphuman_core.render.maps import render
from caphuman_core.render.pytorch3d_raster import pick

if TYPE_CHECKING:
    from torch import Tensor

    from caphuman_core.head.model.head_model import HeadModel

    from .sample import Sample

NORMAL_X = 0                             # channel of the hint that changes its sign in a mirror


@dataclass(frozen=True)
class Batch:
    """What a training step is given; float32 on the CPU."""

    latent_mean: Tensor                  # [B, 4, h, w] scaled as the UNet sees latents
    latent_std: Tensor                   # [B, 4, h, w] a latent is mean + std * noise
    hint: Tensor                         # [B, 9, 8h, 8w] as CapHuman Render Head draws it: normal, albedo, shaded
    local_tokens: Tensor                 # [B, 257, 1024]
    global_embedding: Tensor             # [B, 512]
    face_target: Tensor                  # [B, 1, h, w] 0 or 1
    texts: list[str]
    keys: list[str]

    def __len__(self) -> int:
        return len(self.keys)


def collate(samples: Sequence[Sample], head_model: HeadModel) -> Batch:
    """The samples as a batch, hints drawn. Refuses pictures of several sizes and heads of another model."""
    sizes = sorted({(sample.width, sample.height) for sample in samples})
    require(len(sizes) == 1, "a batch", "must hold pictures of one size", " and ".join(f"{w} x {h}" for w, h in sizes),
            "prepare all photos with the same --size")

    def stacked(name: str) -> Tensor:
        return torch.stack([getattr(sample, name) for sample in samples])
    return Batch(
        stacked("latent_mean"), stacked("latent_std"), torch.cat([hint_of(sample, head_model) for sample in samples]),
        stacked("local_tokens"), stacked("global_embedding"), stacked("face_target"),
        [sample.text for sample in samples], [sample.key for sample in samples])


def hint_of(sample: Sample, head_model: HeadModel) -> Tensor:
    """[1, 9, H, W]: what CapHuman Render Head gives Apply CapFace for this head at this size, mirrored with the sample."""
    maps = render(sample.head, head_model, sample.width, sample.height, rasterizer=pick("auto")).hint().maps
    return mirrored(maps) if sample.flipped else maps


def mirrored(maps: Tensor) -> Tensor:
    """Hint maps [B, 9, H, W] as a mirror shows them: normals that point to the right point to the left."""
    maps = maps.flip(-1)
    maps[:, NORMAL_X] *= -1
    return maps
