"""Fitting a head to detected points: what the points fix is found again, whatever the photo's size, and nothing runs away."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.flow import Face, Faces
from caphuman_core.head import camera
from caphuman_core.head.edit.expressions import pose_of_scores
from caphuman_core.head.fit import landmark_fit
from caphuman_core.head.fit.landmark_fit import fit_faces, predicted_points68
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.model.posing import pose_head
from caphuman_core.head.model.reduced import landmark_model
from caphuman_core.head.new import new_head
from caphuman_core.head.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from caphuman_core.points import five_from_68
from caphuman_core.render.maps import pose

CONTOUR, INNER = slice(0, 17), slice(17, 68)
KEPT = ("browInnerUp", "jawOpen", "mouthClose", "mouthFrownLeft", "mouthFrownRight", "mouthSmileLeft", "mouthSmileRight",
        "tongueOut")


@pytest.fixture(scope="module")
def model():
    """The built-in head with fewer unknowns, which makes a fit ten times as fast: 12 shapes and 8 actions."""
    whole = load_builtin()
    chosen = [whole.expression_names.index(name) for name in KEPT]
    return replace(whole, identity_basis=whole.identity_basis[:12], expression_basis=whole.expression_basis[chosen],
                   expression_names=KEPT)


@pytest.fixture(scope="module")
def turned(model):
    """A head with its face to the picture's right, mouth a little open."""
    return new_head(model, 320, 240).replace(rotation_radians=torch.tensor([[0.1, 0.6, -0.15]]),
                                             jaw_radians=torch.tensor([[0.15, 0.0, 0.0]]))


def points_of(head, model):
    """The 68 points a picture of the head shows, [68, 2] pixels."""
    return camera.to_picture(head, pose(head, model).landmarks2d)[0, :, :2]


def face_of(points, **more):
    return Face(torch.cat([points.amin(0), points.amax(0)]), 1.0, **{f"points{len(points)}": points}, **more)


def fit(points, model, width=320, height=240):
    return fit_faces(Faces(((face_of(points),),), width, height), model)


def apart(first, second, part=slice(None)):
    """Mean distance of (a part of) 5 or 68 points, in eye distances."""
    five = five_from_68(second) if len(second) == 68 else second
    return float((first - second)[part].norm(dim=1).mean() / (five[0] - five[1]).norm())


def test_68_points_are_those_a_picture_shows_contour_included(model, turned):
    """The jaw line slides with yaw. 68 points fixed on the surface lie elsewhere."""
    points = points_of(turned, model)
    fitted = fit(points, model)
    assert apart(points_of(fitted, model), points, CONTOUR) < 0.02
    step = matrix_from_axis_angle(fitted.rotation_radians).mT @ matrix_from_axis_angle(turned.rotation_radians)
    assert float(axis_angle_from_matrix(step).norm()) < 0.06                     # radians; priors pull a little
    assert float(fitted.jaw_radians[0, 0]) == pytest.approx(0.15, abs=0.08)
    fixed = camera.to_picture(turned, pose(turned, model).landmarks3d)[0, :, :2]
    assert apart(fixed, points, CONTOUR) > 0.05


def test_a_jaw_line_that_is_off_moves_the_rest_little(model, turned):
    """Detectors place the contour loosely, so it weighs 0.4 of an inner point: 17 points half an eye distance too low pull the
    51 others by less than they would at full weight."""
    points = points_of(turned, model)
    low = points.clone()
    low[:17, 1] += 0.5 * float((five_from_68(points)[1] - five_from_68(points)[0]).norm())
    moved = apart(points_of(fit(low, model), model), points, INNER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landmark_fit, "CONTOUR_WEIGHT", 1.0)
        moved_more = apart(points_of(fit(low, model), model), points, INNER)
    assert moved < 0.9 * moved_more
    assert moved < 0.12


@pytest.mark.parametrize("count", [5, 68])
def test_a_photo_twice_as_large_and_shifted_gives_the_same_head_twice_as_large(model, turned, count):
    points = points_of(turned, model)
    points = points if count == 68 else five_from_68(points)
    one, other = fit(points, model), fit(points * 2 + torch.tensor([30.0, -40.0]), model, 800, 600)
    for name in ("identity", "expression", "rotation_radians", "jaw_radians", "camera"):
        torch.testing.assert_close(getattr(other, name), getattr(one, name), atol=0.02, rtol=0)    # where the steps end differs
    grown = one.crop_to_picture[0] @ camera.picture_transform(2.0, 2.0, 30.0, -40.0)
    torch.testing.assert_close(other.crop_to_picture[0], grown, atol=1e-3, rtol=1e-4)
    assert (other.width, other.height) == (800, 600)


