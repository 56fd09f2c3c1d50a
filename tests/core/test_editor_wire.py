"""What the head editor gets from the server: the same geometry as the nodes', in small messages, from finite numbers only."""
from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.flow import Head
from caphuman_core.head.camera import to_picture
from caphuman_core.head.edit import editor_wire
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.recipes import EXPRESSIONS
from caphuman_core.head.model.flame_files import load_flame
from caphuman_core.head.model.hair import hair_cap, posed_hair
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.model.posing import pose_head
from caphuman_core.head.model.reduced import rest_joints
from caphuman_core.head.model.texture import albedo_texture
from caphuman_core.head.new import new_head
from caphuman_core.head.pivot import pivot
from caphuman_core.head.rotations import matrix_from_axis_angle
from caphuman_core.render.maps import pose

MOST_BYTES = 80_000                      # of a vertices message, by the editor's promise


@pytest.fixture(scope="module", params=["built-in", "FLAME's format"])
def model(request, flame_files):
    return load_builtin() if request.param == "built-in" else load_flame(flame_files)


@pytest.fixture(scope="module")
def editor(model):
    return editor_wire.EditorModel(model)


@pytest.fixture(scope="module")
def head(model):
    generator = torch.Generator().manual_seed(5)
    fresh = new_head(model, 320, 200)

    def some(name, size):
        return torch.randn(getattr(fresh, name).shape, generator=generator) * size
    return fresh.replace(identity=some("identity", 0.6), expression=some("expression", 0.3), texture=some("texture", 0.4),
                         rotation_radians=torch.tensor([[0.1, -0.3, 0.05]]), jaw_radians=torch.tensor([[0.1, 0.02, 0.0]]))


def opened(message):
    length = int.from_bytes(message[:4], "little")
    assert length % 4 == 0, "arrays are aligned"
    return json.loads(message[4:4 + length]), message[4 + length:]


def asked(head, **edit):
    return {**editor_wire.head_json(head, "x"), **edit}


def vertices(editor, request):
    header, body = opened(editor_wire.vertices_message(editor, request))
    levels = np.frombuffer(body, "<u2").reshape(-1, 3)
    return header, torch.from_numpy(np.array(header["low"]) + np.array(header["step"]) * levels).float()


@pytest.mark.parametrize("mode", ["add", "set"])
def test_vertices_are_those_of_the_edited_head(editor, model, head, mode):
    amounts = {"smile": 0.7, "surprise": 0.4}
    header, verts = vertices(editor, asked(head, mode=mode, jaw_degrees=6.0, expressions=amounts))
    edited = edit_head(head, model, Edit(jaw_degrees=6.0, expressions=amounts), mode)
    upright = pose_head(model, edited.identity, edited.expression, torch.zeros(1, 3), edited.jaw_radians).verts[0]
    # half a step of 16 bits across a head of 0.4 m is 3 micrometres; float32 adds about 1e-7 m
    torch.testing.assert_close(verts, upright, atol=6e-6, rtol=0)
    turned = pose_head(model, edited.identity, edited.expression, head.rotation_radians, edited.jaw_radians).verts[0]
    root, rotation = torch.tensor(header["root"]), matrix_from_axis_angle(head.rotation_radians)[0]
    torch.testing.assert_close((verts - root) @ rotation.T + root, turned, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["add", "set"])
@pytest.mark.parametrize("neck", [0.0, 0.3])
def test_gaze_neck_and_shape_are_the_nodes(editor, model, head, mode, neck):
    """The vertices before the turn: the bust stands askew by what the neck turns, so that the turn brings it where it belongs."""
    head = head.replace(gaze_radians=torch.tensor([[[0.1, 0.05], [0.2, -0.05]]]), neck_share=torch.tensor([neck]))
    turn = {"yaw_degrees": 20.0, "pitch_degrees": 10.0, "roll_degrees": -5.0}
    gaze = {"gaze_yaw_degrees": -8.0, "gaze_pitch_degrees": 6.0, "gaze_convergence_degrees": 3.0}
    shape = (0.5, 0.0, -1.0)
    edited = edit_head(head, model, Edit(**turn, **gaze, shape=shape, neck_share=neck), mode)
    header, verts = vertices(editor, asked(head, mode=mode, turn=list(turn.values()), neck=neck, shape=list(shape), **gaze))
    posed = pose(edited, model)
    root, rotation = torch.tensor(header["root"]), matrix_from_axis_angle(edited.rotation_radians)[0]
    torch.testing.assert_close((verts - root) @ rotation.T + root, posed.verts[0], atol=1e-5, rtol=0)
    # points beside the jaw's contour are the same ones at every yaw
    brow = (torch.tensor(header["handles"]["brow_left"]) - root) @ rotation.T + root
    torch.testing.assert_close(brow, posed.landmarks2d[0, 24], atol=1e-5, rtol=0)
    for told, of in ((header, edited), (header["own"], head)):
        rest, pivot_root = torch.tensor(told["pivot"]), torch.tensor(told["pivot_root"])
        turned = matrix_from_axis_angle(of.rotation_radians)[0] @ (rest - pivot_root) + pivot_root
        torch.testing.assert_close(to_picture(of, turned[None, None])[0, 0, :2], pivot(of, model)[0], atol=1e-3, rtol=0)


