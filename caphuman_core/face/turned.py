"""Other ways to look at a photo, for detectors that know upright faces with some room around them."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..flow import Face
from ..pixels import block_means

PADDING = 0.5                            # of the longer side, on each side
GREY = 128                               # of 255
EXACT_PIXELS = 2_000_000                 # a larger photo is reduced before a border is put around it: the faces that need one
PADDED_PIXELS = 250_000                  # fill the frame, and stay large in a photo of so many pixels
POINT_FIELDS = ("points5", "points68", "points106", "points478")


@dataclass(frozen=True)
class View:
    """A photo with a grey border, turned counter-clockwise by quarter turns."""

    quarter_turns: int                   # 0..3
    padded: bool

    def of(self, photo: Tensor) -> Tensor:
        """photo [3, H, W] uint8 -> what the detector looks at, of 8 bits too."""
        photo = block_means(photo[None], self._reduction(*photo.shape[1:]))[0]
        border = self._border(*photo.shape[1:])
        photo = torch.nn.functional.pad(photo, (border,) * 4, value=GREY)
        return torch.rot90(photo, self.quarter_turns, (1, 2))

    def back(self, face: Face, height: int, width: int) -> Face:
        """A face found in the view, in pixels of the photo of that height and width."""
        factor = self._reduction(height, width)
        height, width = height // factor, width // factor
        border = self._border(height, width)

        def place(points: Tensor) -> Tensor:
            return (turned_back(points, self.quarter_turns, height + 2 * border, width + 2 * border) - border) * factor
        return moved_face(face, place, self.quarter_turns)

    def _border(self, height: int, width: int) -> int:
        return int(max(height, width) * PADDING) if self.padded else 0

    def _reduction(self, height: int, width: int) -> int:
        """The whole factor by which a photo is reduced for this view."""
        large = self.padded and height * width > EXACT_PIXELS
        return max(1, min(math.ceil(math.sqrt(height * width / PADDED_PIXELS)), height, width)) if large else 1


TURNED = (View(1, False), View(3, False), View(2, False))
VIEWS = (View(0, True), *TURNED, View(1, True), View(3, True), View(2, True))


def turned_back(points: Tensor, quarter_turns: int, height: int, width: int) -> Tensor:
    """Points [..., 2] of a picture that was turned counter-clockwise -> in the picture of height x width before."""
    x, y = points[..., 0], points[..., 1]
    pair = [(x, y), (width - y, x), (width - x, height - y), (y, height - x)][quarter_turns % 4]
    return torch.stack(pair, -1)


def moved_face(face: Face, place: Callable[[Tensor], Tensor], quarter_turns: int = 0) -> Face:
    """The face with `place` applied to its box and points; the head matrix turns back with it."""
    corners = place(face.box_xyxy.view(2, 2))
    points = {name: place(value) for name in POINT_FIELDS if (value := getattr(face, name)) is not None}
    return replace(face, box_xyxy=torch.cat([corners.amin(0), corners.amax(0)]),
                   head_matrix=_turned(face.head_matrix, quarter_turns), **points)


def _turned(matrix: Tensor | None, quarter_turns: int) -> Tensor | None:
    """A head matrix (y up) of a picture turned counter-clockwise, for the picture before: turned clockwise about z."""
    if matrix is None or quarter_turns % 4 == 0:
        return matrix
    cos, sin = [(1.0, 0.0), (0.0, -1.0), (-1.0, 0.0), (0.0, 1.0)][quarter_turns % 4]
    turn = torch.eye(4, dtype=matrix.dtype)
    turn[:2, :2] = torch.tensor([[cos, -sin], [sin, cos]])
    return turn @ matrix


def quarter_turns_to_upright(face: Face) -> int:
    """Counter-clockwise quarter turns (0..3) that bring a turned face upright, by the line from its eyes to its mouth."""
    if face.points5 is None:
        return 0
    down = face.points5[3:].mean(0) - face.points5[:2].mean(0)
    # Down-vector to the right of the picture: the head lies with its crown to the left, one clockwise turn raises it.
    if abs(float(down[1])) >= abs(float(down[0])):
        return 0 if down[1] >= 0 else 2
    return 3 if down[0] > 0 else 1
