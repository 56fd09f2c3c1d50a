"""From widget values to a head: neutral ones change nothing, each name reaches its own number, colours are red, green, blue."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from caphuman_core.capface.spec import SPEC, TOKENS, Spec
from caphuman_core.check import InputError
from caphuman_core.flow import Head
from caphuman_core.head.edit.edit import Edit, edit_head, neck_after, turned_by
from caphuman_core.head.edit.recipes import EXPRESSIONS
from caphuman_core.head.edit.relight import Others, relight
from caphuman_core.head.edit.shape import numbered, used_numbers
from caphuman_core.head.edit.widget_values import GAZE, LIGHT, NEUTRAL, PLACE, SHAPE, TEXTURE, edit_of, edited
from caphuman_core.head.light import rgb01_of
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.head.pivot import pivot, scale_of
from caphuman_core.head.rotations import matrix_from_axis_angle
from caphuman_core.pixels import bytes_of, eight_bit, image_of, photo_of, tensor_of
from caphuman_core.points import LEFT_EYE, RIGHT_EYE
from caphuman_core.render.maps import pose

CODES = ("identity", "expression", "texture", "rotation_radians", "jaw_radians", "light", "crop_to_picture", "gaze_radians",
         "neck_share")


@pytest.fixture(scope="module")
def model():
    return load_builtin()


@pytest.fixture
def head(model):
    return new_head(model, 96, 80).replace(rotation_radians=torch.tensor([[0.1, 0.2, 0.0]]),
                                           jaw_radians=torch.tensor([[0.1, 0.0, 0.0]]))


def same(one, other):
    return all(torch.allclose(getattr(one, name), getattr(other, name), atol=1e-5) for name in CODES)


def test_neutral_values_change_nothing(model, head):
    assert same(edited(head, model, {}), head)
    assert same(edited(head, model, NEUTRAL), head)
    assert edit_of(NEUTRAL) == Edit(expressions=dict.fromkeys(EXPRESSIONS, 0.0))


def test_each_value_reaches_its_own_number(model, head):
    values = {name: 0.1 * (place + 1) for place, name in enumerate((*PLACE, *EXPRESSIONS))}
    asked = edit_of({**NEUTRAL, **values})
    assert asked == Edit(**{name: values[name] for name in PLACE}, expressions={name: values[name] for name in EXPRESSIONS})
    for mode in ("add", "set"):
        assert same(edited(head, model, {**values, "mode": mode}), edit_head(head, model, asked, mode))


def test_gaze_neck_shape_and_skin_reach_their_own_numbers(model, head):
    values = {name: 0.1 * place for place, name in enumerate((*GAZE, "neck_share", *SHAPE[:3], *TEXTURE[:3]), 1)}
    asked = edit_of({**NEUTRAL, **values})
    assert [getattr(asked, name) for name in (*GAZE, "neck_share")] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert asked.shape == pytest.approx((0.5, 0.6, 0.7))
    assert asked.texture == pytest.approx((0.8, 0.9, 1.0))
    for mode in ("add", "set"):
        made, wanted = edited(head, model, {**values, "mode": mode}), edit_head(head, model, asked, mode)
        assert same(made, wanted)
        assert torch.allclose(made.identity[0, :3] - head.identity[0, :3], torch.tensor([0.5, 0.6, 0.7]))
        assert torch.allclose(torch.rad2deg(made.gaze_radians[0]), torch.tensor([[-0.2, 0.2], [0.4, 0.2]]), atol=1e-5)
        assert made.neck_share.item() == pytest.approx(0.4)


def test_the_light_turns_along_and_is_set_only_when_asked(model, head):
    turned = edited(head, model, {"yaw_degrees": 40, "turn_light": True})
    assert same(turned, edit_head(head, model, Edit(yaw_degrees=40), follow_light=True))
    assert not torch.allclose(turned.light, head.light)
    lit = {"light_azimuth": 10, "light_elevation": 20, "light_intensity": 0.3, "light_ambient": 0.4, "light_colour": "#ff8000"}
    assert same(edited(head, model, lit), head), "relight is off"
    assert same(edited(head, model, {**lit, "relight": True}), relight(head, 10, 20, 0.3, 0.4, (1.0, 128 / 255, 0.0)))
    assert same(edited(head, model, {"relight": True}), relight(head, 30, 25, 0.6, 0.7, (1.0, 1.0, 1.0)))
    around = edited(head, model, {**lit, "relight": True, "light_fill": 0.2, "light_rim": 0.5})
    assert same(around, relight(head, 10, 20, 0.3, 0.4, (1.0, 128 / 255, 0.0), Others(fill=0.2, rim=0.5)))
    assert list(LIGHT)[:5] == list(lit)


@pytest.mark.parametrize(("colour", "expected"), [("#ff8000", (255, 128, 0)), (" 0080ff ", (0, 128, 255)),
                                                  ("#FFFFFF", (255, 255, 255))])
def test_colours_are_red_green_blue(colour, expected):
    assert rgb01_of(colour) == tuple(value / 255 for value in expected)


@pytest.mark.parametrize("colour", ["", "#fff", "#ff80000", "red", "#gg0000", "#ff8000ff"])
def test_other_words_are_no_colours(colour):
    with pytest.raises(InputError, match=r"colour must be #rrggbb, but got .*: type six hexadecimal digits"):
        rgb01_of(colour)


# --- how far the named expressions go

def eye_distances(model, head):
    points = pose(head, model).landmarks3d[0]
    return points / (points[list(LEFT_EYE)].mean(0) - points[list(RIGHT_EYE)].mean(0)).norm()


@pytest.mark.parametrize(("name", "landmark", "axis", "way"), [
    ("smile", 48, 1, 0.19), ("frown", 48, 1, -0.13), ("brows_up", 19, 1, 0.11), ("brows_down", 19, 1, -0.1),
    ("blink_left", 44, 1, -0.17), ("blink_right", 37, 1, -0.17), ("mouth_open", 57, 1, -0.4),
    ("jaw_left", 8, 0, 0.26), ("jaw_right", 8, 0, -0.26),
    ("pucker", 48, 0, 0.09), ("wide_mouth", 48, 0, -0.12), ("surprise", 8, 1, -0.4), ("sneer", 51, 1, 0.06), ("fear", 8, 1, -0.2),
    ("smile_left", 54, 1, 0.2), ("smile_right", 48, 1, 0.2), ("brow_left", 24, 1, 0.11),
    ("brow_right", 19, 1, 0.11), ("laugh", 8, 1, -0.3)])
def test_a_named_expression_goes_as_far_as_a_face_does(model, name, landmark, axis, way):
    """At amount 1, in eye distances, measured on the built-in head: twice as far would be a grimace."""
    neutral = new_head(model, 64, 64)
    shown = edit_head(neutral, model, Edit(expressions={name: 1.0}))
    moved = float((eye_distances(model, shown) - eye_distances(model, neutral))[landmark, axis])
    assert moved == pytest.approx(way, rel=0.4)


# --- edits

def test_degrees_of_an_edit_turn_one_axis_each_and_the_jaw_opens(model):
    head = new_head(model, 64, 64)
    for name, axis, sign in (("yaw_degrees", 1, 1), ("pitch_degrees", 0, -1), ("roll_degrees", 2, -1)):
        turned = edit_head(head, model, Edit(**{name: 30.0})).rotation_radians[0]
        wanted = torch.zeros(3)
        wanted[axis] = sign * torch.pi / 6
        torch.testing.assert_close(turned, wanted, atol=1e-5, rtol=0)
    opened = edit_head(head, model, Edit(jaw_degrees=18.0)).jaw_radians[0]
    torch.testing.assert_close(opened, torch.tensor([torch.pi / 10, 0.0, 0.0]))
    assert bool(matrix_from_axis_angle(opened)[1, 2] < 0), "the chin (z in front of the hinge) goes down"


def test_codes_of_another_model_are_refused(model):
    head = new_head(model, 64, 64)
    short = head.replace(identity=head.identity[:, :10])
    assert len(edit_head(short, model, Edit(yaw_degrees=5))) == 1, "fewer shape numbers are the first ones"
    for name, change in (("identity", 1), ("expression", 1), ("expression", -1)):
        code = torch.zeros(1, getattr(head, name).shape[1] + change)
        rule = r"must have its head model's 60 shape and 52 expression numbers, but got \d+ and \d+:"
        with pytest.raises(InputError, match=rule):
            edit_head(head.replace(**{name: code}), model, Edit())


# --- sizes

def test_sizes_that_follow_from_others():
    """Six attending blocks of two levels' widths 320, 640, 1280 and the middle one: 2 (320 + 640 + 1280) + 1280."""
    assert SPEC.key_width == 5760
    assert SPEC.time_embedding == 1280
    assert TOKENS == 258
    network = SPEC.network()
    assert network["transformer_depth"] == [1, 1, 1, 1, 1, 1, 0, 0]
    assert (network["model_channels"], network["channel_mult"], network["num_heads"]) == (320, (1, 2, 4, 4), 8)
    assert (network["num_res_blocks"], network["in_channels"], network["context_dim"], network["hint_channels"]) == (2, 4, 768, 9)
    assert Spec(width=32, blocks=1).key_width == 32 * (1 + 2 + 4 + 4)


