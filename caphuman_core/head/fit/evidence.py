"""What a detector saw of one face, as a fit takes it: pixels, the places on the head they belong to, and how far to trust each."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ...flow import Face
from ...points import LEFT_EYE, RIGHT_EYE, five_from_68
from ..model.head_model import HeadModel
from .surface_points import SurfacePoints, dense_places, five_corners, on_faces, pupil_corners, surface_points

FIVE, INNER, DENSE = "five", "inner", "dense"
CONTOUR = 17                             # the first points of the 68
SIGMA = {FIVE: 0.02, INNER: 0.025}       # expected error of a detected point, in eye distances
DENSE_SHARE = 2.0                        # 478 points of one network err together: each counts as a point this much worse
COMMON_SHARE = 0.3           # of the common errors on drawn heads that is expected in a photo, which its network was taught on
MOST_ERROR_METRES = 0.006                # a point that is found worse says nothing
EYE_METRES = 0.0634                      # between the eyes of an average head
ALONG, ACROSS = 0.12, 0.04               # a jaw line's points: their error along the line, which nothing marks, and across it
PUPIL_SIGMA = 0.012
PIXEL_SIGMA = 0.3                        # pixels
HUBER = 2.5
PINNED_SIGMA = 0.004                     # a point that a hand has put there
# The rim of MediaPipe's mesh: silhouette and hair line, no places of the head. The jaw line comes with the 68 points.
OVAL = frozenset((10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
                  136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109))
IRISES = (473, 468)                      # centres of the person's left and right iris
CLOSED = 0.12                            # height of an eye's opening over its width below which no iris is believed


@dataclass(frozen=True)
class Evidence:
    """One face. A residual is a point's [2, 2] weights times how far, in pixels, the head's point lies from the seen one."""

    places: SurfacePoints                # of the P points whose place on the head does not change
    pixels: Tensor                       # [P, 2]
    weights: Tensor                      # [P, 2, 2]
    modes: Tensor                        # [A, P, 2] pixels: ways in which a detector's points err together, at one deviation
    contour_pixels: Tensor               # [17, 2] the jaw line, which slides over the head as it turns; or [0, 2]
    contour_weights: Tensor              # [17, 2, 2]
    eye_pixels: float                    # distance of the eyes
    expression: bool                     # whether the points show mouth and brows
    gaze: bool                           # whether they show where the eyes look
    kind: str
    huber: float = HUBER                 # whitened distance from which a point counts less and less


def evidence_of(face: Face, model: HeadModel) -> Evidence | None:
    """The most that a face's points tell about a head of this model; None for a face without points."""
    if face.points68 is None:
        return None if face.points5 is None else _of_five(face.points5, model)
    points68 = face.points68.double().cpu()
    eye_pixels = _eye_pixels(five_from_68(points68))
    dense = None if face.points478 is None else dense_points(model)
    if face.points478 is not None and dense is not None:
        numbers, error, modes, places = dense
        pixels, sigma, kind = face.points478.double().cpu()[numbers], DENSE_SHARE * error / EYE_METRES, DENSE
        modes = modes * COMMON_SHARE * eye_pixels / EYE_METRES
    else:
        pixels, places, kind, modes = points68[CONTOUR:], inner_places(model), INNER, points68.new_zeros(0, 68 - CONTOUR, 2)
        sigma = torch.full((68 - CONTOUR,), SIGMA[INNER], dtype=torch.float64)
    irises = None if face.points478 is None or len(face.points478) < 478 else face.points478.double().cpu()[list(IRISES)]
    with_pupils = None if irises is None else _pupils_too(model, kind)
    if irises is not None and with_pupils is not None:
        places = with_pupils
        pixels = torch.cat([pixels, irises])
        sigma = torch.cat([sigma, _pupil_sigmas(points68)])
        modes = torch.cat([modes, modes.new_zeros(len(modes), 2, 2)], 1)
    return Evidence(places, pixels, _round(1 / _in_pixels(sigma, eye_pixels)), modes, points68[:CONTOUR],
                    _along_line(points68, eye_pixels), eye_pixels, True, with_pupils is not None, kind)


def pinned(points68: Tensor, pins: Mapping[int, tuple[float, float]], model: HeadModel, loose: float = 4.0) -> Evidence:
    """68 points [68, 2] of which a hand has put some elsewhere: pins are point number -> pixels. The others hold loosely."""
    points = points68.double().clone()
    sigma = torch.full((68,), SIGMA[INNER] * loose, dtype=torch.float64)
    for number, place in pins.items():
        points[number], sigma[number] = torch.tensor(place, dtype=torch.float64), PINNED_SIGMA
    eye_pixels = _eye_pixels(five_from_68(points68.double()))
    weights = _round(1 / _in_pixels(sigma, eye_pixels))
    free = torch.tensor([number not in pins for number in range(CONTOUR)])
    contour = torch.where(free[:, None, None], _along_line(points68.double(), eye_pixels) / loose, weights[:CONTOUR])
    return Evidence(inner_places(model), points[CONTOUR:], weights[CONTOUR:], points.new_zeros(0, 51, 2),
                    points[:CONTOUR], contour, eye_pixels, True, False, INNER, math.inf)


