"""Refining a fitted head: what a drawn head was is found again, one person's photos share a shape, and nothing comes back worse."""
from __future__ import annotations

import io
from dataclasses import replace

import pytest
import torch
from PIL import Image

from caphuman_core.check import InputError
from caphuman_core.face.landmarks import face_from_478
from caphuman_core.flow import Face, Faces, Head
from caphuman_core.head import camera
from caphuman_core.head.fit import refine
from caphuman_core.head.fit.evidence import IRISES, dense_points, evidence_of
from caphuman_core.head.fit.geometry import state_of, to_pixels, total_cost, view_of, with_errors
from caphuman_core.head.fit.landmark_fit import fit_face
from caphuman_core.head.fit.pinned import refit
from caphuman_core.head.fit.refine import refine_photos
from caphuman_core.head.fit.surface_points import Shape, five_corners, on_faces, pupil_corners, surface_points
from caphuman_core.head.light import directional
from caphuman_core.head.model.flame_files import find_flame_files, load_flame
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.model.posing import pose_head
from caphuman_core.head.model.reduced import landmark_model
from caphuman_core.head.new import new_head
from caphuman_core.head.rotations import axis_angle_from_matrix, matrix_from_axis_angle, matrix_from_yaw_pitch_roll
from caphuman_core.pixels import image_of, photo_of
from caphuman_core.points import five_from_68
from caphuman_core.render.maps import pose
from caphuman_core.render.portrait import main_light, portrait
from tools.stand_ins import face_synthetic

SIDE = 512


@pytest.fixture(scope="module")
def model():
    return load_builtin()


def person(model, seed: int, yaw_degrees: float = 0.0) -> Head:
    """Somebody with a smile, who looks aside, in a light of their own."""
    draws = torch.Generator().manual_seed(seed)
    expression = torch.zeros(1, len(model.expression_names))
    for name in ("mouthSmileLeft", "mouthSmileRight"):
        expression[0, model.expression_names.index(name)] = 0.5
    turn = matrix_from_yaw_pitch_roll(*(torch.tensor([angle]) for angle in (yaw_degrees, 5.0, 3.0)))
    head = new_head(model, SIDE, SIDE)
    return head.replace(
        identity=0.7 * torch.randn(1, model.identity_basis.shape[0], generator=draws), expression=expression,
        texture=0.7 * torch.randn(1, model.texture_basis.shape[0], generator=draws),
        gaze_radians=torch.tensor([[[0.2, -0.1], [0.2, -0.1]]]), jaw_radians=torch.tensor([[0.1, 0.0, 0.0]]),
        rotation_radians=axis_angle_from_matrix(turn), light=directional(-40.0, 25.0)[None])