def test_crops_are_like_deca_s_around_68_points_and_around_the_box_of_five(model, turned):
    points = points_of(turned, model)
    for face, low, high in ((face_of(points), points.amin(0), points.amax(0)),
                            (Face(torch.tensor([40.0, 20.0, 140.0, 160.0]), 1.0, points5=five_from_68(points)),
                             torch.tensor([40.0, 20.0]), torch.tensor([140.0, 160.0]))):
        fitted = fit_faces(Faces(((face,),), 320, 240), model)
        corners = (torch.tensor([[0.0, 0.0, 1.0], [224.0, 224.0, 1.0]]) @ fitted.crop_to_picture[0])[:, :2]
        side = float((high - low).mean()) * 1.1 * 1.25                           # DECA's two enlargements
        wanted = torch.stack([(low + high) / 2 - side / 2, (low + high) / 2 + side / 2])
        torch.testing.assert_close(corners, wanted, atol=0.01, rtol=0)


def test_a_stand_in_fills_its_box_with_a_frontal_head(model):
    """The landmarks' longer side is the box's shorter one, about the same centre."""
    fitted = fit_faces(Faces(((Face(torch.tensor([10.0, 30.0, 90.0, 150.0]), 0.0),),), 200, 200), model)
    points = camera.to_picture(fitted, pose(fitted, model).landmarks3d)[0, :, :2]
    low, high = points.amin(0), points.amax(0)
    torch.testing.assert_close((low + high) / 2, torch.tensor([50.0, 90.0]), atol=0.01, rtol=0)
    assert float((high - low).max()) == pytest.approx(80.0, abs=0.01)
    assert float(fitted.rotation_radians.abs().max()) == 0


def test_what_five_points_cannot_tell_stays_neutral(model, turned):
    fitted = fit(five_from_68(points_of(turned, model)), model)
    assert float(fitted.expression.abs().max()) == 0
    assert float(fitted.jaw_radians.abs().max()) == 0
    assert apart(five_from_68(points_of(fitted, model)), five_from_68(points_of(turned, model))) < 0.05


def test_amounts_stay_within_what_a_face_can_do(model, turned):
    """Points of no face: amounts of named actions stay 0..1, the jaw 0..0.5 radians, codes within three deviations."""
    wild = points_of(turned, model) + 25 * torch.randn(68, 2, generator=torch.Generator().manual_seed(0))
    fitted = fit(wild, model)
    assert 0 <= float(fitted.expression.min()) <= float(fitted.expression.max()) <= 1
    assert 0 <= float(fitted.jaw_radians[0, 0]) <= 0.5
    assert float(fitted.identity.abs().max()) <= 3
    assert fitted.jaw_radians[0, 1:].tolist() == [0, 0]


def test_actions_that_the_jaw_does_are_left_to_the_jaw(model):
    wide = new_head(model, 320, 240).replace(jaw_radians=torch.tensor([[0.3, 0.0, 0.0]]))
    fitted = fit(points_of(wide, model), model)
    assert float(fitted.jaw_radians[0, 0]) == pytest.approx(0.3, abs=0.1)
    for name in ("jawOpen", "mouthClose", "tongueOut"):
        assert float(fitted.expression[0, model.expression_names.index(name)]) < 0.01


def test_a_smile_is_found_in_68_points(model):
    code = torch.zeros(1, len(model.expression_names))
    for name in ("mouthSmileLeft", "mouthSmileRight"):
        code[0, model.expression_names.index(name)] = 0.8
    head = new_head(model, 320, 240).replace(expression=code)
    fitted = fit(points_of(head, model), model)
    assert apart(points_of(fitted, model), points_of(head, model)) < 0.02
    found = dict(zip(model.expression_names, fitted.expression[0].tolist(), strict=True))
    assert found["mouthSmileLeft"] > 0.4 > 0.2 > found["mouthFrownLeft"]


