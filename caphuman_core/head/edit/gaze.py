"""Where the eyes look: the three angles that a hand sets, and what they make of each eye."""
from __future__ import annotations

import torch
from torch import Tensor


def eyes_of(yaw_degrees: float, pitch_degrees: float, convergence_degrees: float) -> Tensor:
    """Gaze of the person's left eye, then of the right one: yaw, pitch -> [2, 2] radians, signs as in `flow.Head`.

    convergence: degrees that each eye turns towards the nose. The left eye is on the picture's right: its yaw becomes less.
    """
    return torch.deg2rad(torch.tensor([[yaw_degrees - convergence_degrees, pitch_degrees],
                                       [yaw_degrees + convergence_degrees, pitch_degrees]]))


def gaze_after(gaze_radians: Tensor, degrees: tuple[float, float, float], mode: str) -> Tensor:
    """Gaze [B, 2, 2] after an edit of yaw, pitch and convergence: on top of what was there (add), or in its place (set)."""
    change = eyes_of(*degrees).to(gaze_radians)
    return gaze_radians + change if mode == "add" else change.expand_as(gaze_radians).clone()
