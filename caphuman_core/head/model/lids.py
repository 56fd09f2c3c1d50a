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
    amounts, moved = lid_amounts(model, gaze_radians), lid_directions(model).to(gaze_radians)
    if not len(moved):
        return gaze_radians.new_zeros(1, 1, 3)
    return (amounts @ moved.flatten(1)).unflatten(1, moved.shape[1:])


def lid_amounts(model: HeadModel, gaze_radians: Tensor) -> Tensor:
    """How much of each of `lid_directions` the gaze [B, 2, 2] asks for -> [B, actions]."""
    angles, rates = lid_rates(model)
    return (gaze_radians.flatten(1)[:, angles] * rates.to(gaze_radians)).clamp(min=0)


def lid_rates(model: HeadModel) -> tuple[Tensor, Tensor]:
    """For each of `lid_directions` which of the gaze's four angles asks for it, and its amount by radian, where positive."""
    known = _known(model)
    return (torch.tensor([2 * eye + axis for eye, _, axis, _ in known], dtype=torch.long),
            torch.tensor([rate for _, _, _, rate in known], dtype=torch.float64))


def lid_directions(model: HeadModel) -> Tensor:
    """What each action of the eyes does to everything but the eyeballs -> [actions, V, 3] metres."""
    rows = torch.tensor([model.expression_names.index(name) for _, name, _, _ in _known(model)], dtype=torch.long)
    beside = 1 - model.skinning[:, LEFT_EYE:].sum(1)                                         # [V]
    return model.expression_basis[rows] * beside[:, None]


def _known(model: HeadModel) -> list[tuple[int, str, int, float]]:
    return [entry for entry in _ACTIONS if entry[1] in model.expression_names]