def test_codes_that_are_no_named_actions_may_be_negative(model):
    """FLAME's expressions are standard deviations: half of them lie below zero."""
    smiles = [model.expression_names.index(name) for name in ("mouthSmileLeft", "mouthSmileRight")]
    plain = replace(model, expression_basis=-model.expression_basis[smiles], expression_names=())
    head = new_head(plain, 320, 240).replace(expression=torch.full((1, 2), -0.8))
    fitted = fit(points_of(head, plain), plain)
    assert float(fitted.expression.max()) < -0.3


def test_photos_keep_their_places_and_progress_counts_them(model, turned):
    points, seen = five_from_68(points_of(turned, model)), []
    fitted = fit_faces(Faces(((), (face_of(points),)), 320, 240), model, step=seen.append)
    assert fitted.present.tolist() == [False, True]
    assert seen == [1, 2]
    with pytest.raises(InputError, match="photo 2 must have one face to fit a head to, but got 2 faces"):
        fit_faces(Faces(((), (face_of(points), face_of(points))), 320, 240), model)


def test_68_points_are_predicted_only_where_five_are_known(model, turned):
    points = points_of(turned, model)
    five, bare = face_of(five_from_68(points)), Face(torch.tensor([0.0, 0.0, 9.0, 9.0]), 0.0)
    predicted = predicted_points68(Faces(((five,), (face_of(points),), (), (bare,)), 320, 240), model)
    assert predicted[1:] == [None, None, None]
    assert apart(predicted[0], points) < 0.15                                    # an average face under the known pose
    seen = points_of(fit_faces(Faces(((five,),), 320, 240), model), model)       # those a picture of the fitted head shows
    torch.testing.assert_close(predicted[0], seen, atol=1e-3, rtol=0)
    fixed = camera.to_picture(turned, pose(turned, model).landmarks3d)[0, :, :2]
    assert apart(fixed, points, CONTOUR) > 0.05, "which are not those fixed on the surface"
    with pytest.raises(InputError, match="photo 1 must have one face"):
        predicted_points68(Faces(((five, five),), 320, 240), model)


def test_the_landmark_model_poses_the_same_landmarks(model, turned):
    full, small = (pose_head(one, turned.identity, turned.expression, turned.rotation_radians, turned.jaw_radians)
                   for one in (model, landmark_model(model)))
    torch.testing.assert_close(small.landmarks2d, full.landmarks2d, atol=1e-6, rtol=0)
    torch.testing.assert_close(small.landmarks3d, full.landmarks3d, atol=1e-6, rtol=0)
    assert len(small.verts[0]) < 0.2 * len(full.verts[0])


# --- the way there

@pytest.mark.parametrize("count", [5, 68])
def test_the_first_guess_is_the_pose_of_rigid_points(model, count):
    """Of a neutral head, seen by the orthographic camera, linear least squares tell rotation, size and place exactly."""
    small = landmark_model(model)
    head = new_head(model, 320, 240).replace(rotation_radians=torch.tensor([[0.2, -0.5, 0.3]]), camera=torch.tensor([[7.0, 0.03,
                                                                                                                      -0.02]]))
    points = camera.to_picture(head, pose(head, model).landmarks3d)[0, :, :2]
    points = points if count == 68 else five_from_68(points)
    layout = landmark_fit._Layout(12, 1, 8)
    blank = new_head(model, 320, 240).replace(crop_to_picture=head.crop_to_picture, jaw_radians=torch.full((1, 3), 0.3))
    rotation, log_scale, shift, jaw, identity, expression = layout.split(landmark_fit._start(blank, small, points, layout))
    torch.testing.assert_close(rotation, head.rotation_radians[0], atol=0.03, rtol=0)         # five points are the open jaw's
    assert float(log_scale.exp()) == pytest.approx(7.0, rel=0.02)
    torch.testing.assert_close(shift, head.camera[0, 1:], atol=3e-3, rtol=0)
    assert [len(part) for part in (jaw, identity, expression)] == [1, 12, 8]
    assert not bool(torch.cat([jaw, identity, expression]).any())


def test_the_unknowns_lie_in_one_vector():
    layout = landmark_fit._Layout(identity=3, jaw=1, expression=2)
    assert layout.size == 12
    assert [part.tolist() for part in layout.split(torch.arange(12.0))] == [[0, 1, 2], [3], [4, 5], [6], [7, 8, 9], [10, 11]]


