"""Asked against obtained heads, where the right answer is known."""
from __future__ import annotations

import math

import pytest
import torch

from caphuman_bench.lists import full_values, load_conditions
from caphuman_bench.plan import HeadEntry
from caphuman_bench.score.control import Fitted, LandmarkFitter, asked_head, errors
from caphuman_bench.score.faces import Seen
from caphuman_core.flow import Face
from caphuman_core.head import camera
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.widget_values import edited
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.model.posing import pose_head
from caphuman_core.head.new import new_head
from caphuman_core.head.rotations import matrix_from_axis_angle, yaw_pitch_roll_from_matrix
from caphuman_core.head.storage import save_head

MODEL = load_builtin()


@pytest.fixture(scope="module")
def fitter():
    return LandmarkFitter(MODEL)


def seen(head) -> Seen:
    """A picture in which exactly this head's landmarks are found."""
    posed = pose_head(MODEL, head.identity, head.expression, head.rotation_radians, head.jaw_radians)
    points = camera.to_picture(head, posed.landmarks2d)[0, :, :2]
    from caphuman_core.render.maps import render
    picture = render(head, MODEL, head.width, head.height).shaded[0].clamp(0, 1)
    return Seen(picture, Face(torch.cat([points.amin(0), points.amax(0)]), 1.0, points68=points))


def turned(degrees: float, **more) -> Fitted:
    return Fitted(edit_head(new_head(MODEL, 512, 512), MODEL, Edit(yaw_degrees=degrees, **more)), True)


def test_the_same_head_has_no_error():
    assert set(errors(turned(25), turned(25)).values()) == {0.0}


@pytest.mark.parametrize("degrees", [0.01, 5.0, 30.0, 170.0])
def test_a_head_rotated_by_a_known_angle_gives_that_error(degrees):
    found = errors(turned(0), turned(degrees))
    assert found["head_angle"] == pytest.approx(degrees, rel=1e-3)
    assert found["pose_rmse"] == pytest.approx(math.radians(degrees) / math.sqrt(6), rel=1e-3)      # one of six numbers is off
    assert found["shape_rmse"] == found["expression_rmse"] == found["light_rmse"] == 0


@pytest.mark.parametrize("axis", ["yaw_degrees", "pitch_degrees", "roll_degrees"])
@pytest.mark.parametrize("degrees", [-150.0, -35.0, 12.0])
def test_any_axis_and_either_way(axis, degrees):
    found = errors(turned(0), Fitted(edit_head(new_head(MODEL, 512, 512), MODEL, Edit(**{axis: degrees})), True))
    assert found["head_angle"] == pytest.approx(abs(degrees), rel=1e-3)
    assert found["pose_rmse"] == pytest.approx(math.radians(abs(degrees)) / math.sqrt(6), rel=1e-3)


@pytest.mark.parametrize(("a", "b", "apart"), [(179, -179, 2), (-170, 175, 15), (120, -120, 120), (85, -85, 170)])
def test_codes_that_go_round_are_as_far_apart_as_the_heads(a, b, apart):
    found = errors(turned(a), turned(b))
    assert found["head_angle"] == pytest.approx(apart, rel=1e-3)
    assert found["pose_rmse"] == pytest.approx(math.radians(apart) / math.sqrt(6), rel=1e-3)


@pytest.mark.parametrize(("metric", "code"), [
    ("shape_rmse", "identity"), ("expression_rmse", "expression"), ("light_rmse", "light")])
def test_noise_of_a_known_size_is_that_error_and_no_other(metric, code):
    a, generator = turned(10), torch.Generator().manual_seed(0)
    value = getattr(a.head, code)
    found = [errors(a, Fitted(a.head.replace(**{code: value + 0.2 * torch.randn(value.shape, generator=generator)}), True))
             for _ in range(50)]
    # The mean of 50 such errors of 27 to 60 numbers: 2 % of spread, and a root is 1 % low.
    assert sum(one[metric] for one in found) / 50 == pytest.approx(0.2, rel=0.06)
    assert all(value == 0 for one in found for name, value in one.items() if name != metric)


def test_the_angle_is_between_the_rotations_and_not_from_the_front():
    assert errors(turned(-20), turned(15))["head_angle"] == pytest.approx(35, rel=1e-3)


