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
    stacked = pictures(torch.cat([values * weight[:, None], weight[:, None]], 1), sheet)
    step = max(1, int(sigma / 3))
    small = F.avg_pool2d(stacked[None], step, ceil_mode=True, count_include_pad=False)
    reach = max(1, round(3 * sigma / step))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) * step / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    small = F.conv2d(F.conv2d(small.transpose(0, 1), kernel, padding=(0, reach)), kernel.transpose(2, 3), padding=(reach, 0))
    whole = F.interpolate(small.transpose(0, 1), scale_factor=step, mode="bilinear", align_corners=False)[0, :, :SIDE, :SIDE]
    found = whole.flatten(1).T[sheet.place]
    return found[:, :-1] / found[:, -1:].clamp(min=1e-6)


def least(values: Tensor, sheet: Atlas) -> Tensor:
    """The least value [N] around each texel."""
    laid = 1 - pictures(1 - values[:, None], sheet)
    return -F.max_pool2d(-laid[None], 13, 1, 6)[0, 0].flatten()[sheet.place]


def drawn_out(values: Tensor, weight: Tensor, sheet: Atlas) -> Tensor:
    """The values drawn out to all texels of the sheet, [C, S, S], ever more broadly with the distance (push and pull)."""
    return _pulled(pictures(values * weight[:, None], sheet), pictures(weight[:, None], sheet))


def _pulled(sums: Tensor, weight: Tensor) -> Tensor:
    own = sums / weight.clamp(min=1e-6)
    if sums.shape[-1] <= 4:
        return own
    small_sums, small_weight = F.avg_pool2d(sums[None], 2)[0], F.avg_pool2d(weight[None], 2)[0]
    rest = F.interpolate(_pulled(small_sums, small_weight)[None], scale_factor=2, mode="bilinear", align_corners=False)[0]
    keep = weight.clamp(max=1)
    return own * keep + rest * (1 - keep)
