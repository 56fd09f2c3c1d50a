"""Eyelids that follow the gaze a little, on head models that know how: those whose expressions have ARKit's eyeLook actions."""
from __future__ import annotations

import torch
from torch import Tensor

from .head_model import HeadModel

# Gaze at which the lids have done what an action does at amount 1: as far as the iris stays as covered as it is.
FULL_RADIANS = {"Up": 0.25, "Down": 0.55, "In": 0.5, "Out": 0.5}
LEFT_EYE, RIGHT_EYE = 3, 4   # joints
# Eye and action, the axis (yaw 0, pitch 1) and the amount per radian of gaze along it. In is towards the nose.
_ACTIONS = tuple((eye, f"eyeLook{way}{side}", axis, sign / FULL_RADIANS[way])
                 for eye, side, inwards in ((0, "Left", -1.0), (1, "Right", 1.0))
                 for way, axis, sign in (("Up", 1, 1.0), ("Down", 1, -1.0), ("In", 0, inwards), ("Out", 0, -inwards)))


def lid_shift(
    model: HeadModel,
    gaze_radians: Tensor,        # [B, 2, 2] left and right eye; yaw, pitch
) -> Tensor:
    """What the gaze moves beside the eyeballs, which turn by their joints -> [B, V, 3] metres; zero where the model has no such
    actions."""
    known = [entry for entry in _ACTIONS if entry[1] in model.expression_names]
    if not known:
        return gaze_radians.new_zeros(1, 1, 3)
    amounts = torch.stack([(gaze_radians[:, eye, axis] * rate).clamp(min=0) for eye, _, axis, rate in known], 1)
    rows = torch.tensor([model.expression_names.index(name) for _, name, _, _ in known])
    beside = 1 - model.skinning[:, LEFT_EYE:].sum(1).to(gaze_radians)                        # [V]
    moved = model.expression_basis[rows].to(gaze_radians)                                    # [actions, V, 3]
    return (amounts @ moved.flatten(1)).unflatten(1, moved.shape[1:]) * beside[:, None]
