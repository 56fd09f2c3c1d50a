"""A neutral head, and where a head sits in its picture."""
from __future__ import annotations

import torch
from torch import Tensor

from ..check import require
from ..flow import Head
from . import camera, light
from .model import HeadModel
from .rotations import matrix_from_axis_angle
from .small import rest_joints

UNIT_METRES = 0.42           # at scale 1 the picture's shorter side spans this much world: a head fills three quarters
EYES, JAW = (3, 4), 2        # joints


def new_head(model: HeadModel, width: int, height: int, batch: int = 1) -> Head:
    """A neutral head, facing the viewer, centred in a picture of width x height pixels at scale 1."""
    for name, size in (("width", width), ("height", height)):
        require(size >= 1, name, "must be at least 1 pixel", size, "choose a larger size")
    zero = torch.zeros(batch, 3)
    head = Head(
        model_fingerprint=model.fingerprint,
        identity=torch.zeros(batch, model.identity_basis.shape[0]),
        expression=torch.zeros(batch, model.expression_basis.shape[0]),
        texture=torch.zeros(batch, model.texture_basis.shape[0]),
        rotation_radians=zero, jaw_radians=zero.clone(), light=light.default_light().expand(batch, 9, 3).clone(),
        camera=torch.tensor([[2 / UNIT_METRES, 0.0, 0.0]]).repeat(batch, 1),
        crop_to_picture=camera.centred_placing(width, height, 1.0).expand(batch, 3, 3).clone(),
        width=width, height=height, present=torch.ones(batch, dtype=torch.bool))
    return move_pivot(head, model, torch.tensor([[width / 2, height / 2]]).expand(batch, 2))


def pivot(head: Head, model: HeadModel) -> Tensor:
    """Picture pixels [B, 2] of the point a head turns about when it is edited: midway between the eyes and the jaw
    hinge, inside the skull. It moves with pose and identity, not with expression or jaw."""
    joints = rest_joints(model, head.identity)
    rest = (joints[:, list(EYES)].mean(1) + joints[:, JAW]) / 2
    root = joints[:, 0]
    turned = (matrix_from_axis_angle(head.rotation_radians) @ (rest - root)[..., None]).squeeze(-1) + root
    return camera.to_picture(head, turned[:, None])[:, 0, :2]


def move_pivot(head: Head, model: HeadModel, to_pixels: Tensor) -> Head:
    """The head shifted in its picture so that its pivot lies at to_pixels [B, 2]."""
    shift = to_pixels.to(head.camera) - pivot(head, model)
    moved = head.crop_to_picture.clone()
    moved[:, 2, :2] += shift
    return head.replace(crop_to_picture=moved)


def scale_about_pivot(head: Head, model: HeadModel, factor: Tensor) -> Head:
    """The head enlarged by factor [B] about its pivot."""
    centre = pivot(head, model)
    scaled = head.crop_to_picture.clone()
    scaled[:, :, :2] *= factor[:, None, None]
    scaled[:, 2, :2] += centre * (1 - factor)[:, None]
    return head.replace(crop_to_picture=scaled)


def scale_of(head: Head) -> Tensor:
    """Size of each head relative to a new one in the same picture, [B]."""
    return camera.pixels_per_unit(head) * UNIT_METRES / min(head.width, head.height)
