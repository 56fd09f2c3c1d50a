"""Laws of heads: posing, editing, framing, transfer, blending, light, files."""
from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caphuman_core.check import InputError
from caphuman_core.flow import Face, Faces
from caphuman_core.head import camera, rotations
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.transfer import blend, transfer
from caphuman_core.head.fit.landmark_fit import fit_faces
from caphuman_core.head.model.flame_files import FlameFiles, find_flame_files, load_flame
from caphuman_core.head.model.posing import pose_head
from caphuman_core.head.model.reduced import landmark_model
from caphuman_core.head.new import new_head
from caphuman_core.head.pivot import pivot, scale_of
from caphuman_core.head.storage import load_head, save_head
from caphuman_core.points import five_from_68
from caphuman_core.render.maps import pose, render

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
ANGLE = st.floats(-3, 3, allow_nan=False)
ROUNDING = {"atol": 2e-5, "rtol": 1e-5}          # float32 through a few matrix products


def tensor(array):
    return torch.from_numpy(np.asarray(array))


@pytest.fixture
def head(model):
    generator = torch.Generator().manual_seed(7)
    made = new_head(model, 320, 240, batch=2)
    return made.replace(identity=torch.randn(2, 100, generator=generator) * 0.5,
                        expression=torch.randn(2, 50, generator=generator) * 0.3,
                        rotation_radians=torch.tensor([[0.1, 0.4, -0.2], [-0.2, -0.5, 0.1]]),
                        jaw_radians=torch.tensor([[0.1, 0.0, 0.0], [0.2, 0.0, 0.0]]))


@settings(deadline=None)
@given(st.tuples(ANGLE, ANGLE, ANGLE))
def test_axis_angle_and_matrix_are_inverse(vector):
    first = rotations.matrix_from_axis_angle(torch.tensor(vector, dtype=torch.float64))
    again = rotations.matrix_from_axis_angle(rotations.axis_angle_from_matrix(first))
    torch.testing.assert_close(again, first, atol=1e-7, rtol=0)         # float64, but theta near pi loses half the digits
    torch.testing.assert_close(first @ first.T, torch.eye(3, dtype=torch.float64), atol=1e-12, rtol=0)


@settings(deadline=None)
@given(st.floats(-179, 179), st.floats(-89, 89), st.floats(-179, 179))
def test_yaw_pitch_roll_and_matrix_are_inverse(yaw, pitch, roll):
    asked = torch.tensor([yaw, pitch, roll], dtype=torch.float64)
    found = torch.stack(rotations.yaw_pitch_roll_from_matrix(rotations.matrix_from_yaw_pitch_roll(*asked)))
    torch.testing.assert_close(found, asked, atol=1e-6, rtol=0)


@pytest.mark.parametrize("pitch", [90.0, -90.0])
def test_straight_up_and_down_the_roll_is_given_as_none(pitch):
    """There, yaw and roll turn about one axis: the pose comes back, told as yaw alone."""
    turned = rotations.matrix_from_yaw_pitch_roll(*torch.tensor([20.0, pitch, 35.0], dtype=torch.float64))
    yaw, found, roll = rotations.yaw_pitch_roll_from_matrix(turned)
    assert (round(float(found), 3), float(roll)) == (pitch, 0)
    torch.testing.assert_close(rotations.matrix_from_yaw_pitch_roll(yaw, found, roll), turned, atol=1e-6, rtol=0)


@pytest.mark.parametrize("vector", [(0.0, 0.0, 0.0), (1e-6, 0.0, 0.0), (0.5, -1.0, 0.2), (0.0, 3.0, 0.0), (2.0, -2.0, 1.0),
                                    (0.0, 0.0, 3.5), (-4.0, 1.0, 0.0)])
def test_rotation_vectors_come_back_the_short_way_round(vector):
    """Length 0 to pi; a longer turn is the shorter one the other way."""
    given = torch.tensor(vector, dtype=torch.float64)
    length = float(given.norm())
    wanted = given if length <= math.pi else given * (length - 2 * math.pi) / length
    found = rotations.axis_angle_from_matrix(rotations.matrix_from_axis_angle(given))
    torch.testing.assert_close(found, wanted, atol=1e-7, rtol=0)


def test_half_turns_have_an_axis():
    for axis in torch.eye(3, dtype=torch.float64):
        turned = rotations.axis_angle_from_matrix(2 * torch.outer(axis, axis) - torch.eye(3, dtype=torch.float64))
        torch.testing.assert_close(turned.abs(), axis * math.pi, atol=1e-7, rtol=0)


