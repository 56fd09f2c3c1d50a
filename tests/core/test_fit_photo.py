"""The landmark fit on real photos: the built-in head sits on the face (issue: eyes on eyes, mouth on mouth, roll)."""
from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from caphuman_core.flow import Face, Faces
from caphuman_core.head.fit.landmark_fit import fit_faces
from caphuman_core.head.fit.photo_light import with_photo_light
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.rotations import matrix_from_axis_angle, yaw_pitch_roll_from_matrix
from caphuman_core.points import five_from_68
from caphuman_core.render.maps import render
from caphuman_core.render.overlay import blend_over, overlay

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture(scope="module")
def builtin():
    return load_builtin()


@pytest.fixture(scope="module", params=["astronaut", "astronaut_300x400"])
def fitted(request, builtin):
    """photo [1, 3, H, W], its five golden MTCNN points, the fitted head and its render."""
    data = np.load(GOLDEN / "face_identity.npz")
    picture = np.array(Image.open(GOLDEN / f"face_photo_{request.param}.png").convert("RGB"))
    photo = torch.from_numpy(picture).movedim(-1, 0)[None].float() / 255
    points = torch.from_numpy(data[f"{request.param}/points"][0])
    face = Face(torch.from_numpy(data[f"{request.param}/boxes"][0]), 1.0, points5=points)
    head = with_photo_light(photo, fit_faces(Faces(((face,),), photo.shape[3], photo.shape[2]), builtin), builtin)
    return photo, points, head, render(head, builtin, head.width, head.height)


def test_eyes_on_eyes_and_mouth_on_mouth(fitted):
    _, points, _, drawn = fitted
    eye_distance = float((points[1] - points[0]).norm())
    apart = (five_from_68(drawn.landmarks)[0] - points).norm(dim=-1) / eye_distance
    assert float(apart.max()) < 0.05


def test_roll_is_that_of_the_line_through_the_eyes(fitted):
    _, points, head, drawn = fitted

    def angle(pair):
        return math.degrees(math.atan2(float(pair[1, 1] - pair[0, 1]), float(pair[1, 0] - pair[0, 0])))
    assert abs(angle(five_from_68(drawn.landmarks)[0]) - angle(points)) < 3
    yaw, pitch, roll = (float(v) for v in yaw_pitch_roll_from_matrix(matrix_from_axis_angle(head.rotation_radians))[:3])
    assert abs(roll - angle(points)) < 3
    assert abs(yaw) < 10                                     # she looks at the camera
    assert abs(pitch) < 12


def test_the_head_covers_her_face_and_not_the_picture(fitted):
    _, points, _, drawn = fitted
    assert bool((drawn.mask[0, points[:, 1].long(), points[:, 0].long()] == 1).all())
    assert 0.01 < float(drawn.mask.mean()) < 0.3


def test_the_photo_s_light_makes_the_shaded_face_like_the_photo(fitted, builtin):
    photo, points, head, drawn = fitted
    low, high = points.amin(0).long(), points.amax(0).long()
    inside = (slice(None), slice(None), slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    error = (drawn.shaded[inside] - photo[inside]).abs().mean()
    plain = render(head.replace(light=torch.zeros(1, 9, 3)), builtin, head.width, head.height)
    assert float(error) < 0.15
    assert float(error) < 0.5 * float((plain.shaded[inside] - photo[inside]).abs().mean())
    laid = overlay(photo, head, builtin)
    assert float((laid - blend_over(photo, drawn)).abs().mean()) < 0.01                 # but for the smoother edges
    assert float((laid - photo)[inside].abs().mean()) > 0.02, "the head is seen on her face"
    assert torch.equal(laid[..., -20:], photo[..., -20:])    # nothing is drawn beside the head
