"""The mtcnn back end: boxes and five points, with the results of facenet-pytorch's MTCNN and its shipped weights.

The cascade is that of the paper (three networks over an image pyramid). Pyramid levels and patches are area averages
read from one summed-area table per photo, so a batch of photos goes through each stage together. Photos above two
megapixels are searched from larger faces on (mtcnn_sight.py), unless a search asks for smaller ones.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...flow import Face
from ...pixels import eight_bit
from ..search import ORDINARY, Search
from .mtcnn_boxes import moved, squared, suppress
from .mtcnn_nets import ProposalNet, find_files, read_nets
from .mtcnn_sight import SMALLEST_FACE, Sight, reduction

PYRAMID_FACTOR = 0.709
THRESHOLDS = (0.6, 0.7, 0.7)
WINDOW = 12                              # pixels of a proposal window
PIXELS_AT_ONCE = 1 << 17                 # of the largest pyramid level, all photos together: fits a processor's caches
PIXELS_AT_ONCE_ON_GPU = 1 << 22          # bounds memory
LARGEST_LEVEL = 6_000_000                # pixels; searches for tiny faces in huge photos begin at slightly larger ones
STRIP_PIXELS = 1_000_000                 # of a level, proposed at a time: bounds memory, and the wait for an interrupt
STRIDE, MARGIN = 2, 10                   # rows of a level per row of proposals, and rows that a strip needs beyond them
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
    def find(self, photos: Tensor, search: Search = ORDINARY) -> list[tuple[Face, ...]]:
        """Faces in photos [B, 3, H, W], red first, of 0..1 or of 8 bits (to which others are rounded); per photo, largest first."""
        photos = photos.to(next(self.parameters()).device)
        factor, smallest = reduction(photos.shape[2], photos.shape[3], search.smallest_face)
        most = PIXELS_AT_ONCE if photos.device.type == "cpu" else PIXELS_AT_ONCE_ON_GPU
        height, width = (side // factor for side in photos.shape[2:])
        count = max(1, int(most / max(_largest_level(height, width, smallest), 1)))
        found: list[tuple[Face, ...]] = []
        for part in photos.split(count):
            found += self._find_together(Sight(eight_bit(part), factor), smallest, search)
        return found

    def _find_together(self, sight: Sight, smallest: float, search: Search) -> list[tuple[Face, ...]]:
        found = self._propose(sight, smallest, search)
        found, (shifts,) = self._judge(self.refine, sight, found, 24, THRESHOLDS[1], search)
        kept = _suppressed(found, 0.7)
        found = found.take(kept)
        found.boxes = squared(moved(found.boxes, shifts[kept]))
        found, (shifts, points) = self._judge(self.output, sight, found, 48, THRESHOLDS[2], search)
        points = _placed(points, found.boxes)
        found.boxes = moved(found.boxes, shifts)
        kept = _suppressed(found, 0.7, of_smaller=True)
        return _faces(found.take(kept), points[kept], len(sight.photos))

    def _propose(self, sight: Sight, smallest: float, search: Search) -> _Found:
        """First stage: candidates of all pyramid levels, as squares, in pixels of the photos (counted from 1)."""
        parts, shifts = [], []
        for scale in _scales(sight.height, sight.width, smallest):
            moves, chance = _in_strips(self.proposal, sight.level(scale), search)
            photo, cell, scores, shift = _candidates(moves, chance)
            corner = cell * STRIDE + 1
            part = _Found(torch.cat([(corner / scale).floor(), ((corner + WINDOW - 1) / scale).floor()], 1), scores, photo)
            kept = _suppressed(part, 0.5)
            parts.append(part.take(kept))
            shifts.append(shift[kept])
        empty = _Found(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
        parts, shifts = [empty, *parts], [torch.zeros(0, 4), *shifts]
        found = _Found(torch.cat([part.boxes for part in parts]), torch.cat([part.scores for part in parts]),
                       torch.cat([part.photo for part in parts]))
        search.heed()
        kept = _suppressed(found, 0.7)
        found = found.take(kept)
        first = torch.tensor([1.0, 1.0, 0.0, 0.0])                      # left and top count from 1, right and bottom to the end
        found.boxes = (found.boxes - first) * sight.factor + first
        found.boxes = squared(moved(found.boxes, torch.cat(shifts)[kept], inclusive=False))
        return found

    def _judge(self, net: nn.Module, sight: Sight, found: _Found, side: int, threshold: float, search: Search
               ) -> tuple[_Found, list[Tensor]]:
        """Second and third stage: those candidates the network believes in, and its other outputs for them."""
        pixels = _whole_pixels(found.boxes, *sight.photos.shape[2:])
        inside = ((pixels[:, 2:] > pixels[:, :2]).all(1)).nonzero()[:, 0]
        device = sight.photos.device
        found, pixels = found.take(inside), pixels[inside].to(device)
        outputs = []
        for boxes, photo in zip(pixels.split(PATCHES_AT_ONCE), found.photo.to(device).split(PATCHES_AT_ONCE), strict=True):
            search.heed()
            outputs.append(net(sight.patches(photo, boxes, side)))
        shifts, scores, *more = (torch.cat(values).cpu() for values in zip(*outputs, strict=True))
        passed = (scores > threshold).nonzero()[:, 0]
        found = _Found(found.boxes[passed], scores[passed], found.photo[passed])
        return found, [values[passed] for values in (shifts, *more)]


def _candidates(moves: Tensor, chance: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Windows of moves [B, 4, h, w] and chances [B, h, w] that may show a face, on the CPU: photo [K], column and row [K, 2],
    chance [K], moves [K, 4]. They come from a card in one piece: each copy would wait for it."""
    photo, row, column = (chance >= THRESHOLDS[0]).nonzero(as_tuple=True)
    places = torch.stack([photo, column, row], 1).to(chance.dtype)                  # whole numbers, far below 2^24
    together = torch.cat([places, chance[photo, row, column][:, None], moves[photo, :, row, column]], 1).cpu()
    return together[:, 0].long(), together[:, 1:3], together[:, 3], together[:, 4:]


def _in_strips(net: ProposalNet, level: Tensor, search: Search) -> tuple[Tensor, Tensor]:
    """The proposal network over a level [B, 3, h, w], a strip of rows at a time where the level is large."""
    rows = max(1, STRIP_PIXELS // (STRIDE * level.shape[0] * level.shape[3]))
    strips = []
    for first in range(0, max(1, (level.shape[2] - MARGIN) // STRIDE), rows):
        search.heed()
        last = first + rows
        whole = STRIDE * (last + 1) + MARGIN > level.shape[2]           # the last strip takes what is left
        strips.append(net(level[:, :, STRIDE * first:None if whole else STRIDE * last + MARGIN]))
        if whole:
            break
    moves, chances = zip(*strips, strict=True)
    return (moves[0], chances[0]) if len(strips) == 1 else (torch.cat(moves, 2), torch.cat(chances, 1))


def _largest_level(height: int, width: int, smallest: float = SMALLEST_FACE) -> float:
    return height * width * _first_scale(height, width, smallest) ** 2


def _first_scale(height: int, width: int, smallest: float = SMALLEST_FACE) -> float:
    return min(WINDOW / smallest, (LARGEST_LEVEL / max(height * width, 1)) ** 0.5)


def _scales(height: int, width: int, smallest: float) -> list[float]:
    """Scales of the pyramid; none for photos smaller than the smallest face."""
    scale = _first_scale(height, width, smallest)
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
