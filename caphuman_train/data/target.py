"""Where the face mask is taught to be open: the face itself, at latent size (reference: TRAINING.md)."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

LATENT_PIXELS = 8                        # picture pixels of a latent cell's side


def face_target(face: Tensor) -> Tensor:
    """face [H, W], 1 or True where the picture shows the face itself -> [1, H/8, W/8] float32 of 0 and 1.

    Bilinear without antialiasing, then rounded: the four pixels around a cell's middle decide; two of four are not enough.
    """
    size = (face.shape[0] // LATENT_PIXELS, face.shape[1] // LATENT_PIXELS)
    resized = F.interpolate(face.float()[None, None], size, mode="bilinear", align_corners=False, antialias=False)
    return resized[0].round()            # half to even: 0.5 is 0
