"""A rendered head laid over its photo, and the light a photo shows."""
from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..flow import Head
from ..head import camera, light
from ..head.model import HeadModel
from .dots import DOT, SMALL_DOT, draw_dots
from .maps import Render, pose, render

OPACITY = 0.75
BIG_FACE_PIXELS = 350        # faces smaller than this get small dots
WORK_SIZE = 160              # pixels of the square in which light is estimated
RIDGE = 0.02                 # pull towards the default light, relative to the number of pixels
ROUNDS = 4                   # of reweighting, so that hair and glasses count little
FACING = 0.15                # least normal z of a pixel that is used


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


def with_photo_light(photo: Tensor, head: Head, model: HeadModel) -> Head:
    """The head under the light its photo shows: regularised, robust least squares of the photo's colours on the
    spherical-harmonic terms of the fitted normals. photo [B, 3, H, W] 0..1."""
    lights = [_light_of(photo[i:i + 1], take(head, i), model) if bool(head.present[i]) else head.light[i]
              for i in range(len(head))]
    return head.replace(light=torch.stack(lights))


def take(head: Head, index: int) -> Head:
    """One head of a batch, as a batch of one."""
    return head.replace(**{name: value[index:index + 1] for name, value in vars(head).items() if isinstance(value, Tensor)})


def _light_of(photo: Tensor, head: Head, model: HeadModel) -> Tensor:
    low, high = _face_box(head, model)
    close, picture = _zoom(photo, head, low, high)
    drawn = render(close, model, WORK_SIZE, WORK_SIZE)
    use = (drawn.mask[0] > 0) & (drawn.normal[0, 2] > FACING)
    start = head.light[0]
    if int(use.sum()) < 50:
        return start
    terms = light.terms(drawn.normal[0].movedim(0, -1)[use])                                 # [P, 9]
    albedo, wanted = (image[0].movedim(0, -1)[use] for image in (drawn.albedo, picture))
    return torch.stack([_robust_ridge(terms * albedo[:, c:c + 1], wanted[:, c], start[:, c]) for c in range(3)], 1)


def _face_box(head: Head, model: HeadModel) -> tuple[Tensor, Tensor]:
    points = camera.to_picture(head, pose(head, model).landmarks2d)[0, :, :2]
    return points.amin(0), points.amax(0)


def _zoom(photo: Tensor, head: Head, low: Tensor, high: Tensor) -> tuple[Head, Tensor]:
    """The head and the photo, cut to the square around the landmarks and resized to WORK_SIZE."""
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