def test_the_names_of_directions_are_the_models(model):
    header, _ = opened(editor_wire.mesh_message(model))
    assert len(header["shape_names"]) == min(10, len(model.identity_basis))
    assert header["shape_names"][:len(model.identity_names)] == list(model.identity_names[:10])
    named = replace(model, identity_names=("width",), texture_names=("tan", "red"))
    header, _ = opened(editor_wire.mesh_message(named))
    assert header["shape_names"][:2] == ["width", ""]
    assert header["texture_names"][:3] == ["tan", "red", ""]
    few = replace(model, texture_basis=model.texture_basis[:3], texture_names=("a", "b", "c", "d"))
    assert opened(editor_wire.mesh_message(few))[0]["texture_names"] == ["a", "b", "c"]


def test_a_message_is_small(editor, head):
    message = editor_wire.vertices_message(editor, asked(head, expressions=dict.fromkeys(EXPRESSIONS, 0.5)))
    assert len(message) < MOST_BYTES


def test_the_pivot_is_the_nodes_pivot(editor, model, head):
    header, _ = vertices(editor, asked(head))
    rest, root = torch.tensor(header["pivot"]), torch.tensor(header["pivot_root"])
    turned = (matrix_from_axis_angle(head.rotation_radians)[0] @ (rest - root) + root)[None, None]
    torch.testing.assert_close(to_picture(head, turned)[0, 0, :2], pivot(head, model)[0], atol=1e-3, rtol=0)


def test_the_mesh_is_the_models(model):
    header, body = opened(editor_wire.mesh_message(model))
    uvs = np.frombuffer(body, "<f4", header["uvs"] * 2).reshape(-1, 2)
    gloss = np.frombuffer(body, "<f4", header["vertices"], offset=uvs.nbytes)
    kind = "<u2" if header["index_bytes"] == 2 else "<u4"
    indices = np.frombuffer(body, kind, offset=uvs.nbytes + gloss.nbytes).reshape(2, -1, 3)
    assert header["fingerprint"] == model.fingerprint
    assert np.array_equal(gloss, model.gloss.numpy())
    assert np.array_equal(uvs, model.uvs.numpy())
    assert np.array_equal(indices[0], model.faces.numpy())
    assert np.array_equal(indices[1], model.uv_faces.numpy())


def test_hair_hangs_where_the_portrait_has_it(editor, model, head):
    """What the browser makes of a cap and of the skull's turn: the vertices that `posed_hair` has, before the head's rotation."""
    styles = opened(editor_wire.mesh_message(model))[0]["hair_styles"]
    assert styles == (["short", "curly", "long"] if model.name == "built-in" else [])
    turned = asked(head, turn=[30.0, 5.0, -10.0], neck=0.4, shape=[0.5, -1.0])
    told, verts = vertices(editor, turned)
    if model.name != "built-in":
        assert told["skull"] is None
        with pytest.raises(InputError, match="hair must be one of none on the head model 'FLAME'"):
            editor_wire.hair_message(model, "short")
        return
    header, body = opened(editor_wire.hair_message(model, "curly"))
    count, hung = header["vertices"], header["hung"]
    sizes = {"offset": ("<f4", 3), "place": ("<f4", 2), "weights": ("<f4", hung), "anchors": ("<u2", hung)}
    parts = {}
    for name, (kind, width) in sizes.items():
        parts[name] = torch.from_numpy(np.frombuffer(body, kind, count * width).reshape(count, width).astype(np.float32))
        body = body[parts[name].numel() * int(kind[-1]):]
    faces, along = np.frombuffer(body, "<u2", header["triangles"] * 3), np.frombuffer(body, "<u2", offset=header["triangles"] * 6)
    cap = hair_cap(model, "curly")
    assert np.array_equal(faces.reshape(-1, 3), cap.faces.numpy())
    assert np.array_equal(along, cap.along.numpy())
    torch.testing.assert_close(parts["place"], cap.place)
    placed = (verts[parts["anchors"].long()] * parts["weights"][..., None]).sum(1) + parts["offset"] @ torch.tensor(told["skull"]).T
    edit = Edit(yaw_degrees=30.0, pitch_degrees=5.0, roll_degrees=-10.0, neck_share=0.4, shape=(0.5, -1.0))
    edited = edit_head(head, model, edit)
    root, rotation = torch.tensor(told["root"]), matrix_from_axis_angle(edited.rotation_radians)[0]
    wanted = posed_hair(cap, model, pose(edited, model).verts)[0]
    torch.testing.assert_close((placed - root) @ rotation.T + root, wanted, atol=2e-5, rtol=0)
    for wrong in ("bald", "mullet", "", "../short"):
        with pytest.raises(InputError, match="hair must be one of"):
            editor_wire.hair_message(model, wrong)


