"""What is worked out texel by texel over the sheet of a head's texture: [N, C] values of an atlas's texels."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.atlas import SIDE, Atlas


def pictures(values: Tensor, sheet: Atlas) -> Tensor:
    """Values [N, C] of the texels as pictures [C, S, S], 0 elsewhere."""
    laid = values.new_zeros(values.shape[1], SIDE * SIDE)
    laid[:, sheet.place] = values.T
    return laid.view(-1, SIDE, SIDE)


def mirrored(values: Tensor, weight: Tensor, sheet: Atlas) -> tuple[Tensor, Tensor]:
    """Values [N, C] and weights [N] of the points across the face."""
    stacked = pictures(torch.cat([values * weight[:, None], weight[:, None]], 1), sheet)
    found = F.grid_sample(stacked[None], sheet.mirror[None, None], align_corners=False)[0, :, 0].T
    there = found[:, -1] * sheet.mirrored * sheet.region
    return found[:, :-1] / found[:, -1:].clamp(min=1e-6), there


def blurred(values: Tensor, weight: Tensor, sheet: Atlas, sigma: float) -> Tensor:
    """Weighted means [N, C] over the texels around."""
    whole = blurred_picture(pictures(torch.cat([values * weight[:, None], weight[:, None]], 1), sheet), sigma)
    found = whole.flatten(1).T[sheet.place]
    return found[:, :-1] / found[:, -1:].clamp(min=1e-6)


def blurred_picture(picture: Tensor, sigma: float) -> Tensor:
    """[C, S, S] with Gaussian of a standard deviation in texels, 0 around; broad ones are worked out on fewer."""
    step = max(1, int(sigma / 3))
    small = F.avg_pool2d(picture[None], step, ceil_mode=True, count_include_pad=False)
    reach = max(1, round(3 * sigma / step))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) * step / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    small = F.conv2d(F.conv2d(small.transpose(0, 1), kernel, padding=(0, reach)), kernel.transpose(2, 3), padding=(reach, 0))
    return F.interpolate(small.transpose(0, 1), scale_factor=step, mode="bilinear", align_corners=False)[0, :, :SIDE, :SIDE]


def least(values: Tensor, sheet: Atlas) -> Tensor:
    """The least value [N] around each texel."""
    laid = 1 - pictures(1 - values[:, None], sheet)
    return -F.max_pool2d(-laid[None], 13, 1, 6)[0, 0].flatten()[sheet.place]


def drawn_out(sums: Tensor, weight: Tensor) -> Tensor:
    """Weighted values [C, S, S] with their weights [1, S, S], drawn out to all texels, ever more broadly with the distance."""
    own = sums / weight.clamp(min=1e-6)
    if sums.shape[-1] <= 4:
        return own
    small_sums, small_weight = F.avg_pool2d(sums[None], 2)[0], F.avg_pool2d(weight[None], 2)[0]
    rest = F.interpolate(drawn_out(small_sums, small_weight)[None], scale_factor=2, mode="bilinear", align_corners=False)[0]
    keep = weight.clamp(max=1)
    return own * keep + rest * (1 - keep)
