"""The other look of the same pictures, for the second base model: a filter, no network."""
from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

GREY = (0.299, 0.587, 0.114)
PAPER, PEN = (0.97, 0.94, 0.86), (0.10, 0.10, 0.24)
FINE, COARSE = 0.7, 1.3                          # of the two blurs whose difference is a line, in 128ths of the picture's side
SHARPNESS, THRESHOLD = 18.0, 0.42                # of lines
LEVELS = 4                                       # of each colour on a poster


def styled(pictures: Tensor, style: str) -> Tensor:
    """Pictures [B, 3, H, W] 0..1 in a style of `recipe.STYLES`."""
    return FILTERS[style](pictures)


def _ink(pictures: Tensor) -> Tensor:
    grey = grey_of(pictures)
    tone = 0.45 + 0.55 * ((grey - 0.1) / 0.5).clamp(0, 1)
    share = (_lines(grey) * tone)
    paper, pen = (torch.tensor(colour)[:, None, None].to(pictures) for colour in (PAPER, PEN))
    return pen + (paper - pen) * share


def _poster(pictures: Tensor) -> Tensor:
    grey = grey_of(pictures)
    vivid = (grey + 1.5 * (pictures - grey)).clamp(0, 1)
    return (vivid * (LEVELS - 1)).round() / (LEVELS - 1) * (0.25 + 0.75 * _lines(grey))


def grey_of(pictures: Tensor) -> Tensor:
    """[..., 3, H, W] -> [..., 1, H, W]."""
    return (pictures * torch.tensor(GREY)[:, None, None].to(pictures)).sum(-3, keepdim=True)


def _lines(grey: Tensor) -> Tensor:
    """0 on dark sides of edges, 1 elsewhere: an extended difference of Gaussians (Winnemoeller 2011) [B, 1, H, W]."""
    side = grey.shape[-1] / 128
    narrow, wide = (_blurred(grey, width * side) for width in (FINE, COARSE))
    edge = narrow + SHARPNESS * (narrow - wide)
    return torch.where(edge >= THRESHOLD, torch.ones_like(edge), (1 + torch.tanh(8 * (edge - THRESHOLD))).clamp(0, 1))


def _blurred(grey: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(3 * sigma))
    kernel = torch.exp(-torch.arange(-reach, reach + 1).float() ** 2 / (2 * sigma ** 2))
    kernel = (kernel / kernel.sum()).to(grey)
    padded = F.pad(grey, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel[None, None, None, :]), kernel[None, None, :, None])


FILTERS: dict[str, Callable[[Tensor], Tensor]] = {"ink": _ink, "poster": _poster}