def _of_five(points5: Tensor, model: HeadModel) -> Evidence:
    points = points5.double().cpu()
    eye_pixels = _eye_pixels(points)
    weights = _round(1 / _in_pixels(torch.full((5,), SIGMA[FIVE], dtype=torch.float64), eye_pixels))
    return Evidence(_five(model), points, weights, points.new_zeros(0, 5, 2), points.new_zeros(0, 2), points.new_zeros(0, 2, 2),
                    eye_pixels, False, False, FIVE)


def _eye_pixels(five: Tensor) -> float:
    return float((five[1] - five[0]).norm().clamp(min=1.0))


def _in_pixels(sigma: Tensor, eye_pixels: float) -> Tensor:
    """Errors in eye distances -> pixels; in small faces a pixel's own width counts too."""
    return ((sigma * eye_pixels).square() + PIXEL_SIGMA ** 2).sqrt()


def _round(weight: Tensor) -> Tensor:
    """The same trust in all directions: [P] -> [P, 2, 2]."""
    return weight[:, None, None] * torch.eye(2, dtype=torch.float64)


def _along_line(points68: Tensor, eye_pixels: float) -> Tensor:
    """Weights of the jaw line's points: loose along the line, firm across it; [17, 2, 2]."""
    line = points68[:CONTOUR]
    along = torch.cat([line[1:2] - line[:1], line[2:] - line[:-2], line[-1:] - line[-2:-1]])
    along = along / along.norm(dim=1, keepdim=True).clamp(min=1e-9)
    across = torch.stack([-along[:, 1], along[:, 0]], 1)
    return torch.stack([along / ALONG, across / ACROSS], 1) / eye_pixels


def _pupil_sigmas(points68: Tensor) -> Tensor:
    """Expected error of the left and the right iris; none is believed in a closed eye."""
    sigmas = []
    for eye in (LEFT_EYE, RIGHT_EYE):
        corner, upper1, upper2, other, lower2, lower1 = points68[list(eye)]
        opening = ((upper1 - lower1).norm() + (upper2 - lower2).norm()) / 2 / (corner - other).norm().clamp(min=1e-6)
        sigmas.append(PUPIL_SIGMA if float(opening) > CLOSED else 100 * PUPIL_SIGMA)
    return torch.tensor(sigmas, dtype=torch.float64)


@lru_cache(maxsize=4)
def _five(model: HeadModel) -> SurfacePoints:
    return surface_points(model, five_corners(model))


@lru_cache(maxsize=4)
def inner_places(model: HeadModel) -> SurfacePoints:
    """The 51 landmarks that lie still on the head."""
    return surface_points(model, on_faces(model, model.landmark_faces, model.landmark_weights))


@lru_cache(maxsize=4)
def dense_points(model: HeadModel) -> tuple[Tensor, Tensor, Tensor, SurfacePoints] | None:
    """Numbers of the 478 points that have a place on this head, the error to expect of each
    in metres, how they err together, and the places."""
    known = dense_places(model)
    if known is None:
        return None
    good = torch.tensor([number not in OVAL for number in known["points"].tolist()]) & (known["points"] < 468)
    good &= known["error_metres"] < MOST_ERROR_METRES
    places = surface_points(model, on_faces(model, known["faces"][good].long(), known["weights"][good]))
    return known["points"][good].long(), known["error_metres"][good].double(), \
        known["error_modes_metres"][:, good].double(), places.beside(known["offset_metres"][good])


@lru_cache(maxsize=4)
def _pupils_too(model: HeadModel, kind: str) -> SurfacePoints | None:
    """The points of a kind, then both pupils, the left one first; None where the head has no eyes that turn."""
    pupils = pupil_corners(model)
    if pupils is None:
        return None
    dense = dense_points(model)
    first = dense[-1] if kind == DENSE and dense is not None else inner_places(model)
    return first.and_also(surface_points(model, pupils))


@lru_cache(maxsize=200)
def contour_places(model: HeadModel, row: int) -> SurfacePoints:
    """The jaw line of a head that is turned by what `landmarks.contour_rows` calls `row`."""
    return surface_points(model, on_faces(model, model.contour_faces[row], model.contour_weights[row]))
