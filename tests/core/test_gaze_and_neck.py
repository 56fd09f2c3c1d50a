"""Where the eyes look and how the bust stays behind: which eye, which way in the picture, and what must not move."""
from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.files.weights import write_safetensors
from caphuman_core.flow import LATER, Head
from caphuman_core.head import camera
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.gaze import eyes_of, gaze_after
from caphuman_core.head.edit.sequence import smooth
from caphuman_core.head.edit.transfer import blend, transfer
from caphuman_core.head.model.flame_files import load_flame
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.model.landmarks import contour_rows
from caphuman_core.head.model.lids import lid_shift
from caphuman_core.head.model.posing import eye_rotations, pose_head, split_turn
from caphuman_core.head.new import new_head
from caphuman_core.head.rotations import matrix_from_axis_angle
from caphuman_core.head.storage import load_head, save_head
from caphuman_core.render.maps import pose, raster_vertices, render
from caphuman_core.render.raster import rasterize

LEFT, RIGHT = 0, 1           # eyes of `gaze_radians`: the person's own
SIDE = 384


@pytest.fixture(scope="module", params=["built-in", "FLAME's format"])
def model(request, flame_files):
    return load_builtin() if request.param == "built-in" else load_flame(flame_files)


def iris(head, model, eye):
    """The middle of what the eyeball has in dark, picture pixels: the iris and its pupil."""
    joint = 3 + eye
    seen = rasterize(raster_vertices(head, pose(head, model).verts), model.faces, SIDE, SIDE)
    ball = (model.skinning[model.faces, joint] > 0.5).all(-1)[seen.face]
    albedo = render(head, model, SIDE, SIDE).albedo[0].flatten(1)[:, seen.pixel[ball]].mean(0)
    dark = seen.pixel[ball][albedo < albedo.quantile(0.25)]
    return torch.stack([dark % SIDE, dark // SIDE]).double().mean(1)


@pytest.fixture(scope="module")
def close():
    """The built-in head, its eyes large in the picture, and where each iris is when it looks straight ahead."""
    model = load_builtin()
    head = edit_head(new_head(model, SIDE, SIDE), model, Edit(scale=3.0))
    return model, head, [iris(head, model, eye) for eye in (LEFT, RIGHT)]


@pytest.mark.parametrize(("edit", "left", "right"), [
    (Edit(gaze_yaw_degrees=15.0), (1, 0), (1, 0)), (Edit(gaze_yaw_degrees=-15.0), (-1, 0), (-1, 0)),
    (Edit(gaze_pitch_degrees=10.0), (0, -1), (0, -1)), (Edit(gaze_pitch_degrees=-10.0), (0, 1), (0, 1)),
    (Edit(gaze_convergence_degrees=15.0), (-1, 0), (1, 0))])
def test_the_iris_goes_where_the_angles_say(close, edit, left, right):
    """Pixels: right and down are positive; the person's left eye is on the picture's right, and converges to the left."""
    model, head, straight = close
    looking = edit_head(head, model, edit)
    for eye, way in ((LEFT, left), (RIGHT, right)):
        moved = (iris(looking, model, eye) - straight[eye]).tolist()
        for along, sign in zip(moved, way, strict=True):
            assert along * sign > 1.5 if sign else abs(along) < 1.5, (eye, moved)


def rigid(model):
    """The same head in five stiff parts, each of which belongs to one joint: what is near an eye's joint to that eye."""
    joints = model.joint_regressor @ model.template
    part = model.skinning[:, :3].argmax(1)
    for eye in (LEFT, RIGHT):
        part[(model.template - joints[3 + eye]).norm(dim=-1) < 0.016] = 3 + eye
    return replace(model, skinning=torch.nn.functional.one_hot(part, 5).float(), pose_basis=torch.zeros_like(model.pose_basis))


def part_of(model, joint):
    vertices = model.skinning[:, joint] == 1
    assert vertices.sum() >= 5
    return vertices


@pytest.mark.parametrize(("yaw", "pitch"), [(0.4, 0.0), (0.0, 0.3), (-0.2, -0.1)])
def test_each_eyeball_turns_about_its_own_joint(model, yaw, pitch):
    """Positive yaw: what is in front (z) goes to the person's left (x); positive pitch: up (y). The other eye keeps still."""
    stiff = rigid(model)
    joints = stiff.joint_regressor @ stiff.template
    head = new_head(stiff, 64, 64)
    for eye, other in ((LEFT, RIGHT), (RIGHT, LEFT)):
        gaze = torch.zeros(1, 2, 2)
        gaze[0, eye] = torch.tensor([yaw, pitch])
        x, y, z = (stiff.template[part_of(stiff, 3 + eye)] - joints[3 + eye]).T
        y, z = y * math.cos(pitch) + z * math.sin(pitch), z * math.cos(pitch) - y * math.sin(pitch)
        expected = torch.stack([x * math.cos(yaw) + z * math.sin(yaw), y, z * math.cos(yaw) - x * math.sin(yaw)], 1)
        verts = pose(head.replace(gaze_radians=gaze), stiff).verts[0]
        torch.testing.assert_close(verts[part_of(stiff, 3 + eye)] - joints[3 + eye], expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(verts[part_of(stiff, 3 + other)], stiff.template[part_of(stiff, 3 + other)])


def test_flame_s_correctives_of_the_eyes_are_used(flame_files):
    """Rows 18 to 26 of the pose directions, each times an entry of (rotation - identity) of the left eye."""
    model = load_flame(flame_files)
    head = new_head(model, 64, 64).replace(gaze_radians=torch.tensor([[[0.3, 0.1], [0.0, 0.0]]]))
    still = replace(model, skinning=torch.nn.functional.one_hot(torch.zeros(len(model.template), dtype=torch.long), 5).float())
    rows = (eye_rotations(head.gaze_radians)[0, 0] - torch.eye(3)).flatten()
    expected = model.template + torch.einsum("k,kvc->vc", rows, model.pose_basis[18:27])
    torch.testing.assert_close(pose(head, still).verts[0], expected, atol=1e-7, rtol=0)


def test_the_built_in_lids_follow_and_the_eyeballs_do_not_swell():
    model = load_builtin()
    head = new_head(model, 64, 64)
    down = edit_head(head, model, Edit(gaze_pitch_degrees=-30.0))
    moved = (pose(down, model).verts - pose(head, model).verts)[0]
    lids = (model.skinning[:, 3:].sum(1) == 0)
    assert moved[lids, 1].min() < -2e-3, "the upper lids come down"
    assert moved[lids, 1].max() < 2e-3
    assert moved[lids & (model.template[:, 1] < -0.02)].abs().max() == 0, "mouth and neck stay"


# --- the neck

def turned(model, share, **edit):
    return edit_head(new_head(model, SIDE, SIDE), model, Edit(neck_share=share, **edit))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("yaw", [40.0, -70.0, 90.0])
def test_the_bust_turns_by_what_the_neck_leaves_and_the_face_by_all(model, share, yaw):
    stiff = rigid(model)
    head, still = (turned(stiff, given, yaw_degrees=yaw) for given in (share, 0.0))
    verts = pose(head, stiff).verts[0]
    for joint, degrees in ((0, (1 - share) * yaw), (1, yaw), (2, yaw), (3, yaw)):
        x, y, z = _centred(stiff.template[part_of(stiff, joint)]).T
        angle = math.radians(degrees)
        expected = torch.stack([x * math.cos(angle) + z * math.sin(angle), y, z * math.cos(angle) - x * math.sin(angle)], 1)
        torch.testing.assert_close(_centred(verts[part_of(stiff, joint)]), expected, atol=1e-5, rtol=0)
    face = stiff.skinning[:, 0] == 0
    torch.testing.assert_close(verts[face], pose(still, stiff).verts[0, face], atol=1e-6, rtol=0)


def _centred(points):
    return points - points.mean(0)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_face_stays_where_it_is_whatever_the_share(share):
    """To the pixel: 51 inner landmarks, the pivot's picture and the normals of the face; only what hangs on the root moves."""
    model = load_builtin()
    edit = {"yaw_degrees": 45.0, "pitch_degrees": 12.0, "roll_degrees": -10.0, "x": 0.1, "scale": 0.9}
    still, moved = turned(model, 0.0, **edit), turned(model, share, **edit)
    assert torch.equal(still.rotation_radians, moved.rotation_radians)
    assert torch.equal(still.crop_to_picture, moved.crop_to_picture)
    a, b = render(still, model, SIDE, SIDE), render(moved, model, SIDE, SIDE)
    torch.testing.assert_close(b.landmarks[:, 17:], a.landmarks[:, 17:], atol=0.05, rtol=0)
    left, top = a.landmarks[0, 17:].amin(0).long().tolist()
    right, bottom = a.landmarks[0, 17:].amax(0).long().tolist()
    face = (slice(None), slice(None), slice(top, bottom), slice(left, right))
    assert (a.normal[face] - b.normal[face]).abs().mean() < 2e-3
    assert (a.mask - b.mask).abs().sum() > 200, "the bust's outline is another"


def test_flame_s_correctives_of_the_neck_are_used(flame_files):
    model = load_flame(flame_files)
    still = replace(model, skinning=torch.nn.functional.one_hot(torch.ones(len(model.template), dtype=torch.long), 5).float())
    head = turned(model, 0.5, yaw_degrees=60.0)
    rows = (matrix_from_axis_angle(head.rotation_radians[0] / 2) - torch.eye(3)).flatten()
    joints = model.joint_regressor @ model.template
    bent = model.template + torch.einsum("k,kvc->vc", rows, model.pose_basis[:9])
    expected = (bent - joints[0]) @ matrix_from_axis_angle(head.rotation_radians[0]).T + joints[0]
    torch.testing.assert_close(pose(head, still).verts[0], expected, atol=1e-6, rtol=0)


def test_root_and_neck_make_the_whole_turn():
    turn = torch.tensor([[0.3, -1.1, 0.2], [0.0, 0.5, 0.0], [0.0, 2.5, 0.0], [0.0, 0.0, 0.0]])
    root, neck = split_turn(turn, torch.tensor([0.25, 1.0, 0.5, 0.5]))
    torch.testing.assert_close(matrix_from_axis_angle(root) @ matrix_from_axis_angle(neck), matrix_from_axis_angle(turn))
    assert root[1].abs().max() == 0, "share 1 up to 90 degrees: the bust stays"


def test_nothing_jumps_where_left_and_right_meet_behind():
    just = math.pi - 1e-3
    roots = [split_turn(torch.tensor([[0.0, way * just, 0.0]]), torch.tensor([0.5]))[0] for way in (1.0, -1.0)]
    one, other = (matrix_from_axis_angle(root) for root in roots)
    torch.testing.assert_close(one, other, atol=5e-3, rtol=0)


# --- neutral

def test_neutral_gaze_and_neck_change_no_bit(model):
    generator = torch.Generator().manual_seed(3)
    head = edit_head(new_head(model, SIDE, SIDE), model, Edit(yaw_degrees=33.0, roll_degrees=4.0, jaw_degrees=5.0))
    head = head.replace(identity=torch.randn(head.identity.shape, generator=generator) * 0.4)
    codes = head.identity, head.expression, head.rotation_radians, head.jaw_radians
    plain, told = pose_head(model, *codes), pose_head(model, *codes, torch.zeros(1, 2, 2), torch.zeros(1))
    for one, other in zip(vars(plain).values(), vars(told).values(), strict=True):
        assert torch.equal(one, other)
    same = edit_head(head, model, Edit())
    names = (*LATER, "rotation_radians", "identity", "texture")
    assert all(torch.equal(getattr(same, name), getattr(head, name)) for name in names)


# --- edits

def test_add_goes_on_top_and_set_replaces(model):
    head = edit_head(new_head(model, 64, 64), model, Edit(gaze_yaw_degrees=10.0, gaze_pitch_degrees=4.0, neck_share=0.7))
    more = Edit(gaze_yaw_degrees=-3.0, gaze_convergence_degrees=2.0, neck_share=0.5)
    added, put = (torch.rad2deg(edit_head(head, model, more, mode).gaze_radians)[0] for mode in ("add", "set"))
    torch.testing.assert_close(added, torch.tensor([[5.0, 4.0], [9.0, 4.0]]))
    torch.testing.assert_close(put, torch.tensor([[-5.0, 0.0], [-1.0, 0.0]]))
    assert edit_head(head, model, more, "add").neck_share.tolist() == [1.0], "there is no more than all of it"
    assert edit_head(head, model, more, "set").neck_share.tolist() == [0.5]


@pytest.mark.parametrize("share", [-0.1, 1.01, math.nan])
def test_a_share_is_from_0_to_1(model, share):
    with pytest.raises(InputError, match="neck_share must be"):
        edit_head(new_head(model, 8, 8), model, Edit(neck_share=share))


@pytest.mark.parametrize("mode", ["add", "set"])
def test_shape_and_texture_numbers_go_on_top_in_either_mode(model, mode):
    fitted = new_head(model, 64, 64)
    fitted = fitted.replace(identity=fitted.identity + 0.5, texture=fitted.texture - 0.25)
    edited = edit_head(fitted, model, Edit(shape=(0.0, 1.5), texture=(-1.0,)), mode)
    assert edited.identity[0, :3].tolist() == [0.5, 2.0, 0.5]
    assert edited.texture[0, 0] == -1.25
    assert torch.equal(edited.texture[:, 1:], fitted.texture[:, 1:])
    middle = (edited.crop_to_picture, fitted.crop_to_picture)
    if mode == "add":
        assert (middle[0] - middle[1]).abs().max() < 0.5 * SIDE, "it stays about its place"


def test_a_short_code_is_continued_and_a_missing_direction_refused(model):
    head = new_head(model, 64, 64)
    short = head.replace(identity=head.identity[:, :1])
    assert edit_head(short, model, Edit(shape=(0.0, 0.0, 2.0))).identity.tolist() == [[0.0, 0.0, 2.0]]
    count = model.texture_basis.shape[0]
    with pytest.raises(InputError, match=f"texture_{count + 1} must be 0 for a head model with {count} texture directions"):
        edit_head(head, model, Edit(texture=(*[0.0] * count, 1.0)))


def test_a_new_shape_keeps_the_head_in_its_place():
    from caphuman_core.head.pivot import pivot
    model = load_builtin()
    head = edit_head(new_head(model, 200, 100), model, Edit(x=0.1, y=-0.2, scale=0.7))
    wider = edit_head(head, model, Edit(shape=(3.0, 3.0, 3.0)))
    torch.testing.assert_close(pivot(wider, model), pivot(head, model), atol=1e-3, rtol=0)


# --- what handles heads

def looking(model, gaze=0.2, share=0.6):
    return new_head(model, 64, 48).replace(gaze_radians=torch.full((1, 2, 2), gaze), neck_share=torch.tensor([share]))


def test_sequences_go_from_gaze_to_gaze(model):
    heads = blend(looking(model, 0.0, 0.0), looking(model, 0.4, 1.0), 5)
    torch.testing.assert_close(heads.gaze_radians[:, 0, 0], torch.linspace(0, 0.4, 5))
    torch.testing.assert_close(heads.neck_share, torch.linspace(0, 1, 5))
    steadied = smooth(heads, model, 0.5, 10.0)
    assert steadied.gaze_radians[2, 1, 1] == pytest.approx(0.2, abs=1e-3)
    assert steadied.gaze_radians[0, 0, 0] > 0.01, "jitter is averaged"
    assert steadied.neck_share[0] > 0.02


def test_gaze_goes_with_the_expression_and_the_neck_with_the_pose(model):
    source, target = new_head(model, 64, 48), looking(model)
    assert transfer(source, target, False, False, True, False).gaze_radians.flatten().tolist() == pytest.approx([0.2] * 4)
    assert not transfer(source, target, False, False, True, False).neck_share.any()
    posed = transfer(source, target, True, True, False, True)
    assert posed.neck_share.tolist() == pytest.approx([0.6])
    assert not posed.gaze_radians.any()


def test_batches_carry_gaze_and_neck(model):
    stacked = Head.stack([looking(model, 0.1, 0.2), looking(model, 0.3, 0.4)])
    assert stacked[1].gaze_radians.shape == (1, 2, 2)
    assert stacked[1].neck_share.tolist() == pytest.approx([0.4])
    assert looking(model).expand(3).gaze_radians.shape == (3, 2, 2)
    framed = camera.reframe(looking(model), 128, 128)
    assert torch.equal(framed.gaze_radians, looking(model).gaze_radians)


def test_files_keep_them_and_older_files_look_straight_ahead(model, tmp_path):
    path = tmp_path / "a.head.safetensors"
    save_head(looking(model), path)
    again = load_head(path)
    assert torch.equal(again.gaze_radians, looking(model).gaze_radians)
    assert torch.equal(again.neck_share, looking(model).neck_share)
    save_head(new_head(model, 64, 48), path)
    from safetensors.torch import load_file
    assert not set(load_file(path)) & set(LATER), "what says nothing is not written: older versions of the pack read the file"
    old = load_head(path)
    assert old.gaze_radians.shape == (1, 2, 2)
    assert not old.gaze_radians.any()
    assert old.neck_share.tolist() == [0.0]


def test_a_file_with_more_than_all_of_the_neck_is_refused(model, tmp_path):
    path = tmp_path / "a.head.safetensors"
    save_head(looking(model, share=1.5), path)
    with pytest.raises(InputError, match="must hold shares of the neck from 0 to 1"):
        load_head(path)


def test_a_file_whose_gaze_does_not_fit_is_refused(model, tmp_path):
    path = tmp_path / "a.head.safetensors"
    save_head(looking(model).replace(gaze_radians=torch.ones(1, 3, 2)), path)
    with pytest.raises(InputError, match="a mismatch in gaze_radians"):
        load_head(path)


# --- by hand

@pytest.mark.parametrize(("degrees", "by_neck"), [(30.0, 0.4), (90.0, 0.4), (120.0, 0.2), (180.0, 0.0)])
def test_the_neck_has_its_share_as_far_as_90_degrees_and_none_behind(degrees, by_neck):
    turn = torch.tensor([[0.0, math.radians(degrees), 0.0]])
    root, neck = split_turn(turn, torch.tensor([0.4]))
    torch.testing.assert_close(neck, turn * by_neck, atol=1e-5, rtol=0)
    torch.testing.assert_close(root + neck, turn)
    still, none = split_turn(torch.zeros(1, 3), torch.tensor([1.0]))
    assert float(still.abs().max()) == float(none.abs().max()) == 0


def test_eyes_turn_like_heads_and_converge_towards_the_nose():
    turned = eye_rotations(torch.tensor([[0.2, 0.1]]))[0] @ torch.tensor([0.0, 0.0, 1.0])
    wanted = [math.sin(0.2) * math.cos(0.1), math.sin(0.1), math.cos(0.2) * math.cos(0.1)]
    assert turned.tolist() == pytest.approx(wanted, abs=1e-6)
    eyes = torch.rad2deg(eyes_of(10.0, 5.0, 3.0))
    torch.testing.assert_close(eyes, torch.tensor([[7.0, 5.0], [13.0, 5.0]]))
    before = torch.full((2, 2, 2), 0.1)
    torch.testing.assert_close(gaze_after(before, (0.0, 0.0, 0.0), "add"), before)
    assert float(gaze_after(before, (0.0, 0.0, 0.0), "set").abs().max()) == 0


@pytest.mark.parametrize(("gaze", "actions"), [
    ((0, 1, 0.125), {"eyeLookUpLeft": 0.5}), ((1, 1, -0.275), {"eyeLookDownRight": 0.5}), ((0, 0, 0.25), {"eyeLookOutLeft": 0.5}),
    ((0, 0, -0.25), {"eyeLookInLeft": 0.5}), ((1, 0, 0.25), {"eyeLookInRight": 0.5}), ((1, 0, -0.25), {"eyeLookOutRight": 0.5})])
def test_lids_follow_by_the_action_of_their_eye_and_way(gaze, actions):
    """The left eye's gaze to the picture's right (yaw positive) is outwards, the right eye's inwards."""
    model = load_builtin()
    looking = torch.zeros(1, 2, 2)
    looking[0, gaze[0], gaze[1]] = gaze[2]
    code = torch.zeros(len(model.expression_names))
    for name, amount in actions.items():
        code[model.expression_names.index(name)] = amount
    wanted = torch.einsum("k,kvc->vc", code, model.expression_basis) * (1 - model.skinning[:, 3:].sum(1))[:, None]
    torch.testing.assert_close(lid_shift(model, looking)[0], wanted, atol=1e-7, rtol=0)
    nameless = lid_shift(replace(model, expression_names=()), looking)
    assert (nameless.shape, float(nameless.abs().max())) == ((1, 1, 3), 0)


@pytest.mark.parametrize(("yaw", "row"), [(0, 0), (1, 1), (38.6, 39), (39, 39), (80, 39), (-1, 40), (-38.6, 78), (-39, 78), (-80,
                                                                                                                             78),
                                          (0.4, 0),
                                          (-0.6, 40)])
def test_the_contour_s_row_is_the_yaw_in_whole_degrees(yaw, row):
    turn = matrix_from_axis_angle(torch.tensor([[0.0, math.radians(yaw), 0.0]]))
    assert contour_rows(turn).tolist() == [row]


def test_a_code_has_at_most_the_model_s_numbers():
    model = load_builtin()
    zero = torch.zeros(1, 3)
    for name, size in (("identity", len(model.identity_basis)), ("expression", len(model.expression_basis))):
        codes = {"identity": torch.zeros(1, 1), "expression": torch.zeros(1, 1), name: torch.zeros(1, size)}
        assert pose_head(model, codes["identity"], codes["expression"], zero, zero).verts.shape[0] == 1
        codes[name] = torch.zeros(1, size + 1)
        with pytest.raises(InputError, match=f"{name} code must have at most {size} numbers, but got {size + 1}: use a head"):
            pose_head(model, codes["identity"], codes["expression"], zero, zero)


@pytest.mark.parametrize(("change", "words"), [
    ({"texture": torch.zeros(1, 1001)}, "a mismatch in texture: save the head again"), ({"identity": torch.zeros(2, 5)},
                                                                                        "a mismatch in identity"),
    ({"expression": torch.zeros(5)}, "a mismatch in expression"), ({"light": torch.zeros(1, 9)}, "a mismatch in light"),
    ({"camera": torch.zeros(1, 4)}, "a mismatch in camera"), ({"neck_share": torch.tensor([-0.1])},
                                                              "from 0 to 1, but got others: save"),
    ({"present": torch.zeros(0, dtype=torch.bool)}, "a mismatch in "), ({"present": torch.ones(1, 1, dtype=torch.bool)},
                                                                        "a mismatch in ")])
def test_parts_of_a_head_file_fit_together(tmp_path, change, words):
    model, path = load_builtin(), tmp_path / "a.head.safetensors"
    head = new_head(model, 64, 48)
    tensors = {**head.stored(), **change}
    info = {"format": "caphuman-head-codes/1", "model_fingerprint": "f" * 70, "width": "64", "height": "131072"}
    write_safetensors(path, tensors, info)
    with pytest.raises(InputError, match=f"head file 'a.head.safetensors' must hold .*{words}"):
        load_head(path)
    write_safetensors(path, {**head.stored(), "texture": torch.zeros(1, 1000)}, info)
    loaded = load_head(path)
    assert (loaded.model_fingerprint, loaded.width, loaded.height) == ("f" * 64, 64, 131072)
    for size in ({"width": "0"}, {"height": "131073"}, {"width": "x"}):
        write_safetensors(path, head.stored(), {**info, **size})
        with pytest.raises(InputError, match=r"must say its picture size, up to 131072, but got '.*' x '.*': save the head again"):
            load_head(path)
