"""Albedo texture of a head model, and of heads that wear a photo's skin."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...check import require
from ...flow import SKIN_SIDE, Head
from .head_model import HeadModel


def albedo_texture(model: HeadModel, code: Tensor) -> Tensor:
    """mean + basis @ code: code [B, <=T] -> [B, 3, H, W], red first, about 0..1, not clamped."""
    used = code.shape[1]
    require(used <= model.texture_basis.shape[0], "texture code", f"must have at most {model.texture_basis.shape[0]} numbers",
            used, "use a head that was made with this head model")
    basis = model.texture_basis[:used].to(code)
    return model.texture_mean.to(code) + (code @ basis.flatten(1)).unflatten(1, model.texture_mean.shape)


def skin_sized(texture: Tensor) -> Tensor:
    """Albedo textures [B, 3, H, W] at the size of a head's skin_detail."""
    return F.interpolate(texture, (SKIN_SIDE, SKIN_SIDE), mode="bilinear", align_corners=False)


def albedo_sheets(model: HeadModel, head: Head) -> tuple[Tensor, list[int]]:
    """The albedo textures that occur in a batch [S, 3, H, W], the skin of photos laid on, and which of them each head has (a film
    shows one skin). Not clamped."""
    codes, code_of = torch.unique(head.texture, dim=0, return_inverse=True)
    textures = albedo_texture(model, codes)
    if not head.has_skin:
        return textures, code_of.tolist()
    kept: list[tuple[int, Tensor]] = []
    rows = []
    for code, detail in zip(code_of.tolist(), head.skin_detail, strict=True):
        known = (row for row, (other, worn) in enumerate(kept) if other == code and torch.equal(worn, detail))
        rows.append(next(known, len(kept)))
        if rows[-1] == len(kept):
            kept.append((code, detail))
    wide = skin_sized(textures)
    return torch.stack([wide[code] + detail.to(wide) for code, detail in kept]), rows