def test_two_rows_become_the_nearest_rotation():
    turn = matrix_from_axis_angle(torch.tensor([0.4, -0.7, 0.2]))
    torch.testing.assert_close(landmark_fit._nearest_rotation(turn[:2] * 5), turn)
    skewed = turn[:2] + torch.tensor([[0.05, -0.02, 0.04], [0.03, 0.05, -0.03]])
    found = landmark_fit._nearest_rotation(skewed)
    torch.testing.assert_close(found @ found.T, torch.eye(3), atol=1e-5, rtol=0)
    assert float(torch.linalg.det(found)) == pytest.approx(1, abs=1e-5)
    for axis in torch.eye(3):
        nudged = matrix_from_axis_angle(axis * 0.02) @ found
        assert float((found[:2] - skewed).norm()) < float((nudged[:2] - skewed).norm())


def test_the_contour_is_the_first_17_points_and_no_other(model, turned, monkeypatch):
    """Without any weight they may lie anywhere; the next point may not."""
    monkeypatch.setattr(landmark_fit, "CONTOUR_WEIGHT", 0.0)
    points = points_of(turned, model)
    face = face_of(points)                                       # the crop goes by the points: here always by these
    crop = landmark_fit._crop(points, face)
    monkeypatch.setattr(landmark_fit, "_crop", lambda points, face: crop)

    def fitted(index):
        off = points.clone()
        off[index] += 40.0
        return fit_faces(Faces(((replace(face, points68=off),),), 320, 240), model)
    still = fitted([])
    assert torch.equal(fitted(slice(0, 17)).rotation_radians, still.rotation_radians)
    assert not torch.equal(fitted([17]).rotation_radians, still.rotation_radians)


def test_fits_evaluate_the_few_vertices_of_the_landmark_model(model, turned, monkeypatch):
    seen, inner = set(), landmark_fit.pose_head
    monkeypatch.setattr(landmark_fit, "pose_head", lambda small, *rest: seen.add(len(small.template)) or inner(small, *rest))
    five = five_from_68(points_of(turned, model))
    faces = Faces(((face_of(five),),), 320, 240)
    fit_faces(faces, model)
    predicted_points68(faces, model)
    assert seen == {len(landmark_model(model).template)}


def test_least_squares_end_in_the_smallest_sum_of_squares():
    """A line through points, by steps that are kept only where they help, within the bounds."""
    x = torch.arange(6.0)
    y = torch.tensor([1.0, 2.9, 5.1, 7.2, 8.8, 11.1])

    def off(line):
        return line[0] * x + line[1] - y
    wanted = torch.linalg.lstsq(torch.stack([x, torch.ones(6)], 1), y[:, None]).solution[:, 0]
    found = landmark_fit._levenberg_marquardt(off, torch.zeros(2), lambda line: line)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)
    held = landmark_fit._levenberg_marquardt(off, torch.zeros(2), lambda line: line.clamp(max=1.5))
    assert float(held[0]) == 1.5
    assert float(off(held).norm()) < float(off(torch.tensor([1.5, 0.5])).norm())
    best = torch.tensor([float(wanted[0]), float(wanted[1])])
    assert float(off(landmark_fit._levenberg_marquardt(off, best, lambda line: line + 9)).norm()) <= float(off(best).norm())


@pytest.mark.parametrize(("values", "dampings", "end"), [
    ((12, 8, 6, 5.99999), (1e-3, 1e-2, 1e-3, 1e-4), 5.99999),                     # a gain below 0.001 % is the last
    ((12, 8, 6, 5.9999, *[7] * 6), (1e-3, 1e-2, 1e-3, 1e-4, *(10.0 ** n for n in range(-5, 1))), 5.9999),
    ([10] * 6, tuple(10.0 ** n for n in range(-3, 3)), 10),                       # six that do not help: the start
    (tuple(range(9, -40, -1)), (), 0)])                                           # until the square is least
def test_steps_are_ten_times_as_bold_after_each_that_helps(values, dampings, end):
    """The residual is the one unknown itself, and a step of damping d leaves d / (1 + d) of it; the bounds put it elsewhere."""
    at, tried, ahead = [torch.tensor([10.0], dtype=torch.float64)], [], iter(values)

    def bounded(trial):
        tried.append(float(trial / (at[-1] - trial)))
        found = torch.tensor([float(next(ahead))], dtype=torch.float64)
        if abs(found) < abs(at[-1]):
            at.append(found)
        return found
    found = landmark_fit._levenberg_marquardt(lambda x: x, at[0], bounded)
    assert float(found) == end
    assert tried[:len(dampings)] == pytest.approx(list(dampings), rel=1e-4)
    assert len(tried) == len(dampings) or end == 0


