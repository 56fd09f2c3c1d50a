"""What is behind a person: one colour, a gradient, or patches out of focus."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .words import GROUND_COLOURS, Look

SHIFT = 0.06                                     # of a colour: how far pictures of one word differ
PATCHES = 5                                      # on a side, of what is blurred


def drawn_ground(look: Look, height: int, width: int, source: torch.Generator) -> Tensor:
    """[3, H, W] 0..1: the caption's colour, in the mean, in each kind."""
    colour = torch.tensor(GROUND_COLOURS[look.ground]) + (torch.rand(3, generator=source) - 0.5) * 2 * SHIFT
    slope, angle = torch.rand(2, generator=source).tolist()
    patches = 0.035 * torch.randn(1, 3, PATCHES, PATCHES, generator=source)
    patches = patches + 0.11 * torch.randn(1, 1, PATCHES, PATCHES, generator=source)
    if look.ground_kind == "plain":
        tone = torch.zeros(1, 1, 1)
    elif look.ground_kind == "soft":
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        turn = torch.tensor(angle * 6.28318)
        tone = (0.12 + 0.13 * slope) * (x * turn.cos() + y * turn.sin())[None]
    else:
        tone = F.interpolate(patches, (height, width), mode="bicubic", align_corners=False)[0]
    return (colour[:, None, None] + tone).clamp(0, 1).expand(3, height, width)
