"""A rendered head laid over its photo."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from ..flow import Head
from ..head.model.head_model import HeadModel
from .dots import DOT, SMALL_DOT, draw_dots
from .maps import Render, render
from .options import MAX_SIDE

OPACITY = 0.75
FINER = 2                    # samples per pixel and axis of small batches
MOST_PIXELS = 4_000_000      # drawn; over a larger photo the drawing is enlarged
BIG_FACE_PIXELS = 350        # faces smaller than this get small dots


def overlay(photo: Tensor, head: Head, model: HeadModel, step: Callable[[int], object] | None = None) -> Tensor:
    """photo [B, 3, H, W] 0..1 with each fitted head drawn over it, and its 68 landmarks as dots -> the same shape."""
    ratio = min(1.0, math.sqrt(MOST_PIXELS / (head.width * head.height)))
    if head.width * head.height * FINER ** 2 * len(head) <= MOST_PIXELS and max(head.width, head.height) * FINER <= MAX_SIDE:
        drawn = _pooled(render(head, model, head.width * FINER, head.height * FINER, "stretch", step=step))
    elif ratio == 1.0:
        drawn = render(head, model, head.width, head.height, step=step)
    else:
        size = (max(1, int(head.width * ratio)), max(1, int(head.height * ratio)))
        drawn = _enlarged(render(head, model, *size, "stretch", step=step), head.width, head.height)
    return blend_over(photo.to(drawn.shaded), drawn)


def _pooled(drawn: Render) -> Render:
    """What `blend_over` needs of a drawing of several samples per pixel: smooth edges."""
    shaded, mask = (avg_pool2d(part, FINER) for part in (drawn.shaded.clamp(0, 1), drawn.mask[:, None]))
    return replace(drawn, shaded=shaded / mask.clamp(min=1 / FINER ** 2), mask=mask[:, 0], landmarks=drawn.landmarks / FINER)


def _enlarged(drawn: Render, width: int, height: int) -> Render:
    """What `blend_over` needs of a drawing, at another size."""
    factors = drawn.landmarks.new_tensor([width / drawn.mask.shape[2], height / drawn.mask.shape[1]])
    shaded, mask = (interpolate(part, (height, width), mode="bilinear") for part in (drawn.shaded, drawn.mask[:, None]))
    return replace(drawn, shaded=shaded, mask=mask[:, 0], landmarks=drawn.landmarks * factors)


def blend_over(photo: Tensor, drawn: Render) -> Tensor:
    """The shaded head over the photo, its landmarks in green."""
    cover = drawn.mask[:, None] * OPACITY
    mixed = photo * (1 - cover)
    mixed += drawn.shaded.clamp(0, 1) * cover            # in place: a photo may have fifty megapixels
    spread = drawn.landmarks.amax(1) - drawn.landmarks.amin(1)
    dot = DOT if float(spread.max()) > BIG_FACE_PIXELS else SMALL_DOT
    dots = draw_dots(drawn.landmarks, photo.shape[-1], photo.shape[-2], drawn.present, dot)[:, None].to(mixed)
    mixed *= 1 - dots
    return mixed.add_(mixed.new_tensor([0.2, 1.0, 0.35]).view(1, 3, 1, 1) * dots)