def test_the_numbered_widgets_are_the_first_ten_of_shape_and_skin():
    assert tuple(f"shape_{place}" for place in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)) == SHAPE
    assert tuple(f"texture_{place}" for place in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)) == TEXTURE
    assert {name: NEUTRAL[name] for name in NEUTRAL if name not in {*EXPRESSIONS, *SHAPE, *TEXTURE}} == {
        "yaw_degrees": 0, "pitch_degrees": 0, "roll_degrees": 0, "x": 0, "y": 0, "scale": 1, "jaw_degrees": 0, "mode": "add",
        "turn_light": False, "relight": False, "light_azimuth": 30, "light_elevation": 25, "light_intensity": 0.6,
        "light_ambient": 0.7,
        "light_colour": "#ffffff", "light_fill": 0, "light_rim": 0, "frame": False, "gaze_yaw_degrees": 0, "gaze_pitch_degrees": 0,
        "gaze_convergence_degrees": 0, "neck_share": 0, "corrections": ""}
    assert {NEUTRAL[name] for name in (*EXPRESSIONS, *SHAPE, *TEXTURE)} == {0}


def test_zeros_at_the_end_of_numbers_are_not_used():
    assert used_numbers((0.0, 1.0, 0.0, 2.0, 0.0)) == (0.0, 1.0, 0.0, 2.0)
    assert used_numbers((0.0, 0.0)) == used_numbers(()) == ()
    assert numbered("shape", (5.0, 6.0)) == {"shape_1": 5.0, "shape_2": 6.0}