def test_known_differences_of_codes():
    a = turned(0)
    head = a.head.replace(identity=a.head.identity + 0.5, expression=a.head.expression - 0.25, light=a.head.light + 0.1)
    found = errors(a, Fitted(head, True))
    assert found["shape_rmse"] == pytest.approx(0.5)
    assert found["expression_rmse"] == pytest.approx(0.25)
    assert found["light_rmse"] == pytest.approx(0.1, rel=1e-5)


def test_what_a_fit_cannot_tell_is_missing_and_not_zero():
    found = errors(turned(0), Fitted(turned(10).head, False))
    assert found["pose_rmse"] is None
    assert found["expression_rmse"] is None
    assert found["head_angle"] == pytest.approx(10, rel=1e-3)


@pytest.mark.parametrize("degrees", [10, 25])
def test_the_fit_to_a_picture_finds_the_known_angle(fitter, degrees):
    """Points of a known head, fitted anew: the angle between two such fits is the angle between the heads."""
    front, side = fitter.fit([seen(turned(0).head), seen(turned(degrees).head)])
    # Exact points, but priors on pitch and identity pull: within 2 degrees on this head.
    assert errors(front, side)["head_angle"] == pytest.approx(degrees, abs=2)


def test_no_face_no_head(fitter):
    assert fitter.fit([Seen(torch.zeros(3, 64, 64), None)]) == [None]


def test_every_condition_of_the_list_is_the_edit_it_names():
    base = Fitted(new_head(MODEL, 512, 512), True)
    heads = {entry.key: asked_head(base, entry, MODEL).head for entry in load_conditions()}
    yaw, pitch, _ = (float(angle[0]) for angle in yaw_pitch_roll_from_matrix(
        matrix_from_axis_angle(heads["turned_left_up"].rotation_radians)))
    assert (yaw, pitch) == (pytest.approx(-30, abs=1e-3), pytest.approx(12, abs=1e-3))
    assert not torch.equal(heads["smile"].expression, heads["front"].expression)
    assert not torch.equal(heads["side_light"].light, heads["front"].light)
    assert torch.equal(heads["front"].light, base.head.light)
    assert len({tuple(head.rotation_radians.flatten().tolist() + head.expression.flatten().tolist() + head.light.flatten().tolist()
                      + head.crop_to_picture.flatten().tolist()) for head in heads.values()}) == 10


@pytest.mark.parametrize("edits", [True, False])
def test_the_person_stays_the_person(edits):
    base = turned(12)
    base = Fitted(base.head.replace(identity=torch.full_like(base.head.identity, 0.3), light=base.head.light * 0.5), True)
    asked = asked_head(base, HeadEntry("k", "values", full_values({"yaw_degrees": 40})), MODEL, edits).head
    assert torch.equal(asked.identity, base.head.identity)
    assert errors(turned(40), Fitted(asked, True))["head_angle"] == pytest.approx(0, abs=1e-3)
    # A graph that edits the person's head keeps its light; one that takes a ready head takes that head's light.
    assert torch.equal(asked.light, base.head.light) == edits


def test_a_head_from_a_file_and_one_of_another_model(tmp_path):
    head = edited(new_head(MODEL, 64, 64), MODEL, full_values({"yaw_degrees": 20, "smile": 1}))
    save_head(head, tmp_path / "a.head.safetensors")
    save_head(head.replace(model_fingerprint="other"), tmp_path / "b.head.safetensors")
    base = turned(0)
    same, other = (asked_head(base, HeadEntry(name, "file", file=f"{name}.head.safetensors"), MODEL, folder=tmp_path)
                   for name in ("a", "b"))
    assert torch.equal(same.head.expression, head.expression)
    assert errors(same, Fitted(head, True))["expression_rmse"] == 0
    assert errors(other, Fitted(head, True))["expression_rmse"] is None       # its code means nothing on this model
    assert errors(other, Fitted(head, True))["head_angle"] == pytest.approx(0, abs=1e-3)


def test_a_head_from_a_photo_without_a_face_asks_nothing():
    assert asked_head(turned(0), HeadEntry("k", "photo", picture="x.jpg"), MODEL) is None
