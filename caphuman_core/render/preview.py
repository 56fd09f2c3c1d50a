"""Small pictures of heads, to look at."""
from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from ..flow import Head
from ..head.model.hair import BALD
from ..head.model.head_model import HeadModel
from .portrait import portrait


def reduced_size(head: Head, longest: int) -> tuple[int, int]:
    """Width and height of the head's frame, reduced to `longest` pixels where it is larger."""
    ratio = min(1.0, longest / max(head.width, head.height))
    return max(1, round(head.width * ratio)), max(1, round(head.height * ratio))


def preview(head: Head, model: HeadModel, longest: int, photo: Tensor | None = None,
            step: Callable[[int], object] | None = None, hair: str = BALD) -> Tensor:
    """The shaded heads in their own frame, at most `longest` pixels, with smooth edges, over the photo if there
    is one -> [B, 3, h, w] of 0..1.

    photo: [B, 3, H, W] 0..1, one for each head; else its first serves all. step(i) is called after i heads.
    hair: a name of HAIR_STYLES, as in `portrait`.
    """
    width, height = reduced_size(head, longest)
    drawn = portrait(head, model, width, height, "stretch", hair, step=step)
    if photo is None:
        return drawn.colour
    behind = F.interpolate(photo.to(drawn.colour), size=(height, width), mode="bilinear", antialias=True)
    return drawn.over(behind if len(behind) == len(head) else behind[:1])
