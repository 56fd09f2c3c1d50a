"""What a face's points tell a fit: which of them, how far each is trusted and in which direction."""
from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from caphuman_core.flow import Face
from caphuman_core.head.fit.evidence import OVAL, dense_points, evidence_of, pinned
from caphuman_core.head.fit.surface_points import dense_places, pupil_corners
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.points import five_from_68


@pytest.fixture(scope="module")
def model():
    return load_builtin()


def oblong_face(eye_pixels=100.0, opening=30.0):
    """Points whose eyes are so far apart and so far open; the jaw line runs down, to the right and up in steps of 10 pixels."""
    points = torch.zeros(68, 2)
    steps = torch.tensor([[0.0, 10.0]] * 5 + [[10.0, 0.0]] * 6 + [[0.0, -10.0]] * 5)
    points[1:17] = steps.cumsum(0)
    for first, left in ((36, 0.0), (42, eye_pixels)):
        points[first:first + 6] = torch.tensor([[-20.0, 0], [-10, -opening / 2], [10, -opening / 2], [20, 0], [10, opening / 2],
                                                [-10, opening / 2]]) + torch.tensor([left, 0.0])
    return Face(torch.zeros(4), 1.0, five_from_68(points), points)


def trust(weights):
    """The one number of weights [..., 2, 2] that are the same in all directions."""
    torch.testing.assert_close(weights, weights[..., :1, :1] * torch.eye(2).to(weights))
    return weights[..., 0, 0].tolist()


def test_a_point_is_trusted_by_its_expected_error_in_eye_distances_and_a_third_of_a_pixel(model):
    """Eyes 100 pixels apart."""
    face = oblong_face()
    five = evidence_of(replace(face, points68=None), model)
    assert (five.kind, five.eye_pixels, five.huber, five.expression, five.gaze) == ("five", 100.0, 2.5, False, False)
    assert trust(five.weights) == pytest.approx([1 / math.hypot(2.0, 0.3)] * 5)
    inner = evidence_of(face, model)
    assert (inner.kind, inner.expression, inner.gaze) == ("inner", True, False)
    assert trust(inner.weights) == pytest.approx([1 / math.hypot(2.5, 0.3)] * 51)
    assert torch.equal(inner.pixels, face.points68[17:].double())
    assert torch.equal(inner.contour_pixels, face.points68[:17].double())
    assert evidence_of(replace(face, points5=None, points68=None), model) is None


def test_the_jaw_line_holds_three_times_as_firmly_across_as_along(model):
    weights = evidence_of(oblong_face(), model).contour_weights
    down, right, up = (torch.tensor([[x / 12, y / 12], [-y / 4, x / 4]]).double() for x, y in ((0, 1), (1, 0), (0, -1)))
    for number, direction in ((0, down), (3, down), (8, right), (14, up), (16, up)):
        torch.testing.assert_close(weights[number], direction)
    nowhere = replace(oblong_face(), points68=torch.zeros(68, 2))
    assert float(evidence_of(nowhere, model).contour_weights.abs().max()) == 0, "points in one place have no line"
    slanted = weights[5]                                              # between a step down and one to the right
    torch.testing.assert_close(slanted, torch.tensor([[1 / 12, 1 / 12], [-1 / 4, 1 / 4]]).double() / 2 ** 0.5)


@pytest.mark.parametrize(("opening", "pixels"), [(30.0, 1.2), (5.0, 1.2), (4.7, 120.0), (0.0, 120.0)])
def test_irises_are_believed_in_eyes_that_are_open_an_eighth_of_their_width(model, opening, pixels):
    """Eyes of a width of 40 pixels. The dense points' errors, taken twice, are metres on a head whose eyes are 63.4 mm apart."""
    seen = replace(oblong_face(opening=opening), points478=torch.arange(956.0).view(478, 2))
    found, (numbers, errors, modes, _) = evidence_of(seen, model), dense_points(model)
    assert trust(found.weights[-2:]) == pytest.approx([1 / math.hypot(pixels, 0.3)] * 2)
    assert trust(found.weights[:-2]) == pytest.approx([1 / math.hypot(200 * error / 0.0634, 0.3) for error in errors.tolist()])
    assert found.pixels[-2:].tolist() == [[946, 947], [936, 937]], "the person's left iris is number 473, the right one 468"
    assert torch.equal(found.pixels[:-2], seen.points478[numbers].double())
    torch.testing.assert_close(found.modes[:, :-2], 0.3 * modes * 100 / 0.0634)
    assert float(found.modes[:, -2:].abs().max()) == 0
    fewer = evidence_of(replace(seen, points478=seen.points478[:468]), model)
    assert (len(fewer.pixels), fewer.gaze) == (len(numbers), False)


def test_a_pinned_point_holds_twenty_times_as_firmly_as_the_others(model):
    face = oblong_face()
    told = pinned(face.points68, {3: (7.0, 9.0), 40: (1.0, 2.0)}, model)
    plain = evidence_of(face, model)
    assert told.contour_pixels[3].tolist() == [7, 9]
    assert told.pixels[40 - 17].tolist() == [1, 2]
    assert math.isinf(told.huber)
    assert (told.kind, told.expression, told.gaze) == ("inner", True, False)
    apart = [number for number in range(51) if number != 23]
    assert torch.equal(told.pixels[apart], plain.pixels[apart])
    assert trust(told.weights[23]) == trust(told.contour_weights[3]) == pytest.approx(1 / math.hypot(0.4, 0.3))
    assert trust(told.weights[apart]) == pytest.approx([1 / math.hypot(10.0, 0.3)] * 50)
    free = [number for number in range(17) if number != 3]
    torch.testing.assert_close(told.contour_weights[free], plain.contour_weights[free] / 4)


def test_the_rim_of_mediapipe_s_mesh_is_no_place_of_the_head(model):
    """Its points from the forehead down to the chin, each of the person's left side with its twin."""
    pairs = ((338, 109), (297, 67), (332, 103), (284, 54), (251, 21), (389, 162), (356, 127), (454, 234), (323, 93), (361, 132),
             (288, 58), (397, 172), (365, 136), (379, 150), (378, 149), (400, 176), (377, 148))
    rim = {10, 152, *(point for pair in pairs for point in pair)}
    assert rim == OVAL
    places = dense_places(model)
    assert dense_points(model)[0].tolist() == [n for n in places["points"].tolist() if n not in rim and n < 468]


@pytest.mark.parametrize("joint", [3, 4])
def test_a_head_without_two_eyeballs_has_no_pupils_and_tells_no_gaze(model, joint):
    skinning = model.skinning.clone()
    skinning[:, joint] = 0
    blind = replace(model, skinning=skinning, fingerprint="of nobody's")
    assert pupil_corners(blind) is None
    seen = replace(oblong_face(), points478=torch.zeros(478, 2))
    assert (evidence_of(seen, model).kind, evidence_of(seen, model).gaze) == ("dense", True)
    told = evidence_of(seen, blind)
    assert (told.kind, told.gaze, len(told.pixels)) == ("inner", False, 51)