def test_signs_are_what_the_tooltips_say():
    """Where the nose (0, 0, 1) and the crown (0, 1, 0) go; x is to the picture's right, y up."""
    zero = torch.tensor(0.0)
    turn = lambda yaw, pitch, roll: rotations.matrix_from_yaw_pitch_roll(zero + yaw, zero + pitch, zero + roll)  # noqa: E731
    assert turn(30, 0, 0)[0, 2] > 0.4
    assert turn(0, 30, 0)[1, 2] > 0.4
    assert turn(0, 0, 30)[0, 1] > 0.4


def test_zero_pose_is_the_template(model):
    zero = torch.zeros(1, 3)
    posed = pose_head(model, torch.zeros(1, 100), torch.zeros(1, 50), zero, zero)
    torch.testing.assert_close(posed.verts[0], model.template, atol=1e-6, rtol=0)


def test_global_rotation_turns_the_result_about_the_root(model, head):
    still = head.replace(rotation_radians=torch.zeros(2, 3))
    joints = model.joint_regressor @ pose_head(model, head.identity, head.expression, torch.zeros(2, 3), torch.zeros(2, 3)).verts
    root = joints[:, :1]
    turned = (pose(still, model).verts - root) @ rotations.matrix_from_axis_angle(head.rotation_radians).mT + root
    torch.testing.assert_close(pose(head, model).verts, turned, atol=1e-5, rtol=0)


def test_batch_is_loop(model, head):
    whole = render(head, model, 96, 64)
    for i in range(2):
        one = render(head.replace(**{k: v[i:i + 1] for k, v in vars(head).items() if torch.is_tensor(v)}), model, 96, 64)
        torch.testing.assert_close(whole.hint().maps[i], one.hint().maps[0], **ROUNDING)
        torch.testing.assert_close(whole.landmarks[i], one.landmarks[0], atol=1e-3, rtol=0)


def test_gradients_flow_to_every_code(model):
    codes = [torch.full((1, n), 0.1, requires_grad=True) for n in (100, 50, 3, 3)]
    pose_head(model, *codes).landmarks2d.square().sum().backward()
    assert all(code.grad is not None and bool(code.grad.abs().sum() > 0) for code in codes)


def test_landmark_model_has_the_same_landmarks(model, head):
    small = landmark_model(model)
    full, less = (pose_head(m, head.identity, head.expression, head.rotation_radians, head.jaw_radians) for m in (model, small))
    torch.testing.assert_close(less.landmarks2d, full.landmarks2d, atol=1e-6, rtol=0)
    torch.testing.assert_close(less.landmarks3d, full.landmarks3d, atol=1e-6, rtol=0)


@settings(max_examples=25, deadline=None)
@given(yaw=st.floats(-60, 60), pitch=st.floats(-20, 20), roll=st.floats(-60, 60), x=st.floats(-0.5, 0.5), y=st.floats(-0.5, 0.5),
       scale=st.floats(0.3, 3), jaw=st.floats(-10, 20))
def test_an_edit_and_its_inverse_cancel(model, yaw, pitch, roll, x, y, scale, jaw):
    head = new_head(model, 320, 240).replace(rotation_radians=torch.tensor([[0.1, 0.4, -0.2]]))
    there = edit_head(head, model, Edit(yaw, pitch, roll, x, y, scale, jaw))
    back = edit_head(there, model, Edit(-yaw, -pitch, -roll, -x, -y, 1 / scale, -jaw))
    for name in ("rotation_radians", "jaw_radians", "expression"):
        torch.testing.assert_close(getattr(back, name), getattr(head, name), atol=2e-4, rtol=0)
    torch.testing.assert_close(back.crop_to_picture, head.crop_to_picture, atol=2e-3, rtol=1e-4)      # pixels


def test_no_edit_changes_nothing(model, head):
    same = edit_head(head, model, Edit())
    assert torch.equal(same.rotation_radians, head.rotation_radians)
    torch.testing.assert_close(same.crop_to_picture, head.crop_to_picture, **ROUNDING)


def test_add_turns_on_the_spot_and_moves_by_the_shorter_side(model, head):
    moved = edit_head(head, model, Edit(yaw_degrees=40, x=0.25, y=-0.5))
    torch.testing.assert_close(pivot(moved, model) - pivot(head, model), torch.tensor([[60.0, -120.0]] * 2), atol=1e-3, rtol=0)


def test_set_places_and_poses_exactly(model, head):
    made = edit_head(head, model, Edit(yaw_degrees=20, pitch_degrees=-10, x=0.1, scale=0.5, jaw_degrees=10), "set")
    torch.testing.assert_close(pivot(made, model), torch.tensor([[184.0, 120.0]] * 2), atol=1e-3, rtol=0)
    torch.testing.assert_close(scale_of(made), torch.tensor([0.5, 0.5]), **ROUNDING)
    angles = torch.stack(rotations.yaw_pitch_roll_from_matrix(rotations.matrix_from_axis_angle(made.rotation_radians)))
    torch.testing.assert_close(angles[:, 0], torch.tensor([20.0, -10.0, 0.0]), atol=1e-3, rtol=0)
    assert bool((made.expression == 0).all())
    torch.testing.assert_close(made.jaw_radians[:, 0], torch.full((2,), math.radians(10)))


