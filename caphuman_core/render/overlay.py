"""A rendered head laid over its photo."""
from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..flow import Head
from ..head.model.head_model import HeadModel
from .dots import DOT, SMALL_DOT, draw_dots
from .maps import Render, render

OPACITY = 0.75
BIG_FACE_PIXELS = 350        # faces smaller than this get small dots


def overlay(photo: Tensor, head: Head, model: HeadModel, step: Callable[[int], object] | None = None) -> Tensor:
    """photo [B, 3, H, W] 0..1 with each fitted head drawn over it, and its 68 landmarks as dots -> the same shape."""
    drawn = render(head, model, head.width, head.height, step=step)
    return blend_over(photo.to(drawn.shaded), drawn)


def blend_over(photo: Tensor, drawn: Render) -> Tensor:
    """The shaded head over the photo, its landmarks in green."""
    cover = drawn.mask[:, None] * OPACITY
    mixed = photo * (1 - cover) + drawn.shaded.clamp(0, 1) * cover
    spread = drawn.landmarks.amax(1) - drawn.landmarks.amin(1)
    dot = DOT if float(spread.max()) > BIG_FACE_PIXELS else SMALL_DOT
    dots = draw_dots(drawn.landmarks, photo.shape[-1], photo.shape[-2], drawn.present, dot)[:, None].to(mixed)
    return mixed * (1 - dots) + mixed.new_tensor([0.2, 1.0, 0.35]).view(1, 3, 1, 1) * dots
