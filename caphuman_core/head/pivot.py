"""Where a head sits in its picture: the point it is turned, moved and scaled about."""
from __future__ import annotations

from torch import Tensor

from ..flow import Head
from . import camera
from .model.head_model import HeadModel
from .model.reduced import rest_joints
from .rotations import matrix_from_axis_angle

UNIT_METRES = 0.42           # at scale 1 the picture's shorter side spans this much world: a head fills three quarters
EYES, JAW = (3, 4), 2        # joints


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