def test_moving_the_head_moves_the_picture(model, head):
    shifted = edit_head(head, model, Edit(x=16 / 64, y=8 / 64))
    first, second = (render(camera.reframe(h, 96, 64), model, 96, 64).mask for h in (head, shifted))
    same = first[:, :-8, :-16] == second[:, 8:, 16:]
    assert float(same.float().mean()) > 0.999            # pixel centres within rounding of an edge


def test_twice_the_size_pooled_is_about_the_same(model, head):
    small, large = render(head, model, 80, 60), render(head, model, 160, 120)
    pooled = torch.nn.functional.avg_pool2d(large.normal, 2)
    inside = torch.nn.functional.max_pool2d(-small.mask, 3, 1, 1) < -0.5
    assert float((pooled - small.normal).abs().movedim(1, -1)[inside].mean()) < 0.05


@pytest.mark.parametrize("mode", range(9))
def test_transfer_is_golden(golden, head_of, model, mode):
    data = golden("face_modes_procedural")
    info = json.loads((GOLDEN / "face.json").read_text())["files"]["face_modes_procedural.npz"]["settings"]
    words = info[f"mode{mode}"]
    parts = {key: {k.split("/")[1]: v for k, v in data.items() if k.startswith(key + "/")}
             for key in ("reference", "driving", f"mode{mode}")}
    for photo in ("reference", "driving"):
        parts[photo]["decode_tform"] = np.linalg.inv(parts[photo]["crop_tform"]).T[None].astype(np.float32)
    source, target = (head_of(parts[photo], model, 128) for photo in ("reference", "driving"))
    every = words == "all"
    mixed = transfer(source, target, *(every or word in words for word in ("position", "pose", "expression", "lighting")))
    wanted = parts[f"mode{mode}"]
    for ours, theirs in (("camera", "cam"), ("expression", "exp"), ("light", "light"), ("identity", "shape"), ("texture", "tex")):
        assert torch.equal(getattr(mixed, ours), tensor(wanted[theirs])), ours
    assert torch.equal(torch.cat([mixed.rotation_radians, mixed.jaw_radians], 1), tensor(wanted["pose"]))
    torch.testing.assert_close(mixed.crop_to_picture, tensor(wanted["tform"]), atol=1e-4, rtol=1e-5)
    drawn = render(mixed, model, 128, 128)
    np.testing.assert_allclose(drawn.landmarks[0].numpy() / 64 - 1, wanted["landmarks2d"], atol=2e-5)
    close = np.abs(drawn.hint().maps[0].numpy() - wanted["hint"].astype(np.float32)) < 2e-3      # half precision storage
    assert close.mean() > 0.998                                                                   # edge pixels may differ


def test_blend_takes_the_shortest_arc_and_meets_its_ends(model):
    first = new_head(model, 200, 200).replace(rotation_radians=torch.tensor([[0.0, 3.0, 0.0]]))
    last = edit_head(first, model, Edit(scale=2.0, x=0.2)).replace(rotation_radians=torch.tensor([[0.0, -3.0, 0.0]]))
    frames = blend(first, last, 5)
    assert float(frames.rotation_radians[2].abs().max()) == pytest.approx(math.pi, abs=1e-3)     # through the back, not the front
    for i, end in ((0, first), (-1, last)):
        torch.testing.assert_close(frames.crop_to_picture[i], end.crop_to_picture[0], atol=1e-3, rtol=1e-4)
    sizes = scale_of(frames)
    torch.testing.assert_close(sizes[1:] / sizes[:-1], torch.full((4,), 2 ** 0.25), atol=1e-3, rtol=0)


def test_save_and_load_are_exact_and_name_the_model(tmp_path, model, head):
    save_head(head, tmp_path / "a.head.safetensors")
    save_head(head, tmp_path / "b.head.safetensors")
    assert (tmp_path / "a.head.safetensors").read_bytes() == (tmp_path / "b.head.safetensors").read_bytes()
    again = load_head(tmp_path / "a.head.safetensors")
    for name, value in vars(head).items():
        assert torch.equal(getattr(again, name), value) if torch.is_tensor(value) else getattr(again, name) == value
    with pytest.raises(InputError, match="must be drawn with the head model it was made with"):
        render(again.replace(model_fingerprint="other"), model, 64, 64)


def test_a_broken_head_file_is_refused(tmp_path, head):
    path = tmp_path / "x.head.safetensors"
    save_head(head, path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"x\.head\.safetensors"):
        load_head(path)


