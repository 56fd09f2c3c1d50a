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


def five_from_68(points68: Tensor) -> Tensor:
    """MTCNN's five points of 68: eye centres, nose tip, mouth corners, the viewer's left first; [..., 68, D] -> [..., 5, D]."""
    eyes = [points68[..., list(eye), :].mean(-2) for eye in (RIGHT_EYE, LEFT_EYE)]
    return torch.stack([*eyes, points68[..., NOSE_TIP, :], *(points68[..., i, :] for i in MOUTH_CORNERS)], -2)