def photo_of_head(head, model, noise: float = 0.02):
    """What a camera makes of a head: noise, then JPEG of quality 60; [1, 3, H, W]."""
    drawn = portrait(head, model, SIDE, SIDE).over(0.4)[0]
    drawn = (drawn + noise * torch.randn(drawn.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    file = io.BytesIO()
    image_of(drawn).save(file, "JPEG", quality=60)
    return photo_of(Image.open(file).convert("RGB"))[None]


def seen_points(head, model, noise: float = 1.0):
    """The face as a detector of 478 points sees it that errs by so many pixels."""
    draws = torch.Generator().manual_seed(2)
    points68 = camera.to_picture(head, pose(head, model).landmarks2d)[0, :, :2]
    face = face_from_478(torch.zeros(478, 2), 1.0, None, None)
    places, numbers = evidence_of(replace(face, points68=points68), model).places, dense_points(model)[0]
    points, root = places.points(state_of(head).shape)
    at = to_pixels(points @ state_of(head).turn.mT + root, state_of(head), head.crop_to_picture[0].double()).float()
    points478 = torch.zeros(478, 2)
    points478[numbers], points478[list(IRISES)] = at[:-2], at[-2:]
    points478 += noise * torch.randn(478, 2, generator=draws)
    points68 = points68 + noise * torch.randn(68, 2, generator=draws)
    box = torch.cat([points68.amin(0), points68.amax(0)])
    return Face(box, 1.0, five_from_68(points68), points68, points478=points478)


def faces_of(*found):
    return Faces(tuple((face,) if face is not None else () for face in found), SIDE, SIDE)


def surface_millimetres(head, true, model) -> float:
    """Median distance of the faces' surfaces, moved, turned and scaled onto each other: a single view knows no size."""
    marks = pose_head(model, torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 3), torch.zeros(1, 3)).landmarks3d[0]
    part = (model.template[:, 2] > marks[[0, 16], 2].mean()) & (model.template[:, 1] > marks[8, 1])
    part &= (model.template[:, 1] < marks[17:27, 1].max() + 0.03) & (model.skinning[:, 3:].sum(1) < 0.5)
    mine, theirs = (pose_head(model, one.identity, one.expression, torch.zeros(1, 3), one.jaw_radians).verts[0, part].double()
                    for one in (head, true))
    mine, theirs = mine - mine.mean(0), theirs - theirs.mean(0)
    u, strength, v = torch.linalg.svd(mine.T @ theirs)
    moved = strength.sum() / mine.square().sum() * mine @ (u @ v)
    return 1e3 * float((moved - theirs).norm(dim=1).median())


def turn_degrees(head, true) -> float:
    first, second = (matrix_from_axis_angle(one.rotation_radians)[0] for one in (head, true))
    return float(torch.rad2deg(axis_angle_from_matrix(first.T @ second).norm()))


def light_degrees(head, true) -> float:
    first, second = (main_light(one.light[0])[0] for one in (head, true))
    return float(torch.rad2deg(torch.acos((first @ second).clamp(-1, 1))))


@pytest.fixture(scope="module")
def frontal(model):
    """Person, photo, faces, and the fitted head."""
    return drawn_case(model, 3, 0.0)


def drawn_case(model, seed, yaw_degrees, noise=1.0):
    true = person(model, seed, yaw_degrees)
    photo, faces = photo_of_head(true, model), faces_of(seen_points(true, model, noise))
    five = replace(faces.per_image[0][0], points68=None, points478=None)
    return true, photo, faces, fit_face(five, model, landmark_model(model), SIDE, SIDE)


@pytest.mark.parametrize(("yaw_degrees", "millimetres"), [(0.0, 1.5), (45.0, 2.5)])
def test_what_a_drawn_head_was_is_found_again(model, yaw_degrees, millimetres):
    """Of points that are right to a third of a pixel: a whole one turns an eyeball, whose radius is fourteen, by four degrees."""
    true, photo, faces, fitted = drawn_case(model, 3, yaw_degrees, noise=0.3)
    refined = refine_photos(photo, faces, fitted, model).head
    assert surface_millimetres(refined, true, model) < min(millimetres, 0.7 * surface_millimetres(fitted, true, model))
    assert turn_degrees(refined, true) < 1.5 < turn_degrees(fitted, true)
    assert light_degrees(refined, true) < 10
    assert float(torch.rad2deg(refined.gaze_radians - true.gaze_radians).abs().max()) < 5
    assert float((refined.texture - true.texture).norm()) < 0.8 * float(true.texture.norm()), "the fit leaves it at 0"
    assert refined.light.shape == (1, 9, 3)


def test_points_and_derivatives_are_those_of_the_whole_head(model):
    """The fast path against `pose_head` and against differences."""
    draws = torch.Generator().manual_seed(0)
    shape = Shape(*(torch.randn(count, generator=draws).double() * size for count, size in ((60, 0.7), (52, 0.3), (3, 0.1))),
                  torch.tensor([[0.2, -0.3], [0.1, -0.25]]).double())
    turn = torch.tensor([[0.2, 0.4, -0.1]])
    whole = pose_head(model, shape.identity.float()[None], shape.expression.float()[None], turn, shape.jaw.float()[None],
                      shape.gaze.float()[None])
    places = surface_points(model, on_faces(model, model.full_faces, model.full_weights))
    points, root = places.points(shape)
    torch.testing.assert_close((points @ matrix_from_axis_angle(turn[0].double()).T + root).float(), whole.landmarks3d[0],
                               atol=2e-7, rtol=0)
    torch.testing.assert_close(
        (surface_points(model, five_corners(model)).points(shape)[0] @ matrix_from_axis_angle(turn[0].double()).T + root).float(),
        five_from_68(whole.landmarks3d)[0], atol=2e-7, rtol=0)
    moved, step = places.moved(shape), 1e-6
    for code in (2, 59):
        ahead = shape.identity.clone()
        ahead[code] += step
        after, after_root = places.points(replace(shape, identity=ahead))
        torch.testing.assert_close((after - points) / step, moved.by_code[code], atol=1e-7, rtol=0)
        torch.testing.assert_close((after_root - root) / step, moved.root_by_code[code], atol=1e-7, rtol=0)
    ahead = shape.jaw.clone()
    ahead[0] += step
    torch.testing.assert_close((places.points(replace(shape, jaw=ahead))[0] - points) / step, moved.by_angle[0], atol=1e-5, rtol=0)


def test_a_place_beside_a_point_is_in_metres_and_turns_with_the_point_s_part(model):
    """Of a vertex that only the head moves, and of one on the jaw."""
    corners = torch.stack([model.skinning[:, joint].argmax() for joint in (1, 2)])[:, None]
    offset = torch.tensor([[0.01, 0.02, -0.03]] * 2)
    places = surface_points(model, (corners, torch.ones(2, 1)))
    torch.testing.assert_close(places.share[:, :2], torch.eye(2).double())
    turned = Shape(torch.zeros(60).double(), torch.zeros(52).double(), torch.tensor([0.3, 0.1, -0.2]).double(),
                   torch.zeros(2, 2).double())
    apart = places.beside(offset).points(turned)[0] - places.points(turned)[0]
    torch.testing.assert_close(apart[0], offset[0].double())
    torch.testing.assert_close(apart[1], matrix_from_axis_angle(turned.jaw) @ offset[1].double())
    torch.testing.assert_close(places.beside(offset).beside(-offset).rest, places.rest)


def test_pupils_lie_on_the_eyes_axes(model):
    corners, weights = pupil_corners(model)
    at = (model.template[corners] * weights[..., None]).sum(1)
    eyes = (model.joint_regressor @ model.template)[3:]
    torch.testing.assert_close(at[:, :2], eyes[:, :2], atol=1e-4, rtol=0)
    assert bool((at[:, 2] > eyes[:, 2] + 0.01).all())
    assert float(at[0, 0]) > 0 > float(at[1, 0]), "the person's left one first"


def test_the_places_of_the_points_are_as_symmetric_as_a_face(model):
    """Eye corners, lids, mouth, brows, nostrils: beside the surface, where the detector has them, left as right."""
    numbers, _, modes, places = dense_points(model)
    at = places.points(state_of(new_head(model, SIDE, SIDE)).shape)[0]
    row = {number: i for i, number in enumerate(numbers.tolist())}
    for right, left in ((33, 263), (133, 362), (159, 386), (61, 291), (105, 334), (98, 327)):
        mirrored = at[row[right]] * torch.tensor([-1.0, 1.0, 1.0])
        assert float((mirrored - at[row[left]]).norm()) < 0.002, (right, left)
    near = (at[:, None] - at[None]).norm(dim=2) < 0.008
    apart = (modes[0][:, None] - modes[0][None]).norm(dim=2)
    assert float(apart[near].mean()) < 0.4 * float(apart[~near].mean()), "neighbours err alike"


def test_one_person_s_photos_share_a_shape_and_a_skin(model):
    first, second = person(model, 5, -20.0), person(model, 5, 30.0)
    second = second.replace(light=directional(50.0, 10.0)[None], expression=0 * second.expression)
    photos = torch.cat([photo_of_head(one, model) for one in (first, second)])
    faces = faces_of(*(seen_points(one, model) for one in (first, second)))
    start = Head.stack([new_head(model, SIDE, SIDE).replace(rotation_radians=one.rotation_radians) for one in (first, second)])
    together = refine_photos(photos, faces, start, model, same_person=True).head
    apart = refine_photos(photos, faces, start, model).head
    torch.testing.assert_close(together.identity[0], together.identity[1], atol=0, rtol=0)
    torch.testing.assert_close(together.texture[0], together.texture[1], atol=0, rtol=0)
    assert not torch.allclose(apart.identity[0], apart.identity[1], atol=0.05)
    for i, true in enumerate((first, second)):
        assert turn_degrees(together[i], true) < 1.5
        assert light_degrees(together[i], true) < 20
    smile = model.expression_names.index("mouthSmileLeft")
    assert float(together.expression[0, smile]) > 0.3 > float(together.expression[1, smile])
    millimetres = [max(surface_millimetres(heads[i], (first, second)[i], model) for i in (0, 1)) for heads in (together, apart)]
    assert millimetres[0] < millimetres[1], "two views tell more than one"


def test_five_points_leave_mouth_and_gaze_alone(model, frontal):
    _, photo, faces, fitted = frontal
    five = replace(faces.per_image[0][0], points68=None, points478=None)
    refined = refine_photos(photo, faces_of(five), fitted, model)
    for name in ("expression", "jaw_radians", "gaze_radians"):
        torch.testing.assert_close(getattr(refined.head, name), getattr(fitted, name), atol=0, rtol=0)
    assert float(refined.head.texture.abs().max()) > 0.1
    assert "only five points were seen" in refined.report


def test_points_that_tell_no_face_make_no_head_worse(model, frontal):
    true, photo, faces, _ = frontal
    view_cost = cost_of(true, faces.per_image[0][0], model)
    wild = seen_points(true, model, noise=80.0)
    told = refine_photos(photo, faces_of(wild), true, model)
    assert cost_of(told.head, wild, model) <= cost_of(true, wild, model)
    assert all(bool(value.isfinite().all()) for value in told.head.stored().values())
    assert view_cost < 0.2 * cost_of(true, wild, model)


def cost_of(head, face, model) -> float:
    """The landmarks' part of what a refit makes smaller."""
    evidence = evidence_of(face, model)
    state = state_of(head, len(evidence.modes))
    view = view_of(evidence, head, model, state)
    return total_cost([view], [with_errors(view, state, model)], model)


def test_a_head_that_cannot_be_bettered_comes_back_itself(model, frontal, monkeypatch):
    _, photo, faces, fitted = frontal
    monkeypatch.setattr(refine, "_with_shape", lambda group, model: [new_head(model, SIDE, SIDE)])
    refined = refine_photos(photo, faces, fitted, model)
    for name, value in fitted.stored().items():
        torch.testing.assert_close(getattr(refined.head, name), value, atol=0, rtol=0)
    assert refined.report.startswith("Photo 1: the head came back as it was, because no other one explains the photo better")
    assert refined.told == (None,)


def test_skin_that_a_hand_covers_is_not_believed(model, frontal):
    """A blue hand over the mouth: without a mask it loses its weight, with one it is not looked at."""
    _, photo, faces, fitted = frontal
    covered = photo.clone()
    mouth = faces.per_image[0][0].points68[48:].mean(0).long().tolist()
    covered[:, :, mouth[1] - 25:mouth[1] + 40, mouth[0] - 40:mouth[0] + 40] = torch.tensor([0.1, 0.2, 0.9]).view(1, 3, 1, 1)
    plain, off = (refine_photos(one, faces, fitted, model).head.texture for one in (photo, covered))
    assert float((plain - off).norm()) < 0.5 * float(plain.norm())
    nothing = refine_photos(photo, faces, fitted, model, skin=torch.zeros(1, SIDE, SIDE))
    assert float(nothing.head.texture.abs().max()) == 0
    assert "too little skin is seen" in nothing.report


def test_photos_without_a_face_keep_their_place(model, frontal):
    _, photo, faces, fitted = frontal
    absent = fitted.replace(present=torch.zeros(1, dtype=torch.bool))
    seen: list[int] = []
    refined = refine_photos(torch.cat([photo, photo]), faces_of(None, faces.per_image[0][0]), Head.stack([absent, fitted]), model,
                            same_person=True, step=seen.append)
    assert refined.head.present.tolist() == [False, True]
    assert refined.notes[0] == "Photo 1: no face, nothing to refine."
    assert seen[-1] == 2


def test_heads_of_other_photos_are_refused(model, frontal):
    _, photo, faces, fitted = frontal
    with pytest.raises(InputError, match="head must be a batch of 1, one for each photo, but got 2"):
        refine_photos(photo, faces, Head.stack([fitted, fitted]), model)
    with pytest.raises(InputError, match="own frame of 512 x 512, but got 512 x 500"):
        refine_photos(photo, faces, fitted.replace(height=500), model)
    two = Faces((faces.per_image[0] * 2,), SIDE, SIDE)
    with pytest.raises(InputError, match="photo 1 must have one face to fit a head to, but got 2 faces"):
        refine_photos(photo, two, fitted, model)


def landmarks(head, model):
    return camera.to_picture(head, pose(head, model).landmarks2d)[0, :, :2]


def test_pinned_landmarks_go_where_a_hand_puts_them(model):
    head = new_head(model, SIDE, SIDE)
    before = landmarks(head, model)
    corner, chin = before[54] + torch.tensor([8.0, -6.0]), before[8] + torch.tensor([0.0, 10.0])
    after = landmarks(refit(head, model, {"mouth_left": tuple(corner.tolist()), 8: tuple(chin.tolist())}), model)
    assert float((after[54] - corner).norm()) < 1
    assert float((after[8] - chin).norm()) < 1
    assert float((after[17:48] - before[17:48]).norm(dim=1).median()) < 2, "the rest stays"
    assert refit(head, model, {}) is head
    torn = refit(head, model, {48: (10.0, 10.0), 54: (12.0, 500.0)})
    assert all(bool(value.isfinite().all()) for value in torn.stored().values())


def test_only_landmarks_that_are_there_can_be_pinned(model):
    head = new_head(model, SIDE, SIDE)
    for name in (68, -1, "elbow"):
        with pytest.raises(InputError, match="pinned landmark must be from 0 to 67"):
            refit(head, model, {name: (0.0, 0.0)})
    with pytest.raises(InputError, match="pinned landmark 8 must lie at finite pixels"):
        refit(head, model, {8: (float("nan"), 0.0)})


def test_a_head_in_flame_s_format_is_refined_by_its_68_points(tmp_path):
    """Of a model that nobody has asked MediaPipe about, and whose codes are no named actions, the 68 points serve."""
    face_synthetic.write(tmp_path)
    flame = load_flame(find_flame_files(tmp_path / "generic_model.pkl", [tmp_path]))
    draws = torch.Generator().manual_seed(4)
    true = new_head(flame, SIDE, SIDE)
    true = true.replace(identity=0.8 * torch.randn(true.identity.shape, generator=draws),
                        expression=0.5 * torch.randn(true.expression.shape, generator=draws),
                        rotation_radians=torch.tensor([[0.1, 0.3, 0.0]]))
    points = landmarks(true, flame)
    face = Face(torch.cat([points.amin(0), points.amax(0)]), 1.0, five_from_68(points), points)
    assert evidence_of(face, flame).kind == "inner"
    start = true.replace(identity=0 * true.identity, expression=0 * true.expression, rotation_radians=0 * true.rotation_radians)
    refined = refine_photos(torch.rand(1, 3, SIDE, SIDE, generator=draws), faces_of(face), start, flame)
    assert float((landmarks(refined.head, flame) - points).norm(dim=1).median()) < 0.3 * float(
        (landmarks(start, flame) - points).norm(dim=1).median())
    assert "68 points; the gaze is not told by them" in refined.report