def test_the_texture_is_the_heads(model, head):
    header, body = opened(editor_wire.texture_message(model, asked(head)))
    pixels = np.frombuffer(body, np.uint8).reshape(header["height"], header["width"], 3)
    wanted = albedo_texture(model, head.texture)[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    assert np.abs(pixels - wanted).max() <= 0.51                 # rounded to whole levels


@pytest.mark.parametrize("wrong", [
    {"identity": [math.nan]}, {"identity": [math.inf]}, {"identity": ["1"]}, {"identity": [True]}, {"identity": "abc"},
    {"identity": [0.0] * 5000}, {"expression": [[1.0]]}, {"jaw_radians": [0.0, 0.0]}, {"jaw_radians": [1e9, 0, 0]},
    {"jaw_degrees": math.nan}, {"jaw_degrees": None}, {"mode": "wobble"}, {"mode": None}, {"expressions": ["smile"]},
    {"expressions": {"smile": math.inf}}, {"expressions": {"smile": "1"}}, {"expressions": {"../../etc/passwd": 1.0}},
    {"identity": None}, {"expression": {"a": 1}}, {"gaze_radians": [[0.0, 0.0]]}, {"gaze_radians": [0.0, 0.0]},
    {"gaze_radians": [[0.0, 0.0], [math.nan, 0.0]]}, {"gaze_radians": "ab"}, {"gaze_yaw_degrees": math.inf}, {"neck": 1.5},
    {"neck": math.nan}, {"neck": 0.5, "turn": [1.0]}, {"neck": 0.5}, {"shape": [0.0] * 11}, {"shape": ["1"]},
])
def test_nonsense_is_refused_in_a_sentence(editor, head, wrong):
    with pytest.raises(InputError) as failure:
        editor_wire.vertices_message(editor, asked(head, **wrong))
    assert "\n" not in str(failure.value)
    assert len(str(failure.value)) < 500


@pytest.mark.parametrize("side", [0, -1, 9000, 1.5, "512", None, True, math.nan])
def test_picture_sizes_are_whole_and_bounded(side):
    with pytest.raises(InputError):
        editor_wire.picture_side("width", side)


# --- each refusal, each limit

@pytest.mark.parametrize(("wrong", "words"), [
    ({"expressions": ["smile"]}, "expressions must be names with amounts, but got list: send an object"),
    ({"expressions": {"x" * 50: 1.0}}, f"expressions must hold known names, but got '{'x' * 39}: use smile, frown"),
    ({"identity": "abc"}, r"identity must be a list of at most \d+ numbers, but got str: send the head as it came"),
    ({"jaw_radians": [0.0, 0.0]}, "jaw_radians must be a list of 3 numbers, but got 2 entries: send"),
    ({"gaze_radians": [[0.0, 0.0]]}, r"gaze_radians must be a list of 2 eyes, but got \[\[0.0, 0.0\]\]: send"),
    ({"gaze_radians": [[0.0], [0.0]]}, "gaze_radians must be a list of 2 numbers, but got 1 entries"),
    ({"neck": 1.1}, "neck must be from 0 to 1, but got 1.1: send"), ({"neck": -0.1}, "neck must be from 0 to 1"),
    ({"jaw_degrees": 1000.5}, "jaw_degrees must be a number within 1000, but got 1000.5: type a number"),
    ({"jaw_degrees": -1001}, "jaw_degrees must be a number within 1000"), ({"shape": [0.0] * 11},
                                                                           "shape must be a list of at most 10 numbers")])
def test_what_is_wrong_with_a_request_is_named(editor, head, wrong, words):
    with pytest.raises(InputError, match=words):
        editor_wire.vertices_message(editor, asked(head, **wrong))


def test_requests_may_go_to_the_ends_of_their_ranges(editor, head):
    assert editor_wire.number("x", 1000) == 1000.0
    assert editor_wire.number("x", -1e3) == -1000.0
    assert editor_wire.numbers({}, "x", 3).tolist() == []
    assert editor_wire.numbers({"x": [1, 2.5]}, "x", 2).tolist() == [1, 2.5]
    assert editor_wire.picture_side("width", 1) == 1
    assert editor_wire.picture_side("width", 8192) == 8192
    with pytest.raises(InputError, match="width must be from 1 to 8192 pixels, but got 8193: choose"):
        editor_wire.picture_side("width", 8193)
    still = vertices(editor, asked(head))[1]
    for given in ({"shape": [0.0] * 10}, {"expressions": {}}, {"neck": 0.0}, {"mode": "add"}):
        assert torch.equal(vertices(editor, asked(head, **given))[1], still)


def test_a_head_in_json_is_the_first_of_its_batch(head):
    two = Head.stack([head, head.replace(identity=head.identity + 1)])
    told = editor_wire.head_json(two, "mine")
    assert (told["model"], told["width"], told["height"], told["fingerprint"]) == ("mine", 320, 200, head.model_fingerprint)
    assert told["identity"] == head.identity[0].tolist()
    assert told["neck_share"] == 0.0
    assert set(told) == {"model", "fingerprint", "width", "height", "identity", "expression", "texture", "rotation_radians",
                         "jaw_radians",
                         "light", "camera", "crop_to_picture", "gaze_radians", "neck_share"}


def test_indices_have_two_bytes_up_to_65536_vertices(model):
    for count, width in ((65536, 2), (65537, 4)):
        for name in ("template", "uvs"):
            many = replace(model, **{name: torch.zeros(count, getattr(model, name).shape[1])})
            header, body = opened(editor_wire.mesh_message(many))
            assert header["index_bytes"] == width
            assert len(body) == header["uvs"] * 8 + len(model.gloss) * 4 + 2 * header["triangles"] * 3 * width
            assert header["vertices" if name == "template" else "uvs"] == count


def test_a_picture_s_sides_are_told_in_their_order(model):
    wide = replace(model, texture_mean=torch.zeros(3, 4, 6), texture_basis=torch.zeros(2, 3, 4, 6))
    header, body = opened(editor_wire.texture_message(wide, {"texture": [0.0]}))
    assert (header, len(body)) == ({"width": 6, "height": 4}, 72)


def test_handles_are_where_a_hand_takes_hold(editor, model, head):
    header, _ = vertices(editor, asked(head))
    points = pose_head(model, head.identity, head.expression, torch.zeros(1, 3), head.jaw_radians).landmarks2d[0]
    for name, places in {"mouth_right": [48], "mouth_left": [54], "brow_right": [19], "brow_left": [24], "lid_right": [37, 38],
                         "lid_left": [43, 44], "chin": [8]}.items():
        torch.testing.assert_close(torch.tensor(header["handles"][name]), points[places].mean(0), atol=1e-5, rtol=0)
    joints = rest_joints(model, head.identity)[0]
    torch.testing.assert_close(torch.tensor(header["eyes"]), joints[3:5].mean(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.tensor(header["pivot_root"]), joints[0], atol=1e-5, rtol=0)
    assert header["own"] == {name: header[name] for name in ("pivot", "pivot_root", "eyes")}


def test_a_flat_head_has_a_step_and_every_level_is_used(editor, head):
    header, body = opened(editor_wire.vertices_message(editor, asked(head)))
    levels = np.frombuffer(body, "<u2").reshape(-1, 3)
    assert levels.min(0).tolist() == [0, 0, 0]
    assert levels.max(0).tolist() == [65535] * 3
    assert header["vertices"] == len(levels)
    assert min(header["step"]) > 0


def test_a_short_code_of_a_request_is_continued_by_zeros(editor, model, head):
    whole = asked(head, expression=[0.1, 0.2] + [0.0] * (model.expression_basis.shape[0] - 2), identity=[0.5])
    _, wanted = vertices(editor, whole)
    assert torch.equal(vertices(editor, {**whole, "expression": [0.1, 0.2]})[1], wanted)
    shifted = vertices(editor, {**whole, "identity": [0.2], "shape": [0.3, 0.0, 0.0]})[1]
    torch.testing.assert_close(shifted, wanted, atol=1e-5, rtol=0)
    longer = vertices(editor, {**whole, "identity": [0.5, 0.0, 0.4], "shape": []})[1]
    torch.testing.assert_close(vertices(editor, {**whole, "shape": [0.0, 0.0, 0.4]})[1], longer, atol=1e-5, rtol=0)
