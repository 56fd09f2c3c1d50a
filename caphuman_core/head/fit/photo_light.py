"""The light a photo shows on a fitted head."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...flow import Head
from ...render.maps import pose, render
from .. import camera, light
from ..model.head_model import HeadModel

WORK_SIZE = 160              # pixels of the square in which light is estimated
RIDGE = 0.02                 # pull towards the default light, relative to the number of pixels
ROUNDS = 4                   # of reweighting, so that hair and glasses count little
FACING = 0.15                # least normal z of a pixel that is used


def with_photo_light(photo: Tensor, head: Head, model: HeadModel) -> Head:
    """The head under the light its photo shows: regularised, robust least squares of the photo's colours on the
    spherical-harmonic terms of the fitted normals. photo [B, 3, H, W] 0..1."""
    lights = [_light_of(photo[i:i + 1], head[i], model) if bool(head.present[i]) else head.light[i]
              for i in range(len(head))]
    return head.replace(light=torch.stack(lights))


def _light_of(photo: Tensor, head: Head, model: HeadModel) -> Tensor:
    low, high = face_box(head, model)
    close, picture = zoom(photo, head, low, high)
    drawn = render(close, model, WORK_SIZE, WORK_SIZE)
    use = (drawn.mask[0] > 0) & (drawn.normal[0, 2] > FACING)
    start = head.light[0]
    if int(use.sum()) < 50:
        return start
    terms = light.terms(drawn.normal[0].movedim(0, -1)[use])                                 # [P, 9]
    albedo, wanted = (image[0].movedim(0, -1)[use] for image in (drawn.albedo, picture))
    return torch.stack([_robust_ridge(terms * albedo[:, c:c + 1], wanted[:, c], start[:, c]) for c in range(3)], 1)


def face_box(head: Head, model: HeadModel) -> tuple[Tensor, Tensor]:
    """Top left and bottom right [2], pixels, of the landmarks of a batch of one."""
    points = camera.to_picture(head, pose(head, model).landmarks2d)[0, :, :2]
    return points.amin(0), points.amax(0)


def zoom(photo: Tensor, head: Head, low: Tensor, high: Tensor) -> tuple[Head, Tensor]:
    """The head and the photo [1, C, H, W], cut to the square around the landmarks and resized to WORK_SIZE."""
    side = float((high - low).max().clamp(min=4))
    corner = (low + high) / 2 - side / 2
    factor = WORK_SIZE / side
    move = camera.picture_transform(factor, factor, float(-corner[0]) * factor, float(-corner[1]) * factor)
    close = head.replace(crop_to_picture=head.crop_to_picture @ move, width=WORK_SIZE, height=WORK_SIZE)
    centres = (torch.arange(WORK_SIZE) + 0.5) / factor
    x = (corner[0] + centres) / photo.shape[-1] * 2 - 1
    y = (corner[1] + centres) / photo.shape[-2] * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]
    return close, F.grid_sample(photo.cpu().float(), grid, align_corners=False, padding_mode="border")


def _robust_ridge(rows: Tensor, wanted: Tensor, start: Tensor) -> Tensor:
    """argmin of weighted |rows x - wanted|^2 + ridge |x - start|^2, reweighted by Tukey's rule on the residuals."""
    solution, weight = start, torch.ones_like(wanted)
    ridge = RIDGE * len(wanted) * rows.square().mean() * torch.eye(rows.shape[1])
    for _ in range(ROUNDS):
        weighted = rows * weight[:, None]
        solution = start + torch.linalg.solve(weighted.T @ rows + ridge, weighted.T @ (wanted - rows @ start))
        residual = (rows @ solution - wanted).abs()
        weight = (1 - (residual / (4 * residual.median().clamp(min=0.01))).clamp(max=1).square()).square()
    return solution
