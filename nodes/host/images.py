"""The host's pictures and ours: axes, ranges, devices."""
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from .devices import intermediate_device

if TYPE_CHECKING:
    from ...caphuman_core.flow import HeadHint


def rgb01(image: torch.Tensor) -> torch.Tensor:
    """A host IMAGE [B, H, W, 1|3|4], 0..1, as RGB [B, 3, H, W]; grey is repeated, alpha is dropped."""
    image = image.expand(*image.shape[:3], 3) if image.shape[-1] == 1 else image[..., :3]
    return image.movedim(-1, 1).contiguous()


def to_image(rgb: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] of any range as a host IMAGE [B, H, W, 3], clamped to 0..1, on the intermediate device."""
    return rgb.movedim(1, -1).clamp(0, 1).float().to(intermediate_device()).contiguous()


def at_rest(hint: HeadHint) -> HeadHint:
    """A hint on the device on which results travel between nodes."""
    device = intermediate_device()
    return replace(hint, maps=hint.maps.to(device), mask=hint.mask.to(device), present=hint.present.to(device))
