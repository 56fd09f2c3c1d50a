"""The 68 landmarks of 300-W / iBUG: which is which, and MTCNN's five points of them.

Order: jaw line 0-16 from the person's right ear (the viewer's left) over the chin, brows 17-26, nose 27-35,
eyes 36-47, outer lips 48-59, inner lips 60-67.
"""
from __future__ import annotations

import torch
from torch import Tensor

RIGHT_EYE = tuple(range(36, 42))         # the person's right, the viewer's left
LEFT_EYE = tuple(range(42, 48))
NOSE_TIP = 30
MOUTH_CORNERS = (48, 54)                 # viewer's left first
# What a hand may take hold of, by name; left and right are the person's.
HANDLES = {"chin": 8, "jaw_right": 4, "jaw_left": 12, "brow_right_outer": 17, "brow_right_middle": 19, "brow_right_inner": 21,
           "brow_left_inner": 22, "brow_left_middle": 24, "brow_left_outer": 26, "nose_bridge": 27, "nose_tip": NOSE_TIP,
           "nose_right": 31, "nose_base": 33, "nose_left": 35, "eye_right_outer": 36, "eye_right_inner": 39, "eye_left_inner": 42,
           "eye_left_outer": 45, "mouth_right": 48, "lip_upper": 51, "mouth_left": 54, "lip_lower": 57}


def five_from_68(points68: Tensor) -> Tensor:
    """MTCNN's five points of 68: eye centres, nose tip, mouth corners, the viewer's left first; [..., 68, D] -> [..., 5, D]."""
    eyes = [points68[..., list(eye), :].mean(-2) for eye in (RIGHT_EYE, LEFT_EYE)]
    return torch.stack([*eyes, points68[..., NOSE_TIP, :], *(points68[..., i, :] for i in MOUTH_CORNERS)], -2)