def test_no_more_than_25_steps_are_taken():
    taken = []
    found = landmark_fit._levenberg_marquardt(lambda x: x, torch.tensor([1e6]), lambda trial: taken.append(1) or torch.tensor(
        [1e6 * 0.9 ** len(taken)]))
    assert len(taken) == 25
    assert float(found) == pytest.approx(1e6 * 0.9 ** 25)


@pytest.mark.parametrize("count", [5, 68])
def test_points_are_weighed_by_eye_distances_and_priors_by_their_deviations(model, turned, monkeypatch, count):
    asked = []
    monkeypatch.setattr(landmark_fit, "_levenberg_marquardt", lambda residuals, x, bounded: asked.append((residuals, bounded)) or x)
    points = points_of(turned, model)
    points = points if count == 68 else five_from_68(points)
    plain = fit(points, model)
    (residuals, bounded), wide = asked[0], 8 if count == 68 else 0
    rotation, camera_, codes = torch.tensor([0.2, 0.3, -0.1]), torch.tensor([6.0, 0.01, -0.02]), torch.linspace(-1, 1, 12)
    amounts, jaw = torch.linspace(0.1, 0.8, wide), torch.full((wide // 8,), 0.12)
    x = torch.cat([rotation, camera_[:1].log(), camera_[1:], jaw, codes, amounts])
    head = plain.replace(rotation_radians=rotation[None], camera=camera_[None], identity=codes[None],
                         **({"jaw_radians": torch.tensor([[0.12, 0.0, 0.0]]), "expression": amounts[None]} if wide else {}))
    at = points_of(head, model) if wide else five_from_68(camera.to_picture(head, pose(head, model).landmarks3d)[0, :, :2])
    five = five_from_68(points) if wide else points
    off = (at - points) / (0.02 * (five[1] - five[0]).norm())
    if wide:
        off[:17] *= 0.4
    pitch = matrix_from_axis_angle(rotation)[1, 2] / (0.5 if wide else 0.1)
    held = [1e-3 if name in ("jawOpen", "mouthClose", "tongueOut") else 0.5 for name in KEPT]
    priors = [*codes.tolist(), float(pitch), *(jaw / 0.15).tolist(), *(amounts / torch.tensor(held[:wide])).tolist()]
    found = residuals(x)
    torch.testing.assert_close(found[:2 * count], off.flatten(), atol=1e-3, rtol=1e-3)
    assert found[2 * count:].tolist() == pytest.approx(priors, rel=1e-4)
    ends = bounded(torch.cat([x[:6], jaw * 0 + 9, codes * 9, amounts * 9 - 5]))
    assert ends[:6].tolist() == x[:6].tolist()
    assert ends[6:6 + len(jaw)].tolist() == [0.5] * len(jaw)
    assert (float(ends[6 + len(jaw):18 + len(jaw)].min()), float(ends[6 + len(jaw):18 + len(jaw)].max())) == (-3, 3)
    assert ends[18 + len(jaw):].tolist() == pytest.approx((amounts * 9 - 5).clamp(0, 1).tolist())
    assert bounded(torch.cat([x[:6], jaw * 0 - 9, codes, amounts]))[6:6 + len(jaw)].tolist() == [0] * len(jaw)


def test_scores_tell_the_expression_where_actions_have_names_or_points_are_few(model, turned):
    """68 points of a model without names tell more than scores that are solved for; five points tell nothing of a smile."""
    nameless = replace(model, expression_basis=model.expression_basis[:2], expression_names=(), fingerprint="nameless")
    points, scores = points_of(turned, model), {"mouthSmileLeft": 0.6, "jawOpen": 0.5}
    five = five_from_68(points)
    for fitted_to, given, told in ((model, points, True), (model, five, True), (nameless, five, True), (nameless, points, False)):
        face = face_of(given, expression_scores=scores)
        head = fit_faces(Faces(((face,),), 320, 240), fitted_to)
        assert (abs(float(head.jaw_radians[0, 0]) - 0.18) < 1e-6) == told
    code, _ = pose_of_scores(nameless, scores)
    few = fit_faces(Faces(((face_of(five, expression_scores=scores),),), 320, 240), nameless)
    torch.testing.assert_close(few.expression[0], code)
