"""The 68 landmarks as white dots on black: what an openpose face ControlNet reads (FACE.md: landmark map)."""
from __future__ import annotations

import torch
from torch import Tensor

from ..opencv import opencv

DOT, SMALL_DOT = 3, 1                    # radius, pixels; the released code draws 3
FARTHEST = 1e6                           # pixels; beyond it OpenCV's numbers overflow, and nothing is seen anyway


def draw_dots(landmarks: Tensor, width: int, height: int, present: Tensor | None = None, radius: int = DOT) -> Tensor:
    """landmarks [B, 68, 2] pixels -> [B, H, W] 0 or 1: OpenCV's filled circles. Points in row or column 0 or outside are not
    drawn, as in the released code; a dot that crosses the border is clipped."""
    import numpy as np
    centres = landmarks.detach().cpu().nan_to_num(-1).clamp(-FARTHEST, FARTHEST).trunc().long()      # [B, L, 2]
    drawn = (centres > 0).all(-1)
    if present is not None:
        drawn &= present.cpu()[:, None]
    pictures = np.zeros((len(landmarks), height, width), np.uint8)
    for picture, points, shown in zip(pictures, centres, drawn, strict=True):
        for x, y in points[shown].tolist():
            opencv().circle(picture, (x, y), radius, 1, -1)
    return torch.from_numpy(pictures).float()
