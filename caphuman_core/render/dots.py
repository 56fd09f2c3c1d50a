"""The 68 landmarks as white dots on black: what an openpose face ControlNet reads (FACE.md: landmark map)."""
from __future__ import annotations

import torch
from torch import Tensor

# Half-width of each row of OpenCV's filled circle of radius 3.
_HALF_WIDTHS = {-3: 0, -2: 2, -1: 2, 0: 3, 1: 2, 2: 2, 3: 0}
DOT = torch.tensor([(dx, dy) for dy, half in _HALF_WIDTHS.items() for dx in range(-half, half + 1)])
SMALL_DOT = torch.tensor([(0, 0), (1, 0), (0, 1), (-1, 0), (0, -1)])


def draw_dots(landmarks: Tensor, width: int, height: int, present: Tensor | None = None, dot: Tensor = DOT) -> Tensor:
    """landmarks [B, 68, 2] pixels -> [B, H, W] 0 or 1. Points in row or column 0 or outside are not drawn, as in
    the released code; a dot (offsets [K, 2]) that crosses the border is clipped."""
    centres = landmarks.detach().cpu().nan_to_num(-1).clamp(-1e6, 1e6).trunc().long()       # [B, L, 2]
    spots = centres[:, :, None] + dot                                                       # [B, L, K, 2]
    drawn = (centres > 0).all(-1)
    if present is not None:
        drawn &= present.cpu()[:, None]
    limit = torch.tensor([width, height])
    visible = drawn[..., None] & ((spots >= 0) & (spots < limit)).all(-1)
    picture = torch.zeros(len(landmarks), height, width)
    index = torch.arange(len(landmarks))[:, None, None].expand(visible.shape)
    picture[index[visible], spots[visible][:, 1], spots[visible][:, 0]] = 1.0
    return picture