def test_framing_places_and_sizes_the_head_in_any_mode(model, head):
    framed = edited(head, model, {"frame": True, "scale": 0.5, "x": 0.25, "y": -0.1, "yaw_degrees": 20.0})
    torch.testing.assert_close(pivot(framed, model)[0], torch.tensor([48.0 + 20.0, 40.0 - 8.0]), atol=1e-3, rtol=0)
    assert float(scale_of(framed)) == pytest.approx(0.5, rel=1e-4)
    moved = edited(head, model, {"x": 0.25, "y": -0.1})
    torch.testing.assert_close(pivot(moved, model) - pivot(head, model), torch.tensor([[20.0, -8.0]]), atol=1e-3, rtol=0)


def test_edits_name_the_number_that_is_wrong(model, head):
    for wrong, words in ((Edit(yaw_degrees=float("nan")), "yaw_degrees must be a finite number, but got nan: type"),
                         (Edit(expressions={"smile": float("inf")}), "smile must be a finite number, but got inf"),
                         (Edit(shape=(0.0, float("nan"))), "shape_2 must be a finite number"), (Edit(texture=(float("inf"),)),
                                                                                                "texture_1 must be"),
                         (Edit(neck_share=1.1), "neck_share must be from 0 to 1, but got 1.1: use 0.5"), (Edit(neck_share=-0.1),
                                                                                                          "neck_share must be"),
                         (Edit(scale=0.0), "scale must be greater than 0, but got 0.0: use 1"), (Edit(scale=-1.0),
                                                                                                 "scale must be greater than 0")):
        with pytest.raises(InputError, match=words):
            edit_head(head, model, wrong)
    with pytest.raises(InputError, match="mode must be add or set, but got 'wobble': choose"):
        edit_head(head, model, Edit(), "wobble")
    assert len(edit_head(head, model, Edit(neck_share=1.0))) == len(edit_head(head, model, Edit(neck_share=0.0, scale=0.01))) == 1


