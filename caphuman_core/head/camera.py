"""Camera and placing: world metres -> crop -> picture pixels -> raster coordinates (FACE.md: camera, placing)."""
from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..check import fail, require
from ..flow import Head
from .options import FRAMINGS

CROP_SIZE = 224                          # pixels of DECA's crop; the camera's -1..1 spans it
Framing = Literal["contain", "cover", "stretch"]


def project(points: Tensor, camera: Tensor) -> Tensor:
    """Scaled orthographic camera. points [B, N, 3] metres, camera [B, 3] (scale, tx, ty) -> [B, N, 3]:
    x and y in -1..1 of the crop, y down; z = -scale * Z, smaller is nearer."""
    scale = camera[:, None, :1]
    xy = points[..., :2] + camera[:, None, 1:]
    flip = points.new_tensor([1.0, -1.0, -1.0])
    return torch.cat([xy, points[..., 2:]], -1) * scale * flip


def place(projected: Tensor, crop_to_picture: Tensor) -> Tensor:
    """Crop coordinates [B, N, 3] -> picture pixels (x, y) with z unchanged."""
    pixels = (projected[..., :2] * 0.5 + 0.5) * CROP_SIZE
    ones = torch.ones_like(pixels[..., :1])
    placed = torch.cat([pixels, ones], -1) @ crop_to_picture
    return torch.cat([placed[..., :2], projected[..., 2:]], -1)


def to_picture(head: Head, points: Tensor) -> Tensor:
    """World points [B, N, 3] of a head -> pixels x, y and camera depth z, [B, N, 3]."""
    return place(project(points, head.camera), head.crop_to_picture)


def to_raster(pixels: Tensor, width: int, height: int) -> Tensor:
    """Pixels [B, N, 3] -> raster coordinates: the shorter side spans -1..1, y down, z unchanged."""
    short = min(width, height)
    x = (pixels[..., 0] / width * 2 - 1) * (width / short)
    y = (pixels[..., 1] / height * 2 - 1) * (height / short)
    return torch.stack([x, y, pixels[..., 2]], -1)


def reframe(head: Head, width: int, height: int, framing: Framing = "contain") -> Head:
    """The same head in a picture of another size.

    contain: the old picture fits inside the new one, centred, never squashed; cover: it fills it,
    centred; stretch: each axis is scaled on its own, as the released code squashes photos.
    """
    require(width > 0 and height > 0, "picture size", "must be at least 1 x 1", f"{width} x {height}", "choose a larger size")
    if (width, height) == (head.width, head.height):
        return head
    ratios = (width / head.width, height / head.height)
    if framing == "stretch":
        scale_x, scale_y = ratios
    elif framing in ("contain", "cover"):
        scale_x = scale_y = min(ratios) if framing == "contain" else max(ratios)
    else:
        fail("framing", f"must be one of {', '.join(FRAMINGS)}", repr(framing), "choose one of them")
    move = picture_transform(scale_x, scale_y, (width - head.width * scale_x) / 2, (height - head.height * scale_y) / 2)
    return head.replace(crop_to_picture=head.crop_to_picture @ move.to(head.crop_to_picture), width=width, height=height)


def picture_transform(scale_x: float, scale_y: float, shift_x: float, shift_y: float) -> Tensor:
    """Row-vector transform of picture pixels: scale, then shift; [3, 3]."""
    return torch.tensor([[scale_x, 0.0, 0.0], [0.0, scale_y, 0.0], [shift_x, shift_y, 1.0]])


def centred_placing(width: int, height: int, share: float = 0.75) -> Tensor:
    """Crop -> picture so that the crop is a centred square of `share` of the shorter side; [3, 3]."""
    side = min(width, height) * share
    return picture_transform(side / CROP_SIZE, side / CROP_SIZE, (width - side) / 2, (height - side) / 2)


def pixels_per_unit(head: Head) -> Tensor:
    """Picture pixels per world metre of each head, [B]: camera scale times placing scale."""
    area = torch.linalg.det(head.crop_to_picture[:, :2, :2]).abs()
    return head.camera[:, 0] * CROP_SIZE / 2 * area.sqrt()

