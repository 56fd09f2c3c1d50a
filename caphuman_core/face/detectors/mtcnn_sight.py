"""What MTCNN's networks see of photos: pyramid levels and patches, averaged from the pixels, whatever the photos' size.

Large photos are searched at a whole fraction of their size, where the smallest face that is looked for has MTCNN's usual size;
patches of faces that are small there come from the photo's own pixels.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

from ...pixels import block_sums
from .mtcnn_boxes import level, patches, summed
from .mtcnn_nets import scaled

SMALLEST_FACE = 20                       # pixels: of the released code, which facenet-pytorch shares
EXACT_PIXELS = 2_000_000                 # up to here faces are searched from SMALLEST_FACE on, as the released code does
MOST_REDUCED = 3                         # no face of 64 pixels is overlooked for a photo's size alone


def reduction(height: int, width: int, smallest_face: float) -> tuple[int, float]:
    """By how much photos are reduced before they are searched, and the smallest face there, in pixels of the reduced photo.

    smallest_face: share of the shorter side; 0: 20 pixels in photos up to EXACT_PIXELS, up to 60 in larger ones.
    """
    if smallest_face <= 0:
        return max(1, min(MOST_REDUCED, math.ceil(math.sqrt(height * width / EXACT_PIXELS)))), SMALLEST_FACE
    pixels = max(SMALLEST_FACE, smallest_face * min(height, width))
    factor = int(pixels / SMALLEST_FACE)
    return factor, pixels / factor


class Sight:
    """A batch of photos of 8 bits, and averages over windows of them."""

    def __init__(self, photos: Tensor, factor: int) -> None:
        """photos: [B, 3, H, W] uint8; factor: by which they are reduced for the pyramid."""
        self.photos, self.factor = photos, factor
        self.height, self.width = photos.shape[2] // factor, photos.shape[3] // factor      # of the reduced photos, pixels
        self._table = summed(photos if factor == 1 else block_sums(photos, factor))

    def level(self, scale: float) -> Tensor:
        """The reduced photos at `scale`, as network input [B, 3, h, w]."""
        return level(self._table, int(self.height * scale + 1), int(self.width * scale + 1), self.factor ** 2)

    def patches(self, photo: Tensor, boxes: Tensor, side: int) -> Tensor:
        """Pixel boxes [K, 4] (int64, right and bottom exclusive, of the whole photos) of photos [K], as [K, 3, side, side]."""
        if self.factor == 1:
            return patches(self._table, photo, boxes, side)
        found = torch.empty(len(boxes), 3, side, side, device=boxes.device)
        small = (boxes[:, 2:] - boxes[:, :2]).amax(1) < side * self.factor
        if bool((~small).any()):
            found[~small] = patches(self._table, photo[~small], self._reduced(boxes[~small]), side, self.factor ** 2)
        for row in small.nonzero()[:, 0].tolist():
            left, top, right, bottom = boxes[row].tolist()
            window = self.photos[photo[row], :, top:bottom, left:right].float()
            found[row] = scaled(torch.nn.functional.adaptive_avg_pool2d(window, side), torch.ones(()))
        return found

    def _reduced(self, boxes: Tensor) -> Tensor:
        """Boxes of the whole photos in whole pixels of the reduced ones, at least one pixel wide and high, inside them."""
        most = torch.tensor([self.width, self.height], device=boxes.device)
        low = torch.minimum((boxes[:, :2] / self.factor).round().long(), most - 1)
        high = torch.minimum((boxes[:, 2:] / self.factor).round().long(), most)
        return torch.cat([low, torch.maximum(high, low + 1)], 1)
