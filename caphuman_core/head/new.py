"""A neutral head."""
from __future__ import annotations

import torch

from ..check import require
from ..flow import Head
from . import camera, light
from .model.head_model import HeadModel
from .pivot import UNIT_METRES, move_pivot


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
