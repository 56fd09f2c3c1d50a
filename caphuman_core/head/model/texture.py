"""Albedo texture of a head model."""
from __future__ import annotations

from torch import Tensor

from ...check import require
from .head_model import HeadModel


def albedo_texture(model: HeadModel, code: Tensor) -> Tensor:
    """mean + basis @ code: code [B, <=T] -> [B, 3, H, W], red first, about 0..1, not clamped."""
    used = code.shape[1]
    require(used <= model.texture_basis.shape[0], "texture code", f"must have at most {model.texture_basis.shape[0]} numbers",
            used, "use a head that was made with this head model")
    basis = model.texture_basis[:used].to(code)
    return model.texture_mean.to(code) + (code @ basis.flatten(1)).unflatten(1, model.texture_mean.shape)