@pytest.mark.parametrize("count", [5, 68])
def test_fit_finds_the_pose_of_its_own_landmarks(model, head, count):
    points = render(head, model, head.width, head.height).landmarks
    given_points = points if count == 68 else five_from_68(points)
    faces = tuple((Face(torch.cat([p.amin(0), p.amax(0)]), 1.0, **{f"points{count}": q}),)
                  for p, q in zip(points, given_points, strict=True))
    fitted = fit_faces(Faces(faces, head.width, head.height), model)
    found = render(fitted, model, head.width, head.height).landmarks
    eyes = (five_from_68(points)[:, 0] - five_from_68(points)[:, 1]).norm(dim=-1)
    seen = found if count == 68 else five_from_68(found)
    error = ((seen - given_points).norm(dim=-1).mean(1) / eyes).max()
    assert float(error) < 0.05
    step = rotations.matrix_from_axis_angle(fitted.rotation_radians).mT @ rotations.matrix_from_axis_angle(head.rotation_radians)
    assert float(rotations.axis_angle_from_matrix(step).norm(dim=-1).max()) < (0.12 if count == 68 else 0.3)


def test_fit_keeps_places_and_refuses_crowds(model):
    points = five_from_68(render(new_head(model, 100, 100), model, 100, 100).landmarks)[0]
    face = Face(torch.tensor([20.0, 20.0, 80.0, 80.0]), 1.0, points5=points)
    fitted = fit_faces(Faces(((face,), (), (face,)), 100, 100), model)
    assert fitted.present.tolist() == [True, False, True]
    assert float(render(fitted, model, 64, 64).mask.sum((1, 2))[1]) == 0
    with pytest.raises(InputError, match=r"photo 1 must have one face .* but got 2 faces"):
        fit_faces(Faces(((face, face),), 100, 100), model)


def test_original_files_are_found_by_content_and_chumpy_gives_the_same_model(flame_folder, model):
    chumpy = load_flame(find_flame_files(flame_folder / "generic_model_chumpy.pkl", []))
    assert chumpy.fingerprint == model.fingerprint
    with pytest.raises(InputError, match=r"must have landmark_embedding\.npy beside it"):
        find_flame_files(Path("nowhere") / "generic_model.pkl", [])
    assert FlameFiles(flame_folder, flame_folder, flame_folder).texture is None


@pytest.mark.parametrize("change", [{"identity": float("nan")}, {"camera": float("inf")}])
def test_numbers_that_are_not_finite_are_refused(model, head, change):
    name, value = next(iter(change.items()))
    with pytest.raises(InputError, match="must be finite numbers"):
        render(head.replace(**{name: getattr(head, name) * value}), model, 64, 64)


@pytest.mark.parametrize("size", [(16, 16), (33, 47)])
def test_odd_sizes_and_extreme_poses_draw(model, head, size):
    for turn in ([0.0, math.pi, 0.0], [math.pi / 2, 0.0, 0.0]):
        drawn = render(head.replace(rotation_radians=torch.tensor([turn] * 2)), model, *size)
        assert bool(drawn.hint().maps.isfinite().all())
        assert float(drawn.mask.sum()) > 0


def test_edit_names_what_is_wrong(model, head):
    with pytest.raises(InputError, match="scale must be greater than 0"):
        edit_head(head, model, Edit(scale=0))
    with pytest.raises(InputError, match="yaw_degrees must be a finite number"):
        edit_head(head, model, Edit(yaw_degrees=float("nan")))
    with pytest.raises(InputError, match="smile must be a finite number, but got inf"):
        edit_head(head, model, Edit(expressions={"smile": float("inf")}))
    with pytest.raises(InputError, match="expression 'wink' must be a known name, but got 'wink': use one of smile, frown, "):
        edit_head(head, model, Edit(expressions={"wink": 1.0}))
    with pytest.raises(InputError, match="mode must be add or set, but got 'wobble'"):
        edit_head(head, model, Edit(), "wobble")


def test_bfm_albedo_is_read_in_its_own_units(tmp_path, flame_folder, model):
    for path in flame_folder.iterdir():
        if path.suffix != ".npz":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    generator = np.random.default_rng(0)
    mean, basis = generator.random((512, 512, 3), np.float32), generator.random((512, 512, 3, 4), np.float32)
    np.savez(tmp_path / "albedoModel2020_FLAME_albedoPart.npz", MU=mean, PC=basis, specMU=mean)
    made = load_flame(find_flame_files(tmp_path / "generic_model.pkl", []))
    np.testing.assert_array_equal(made.texture_mean.numpy(), mean[::2, ::2, ::-1].transpose(2, 0, 1))      # red first, 0..1
    assert made.texture_basis.shape == (4, 3, 256, 256)
    assert made.fingerprint != model.fingerprint