def test_nothing_added_leaves_every_bit_of_the_pose(model, head):
    rotation = torch.tensor([[0.1, 0.2, 0.3], [1.0, -2.0, 0.5]])
    assert turned_by(rotation, (0.0, 0.0, 0.0), "add") is rotation
    assert torch.equal(turned_by(rotation, (0.0, 0.0, 0.0), "set"), torch.zeros(2, 3))
    assert turned_by(rotation, (0.0, 0.0, 1.0), "add").shape == (2, 3)
    assert torch.equal(neck_after(torch.tensor([0.8, 0.1]), 0.5, "add"), torch.tensor([1.0, 0.6]))
    assert torch.equal(neck_after(torch.tensor([0.8, 0.1]), 0.5, "set"), torch.tensor([0.5, 0.5]))


def test_the_host_s_network_is_made_to_these_sizes():
    assert Spec(width=320, levels=(1, 2, 4, 4), blocks=2, heads=8, context=768, latent_channels=4,
                        hint_widths=(16, 16, 32, 32, 96, 96, 256)) == SPEC
    assert SPEC.network() == {
        "image_size": 32, "in_channels": 4, "model_channels": 320, "hint_channels": 9, "num_res_blocks": 2, "channel_mult": (1, 2,
                                                                                                                             4, 4),
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0], "transformer_depth_middle": 1, "num_heads": 8, "num_head_channels": -1,
        "context_dim": 768, "use_spatial_transformer": True, "use_linear_in_transformer": False, "legacy": False}
    assert Spec(levels=(1, 2), blocks=3).network()["transformer_depth"] == [1, 1, 1, 0, 0, 0]
    assert Spec(levels=(1, 2), blocks=3, width=10).key_width == 3 * 10 + 20


# --- heads in batches

def test_heads_of_a_batch_are_counted_from_either_end(head):
    batch = Head.stack([head, head.replace(neck_share=torch.tensor([0.5])), head.replace(neck_share=torch.tensor([0.7]))])
    assert len(batch) == 3
    assert [batch[place].neck_share.tolist() for place in (0, 2, -1, -3)] == [[0.0], pytest.approx([0.7]), pytest.approx([0.7]),
                                                                              [0.0]]
    for place in (3, -4):
        with pytest.raises(IndexError):
            batch[place]
    assert batch.expand(3) is batch
    assert head.expand(2).gaze_radians.shape == (2, 2, 2)
    assert len(head) == 1, "what came in is as it was"
    assert set(batch.stored()) - set(head.stored()) == {"neck_share"}


# --- 8-bit pixels

def test_pictures_become_bytes_and_back():
    picture = torch.tensor([[-0.5, 0.0, 0.5 / 255, 1.5 / 255, 2.5 / 255, 1.0, 7.0]]).expand(3, 1, 7)
    assert eight_bit(picture)[0, 0].tolist() == [0, 0, 0, 2, 2, 255, 255], "halves go to the even number"
    whole = torch.arange(24, dtype=torch.uint8).view(3, 2, 4)
    assert eight_bit(whole) is whole
    made = bytes_of(whole)
    assert (made.shape, made[1, 3].tolist(), made.flags["C_CONTIGUOUS"]) == ((2, 4, 3), [7, 15, 23], True)
    assert image_of(whole).getpixel((3, 1)) == (7, 15, 23)
    assert torch.equal(tensor_of(made), whole.float())
    assert torch.equal(photo_of(image_of(whole)), whole.float() / 255)


def test_as_many_numbers_as_the_model_has_directions_can_be_raised(model, head):
    ten = tuple(0.1 * place for place in range(1, 11))
    raised = edit_head(head, model, Edit(shape=ten, texture=ten))
    torch.testing.assert_close(raised.identity[0, :10] - head.identity[0, :10], torch.tensor(ten))
    torch.testing.assert_close(raised.texture[0, :10] - head.texture[0, :10], torch.tensor(ten))
    few = replace(model, identity_basis=model.identity_basis[:4], texture_basis=model.texture_basis[:2])
    small = new_head(few, 96, 80)
    assert edit_head(small, few, Edit(shape=ten[:4], texture=ten[:2])).identity.shape == (1, 4)
    with pytest.raises(InputError, match=r"shape_5 must be 0 for a head model with 4 shape directions, but got 0.5: set it back"):
        edit_head(small, few, Edit(shape=ten[:5]))
    with pytest.raises(InputError, match=r"texture_3 must be 0 for a head model with 2 texture directions, but got 0.3"):
        edit_head(small, few, Edit(texture=ten[:3]))
