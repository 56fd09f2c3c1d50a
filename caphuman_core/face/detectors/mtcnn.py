"""The mtcnn back end: boxes and five points, with the results of facenet-pytorch's MTCNN and its shipped weights.

The cascade is that of the paper (three networks over an image pyramid). Pyramid levels and patches are area averages
read from one summed-area table per photo, so a batch of photos goes through each stage together.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...flow import Face
from .mtcnn_boxes import level, moved, patches, squared, summed, suppress
from .mtcnn_nets import find_files, read_nets

SMALLEST_FACE = 20                       # pixels
PYRAMID_FACTOR = 0.709
THRESHOLDS = (0.6, 0.7, 0.7)
WINDOW = 12                              # pixels of a proposal window
PIXELS_AT_ONCE = 1 << 17                 # of the largest pyramid level, all photos together: fits a processor's caches
PIXELS_AT_ONCE_ON_GPU = 1 << 22          # bounds memory
LARGEST_LEVEL = 6_000_000                # pixels; photos above 16 megapixels are searched from slightly larger faces on
PATCHES_AT_ONCE = 512


@dataclass
class _Found:
    """Candidates of all photos in one pass."""

    boxes: Tensor                        # [K, 4] pixels
    scores: Tensor                       # [K]
    photo: Tensor                        # [K] int64

    def take(self, index: Tensor) -> _Found:
        return _Found(self.boxes[index], self.scores[index], self.photo[index])


class Mtcnn(nn.Module):
    """The detector, ready to use."""

    name, doubtful_below, convincing = "mtcnn", 0.99, 0.9

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        super().__init__()
        self.proposal, self.refine, self.output = read_nets(find_files(folders))

    @torch.no_grad()
    def find(self, photos: Tensor) -> list[tuple[Face, ...]]:
        """Faces in photos [B, 3, H, W] of 0..1, red first; per photo, largest first. Photos are rounded to 8 bits."""
        photos = photos.to(next(self.parameters()).device)
        most = PIXELS_AT_ONCE if photos.device.type == "cpu" else PIXELS_AT_ONCE_ON_GPU
        count = max(1, int(most / max(_largest_level(*photos.shape[2:]), 1)))
        found: list[tuple[Face, ...]] = []
        for part in photos.split(count):
            found += self._find_together((part.float() * 255).round().clamp(0, 255).to(torch.uint8))
        return found

    def _find_together(self, photos: Tensor) -> list[tuple[Face, ...]]:
        height, width = photos.shape[2:]
        table = summed(photos)
        found = self._propose(table, height, width)
        found, (shifts,) = self._judge(self.refine, table, found, 24, THRESHOLDS[1])
        kept = _suppressed(found, 0.7)
        found = found.take(kept)
        found.boxes = squared(moved(found.boxes, shifts[kept]))
        found, (shifts, points) = self._judge(self.output, table, found, 48, THRESHOLDS[2])
        points = _placed(points, found.boxes)
        found.boxes = moved(found.boxes, shifts)
        kept = _suppressed(found, 0.7, of_smaller=True)
        return _faces(found.take(kept), points[kept], len(photos))

    def _propose(self, table: Tensor, height: int, width: int) -> _Found:
        """First stage: candidates of all pyramid levels, as squares."""
        parts, shifts = [], []
        for scale in _scales(height, width):
            moves, chance = self.proposal(level(table, int(height * scale + 1), int(width * scale + 1)))
            photo, row, column = (chance >= THRESHOLDS[0]).nonzero(as_tuple=True)
            corner = torch.stack([column, row], 1).float() * 2 + 1
            boxes = torch.cat([(corner / scale).floor(), ((corner + WINDOW - 1) / scale).floor()], 1)
            part = _Found(boxes.cpu(), chance[photo, row, column].cpu(), photo.cpu())
            kept = _suppressed(part, 0.5)
            parts.append(part.take(kept))
            shifts.append(moves[photo, :, row, column].cpu()[kept])
        empty = _Found(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
        parts, shifts = [empty, *parts], [torch.zeros(0, 4), *shifts]
        found = _Found(torch.cat([part.boxes for part in parts]), torch.cat([part.scores for part in parts]),
                       torch.cat([part.photo for part in parts]))
        kept = _suppressed(found, 0.7)
        found = found.take(kept)
        found.boxes = squared(moved(found.boxes, torch.cat(shifts)[kept], inclusive=False))
        return found

    def _judge(self, net: nn.Module, table: Tensor, found: _Found, side: int, threshold: float) -> tuple[_Found, list[Tensor]]:
        """Second and third stage: those candidates the network believes in, and its other outputs for them."""
        pixels = _whole_pixels(found.boxes, table.shape[2] - 1, table.shape[3] - 1)
        inside = ((pixels[:, 2:] > pixels[:, :2]).all(1)).nonzero()[:, 0]
        found, pixels = found.take(inside), pixels[inside].to(table.device)
        outputs = [net(patches(table, photo, boxes, side)) for boxes, photo in
                   zip(pixels.split(PATCHES_AT_ONCE), found.photo.to(table.device).split(PATCHES_AT_ONCE), strict=True)]
        shifts, scores, *more = (torch.cat(values).cpu() for values in zip(*outputs, strict=True))
        passed = (scores > threshold).nonzero()[:, 0]
        found = _Found(found.boxes[passed], scores[passed], found.photo[passed])
        return found, [values[passed] for values in (shifts, *more)]


def _largest_level(height: int, width: int) -> float:
    return height * width * _first_scale(height, width) ** 2


def _first_scale(height: int, width: int) -> float:
    return min(WINDOW / SMALLEST_FACE, (LARGEST_LEVEL / (height * width)) ** 0.5)


def _scales(height: int, width: int) -> list[float]:
    """Scales of the pyramid; none for photos smaller than the smallest face."""
    scale = _first_scale(height, width)
    shorter, scales = min(height, width) * scale, []
    while shorter >= WINDOW:
        scales.append(scale)
        scale, shorter = scale * PYRAMID_FACTOR, shorter * PYRAMID_FACTOR
    return scales


def _suppressed(found: _Found, most: float, of_smaller: bool = False) -> Tensor:
    return torch.from_numpy(suppress(found.boxes.numpy(), found.scores.numpy(), found.photo.numpy(), most, of_smaller))


def _whole_pixels(boxes: Tensor, height: int, width: int) -> Tensor:
    """Pixel ranges [K, 4] (right and bottom exclusive) of boxes counted from 1, cut off at the photo's border."""
    whole = boxes.trunc().long()
    low = whole[:, :2].clamp(min=1) - 1
    return torch.cat([low, torch.minimum(whole[:, 2:], torch.tensor([width, height]))], 1)


def _placed(points: Tensor, boxes: Tensor) -> Tensor:
    """Points [K, 10] as fractions of boxes -> [K, 5, 2] pixels."""
    size = boxes[:, None, 2:] - boxes[:, None, :2] + 1
    return points.view(-1, 2, 5).transpose(1, 2) * size + boxes[:, None, :2] - 1


def _faces(found: _Found, points: Tensor, count: int) -> list[tuple[Face, ...]]:
    size = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(1).numpy()
    per_photo: list[list[Face]] = [[] for _ in range(count)]
    for k in np.argsort(-size, kind="stable"):
        per_photo[int(found.photo[k])].append(Face(found.boxes[k].clone(), float(found.scores[k]), points[k].clone()))
    return [tuple(faces) for faces in per_photo]
