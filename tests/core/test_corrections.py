"""Landmarks that a hand puts elsewhere: the head follows, keeps the rest, and what the editor is told is what the node makes."""
from __future__ import annotations

import json

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.flow import Head
from caphuman_core.head.camera import to_picture
from caphuman_core.head.edit import editor_wire
from caphuman_core.head.edit.corrections import handle_places, pins_of
from caphuman_core.head.edit.widget_values import edited
from caphuman_core.head.fit import pinned as refits
from caphuman_core.head.model.flame_files import load_flame
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.points import HANDLES
from caphuman_core.render.maps import pose

WIDTH, HEIGHT = 400, 320


@pytest.fixture(scope="module", params=["built-in", "FLAME's format"])
def model(request, flame_files):
    return load_builtin() if request.param == "built-in" else load_flame(flame_files)


@pytest.fixture(scope="module")
def head(model):
    generator = torch.Generator().manual_seed(2)
    fresh = new_head(model, WIDTH, HEIGHT)
    return fresh.replace(identity=torch.randn(fresh.identity.shape, generator=generator) * 0.4,
                         rotation_radians=torch.tensor([[0.05, 0.3, -0.02]]))


def moved(places, **ways):
    """The widget's text that puts points so many pixels to the right and down."""
    return json.dumps({name: [(places[name][0] + right) / WIDTH, (places[name][1] + down) / HEIGHT]
                       for name, (right, down) in ways.items()})


def apart(one, other, name):
    return torch.dist(torch.tensor(one[name]), torch.tensor(other[name]))


@pytest.mark.parametrize("ways", [{"mouth_left": (5, -3)}, {"chin": (0, 6)},
                                  {"eye_right_outer": (-3, 0), "brow_left_middle": (0, -4)}])
def test_the_head_follows_and_keeps_the_rest(model, head, ways):
    before = handle_places(head, model)
    after = handle_places(edited(head, model, {"corrections": moved(before, **ways)}), model)
    for name, (right, down) in ways.items():
        wanted = {name: [before[name][0] + right, before[name][1] + down]}
        assert apart(after, wanted, name) < 1.0, name                    # of 3 to 6 pixels that it was off
    others = [float(apart(before, after, name)) for name in HANDLES if name not in ways]
    assert sum(others) / len(others) < 3.0


def test_the_editor_is_told_the_node_s_head_and_its_points(model, head):
    text = moved(handle_places(head, model), nose_tip=(4, 1))
    told = editor_wire.head_json(head, "x")
    again = editor_wire.corrected_json(model, json.loads(json.dumps({**told, "corrections": ""})))
    assert {name: again[name] for name in told} == told, "nothing is corrected: it is the very head"
    assert set(again["points"]) == set(HANDLES)
    shown, made = editor_wire.corrected_json(model, {**told, "corrections": text}), edited(head, model, {"corrections": text})
    wanted = editor_wire.head_json(made, "x")
    assert {name: shown[name] for name in wanted} == wanted
    for name, place in handle_places(made, model).items():
        assert shown["points"][name] == pytest.approx(place)


def test_of_a_batch_the_first_follows_and_edits_come_on_top(model, head):
    text = moved(handle_places(head, model), nose_tip=(4, 1))
    alone = edited(head, model, {"corrections": text, "yaw_degrees": 20.0})
    other = head.replace(identity=head.identity + 0.1)
    both = edited(Head.stack([head, other]), model, {"corrections": text, "yaw_degrees": 20.0})
    plain = edited(other, model, {"yaw_degrees": 20.0})
    torch.testing.assert_close(both.identity[:1], alone.identity)
    torch.testing.assert_close(both.identity[1:], plain.identity)
    assert not torch.equal(alone.identity, plain.identity)
    absent = head.replace(present=torch.tensor([False]))
    assert torch.equal(edited(absent, model, {"corrections": text}).identity, head.identity)


def test_points_that_contradict_each_other_leave_a_head(model, head):
    places = handle_places(head, model)
    text = json.dumps({"mouth_left": [places["mouth_right"][0] / WIDTH, places["mouth_right"][1] / HEIGHT],
                       "mouth_right": [places["mouth_left"][0] / WIDTH, places["mouth_left"][1] / HEIGHT], "chin": [0.0, 0.0]})
    made = edited(head, model, {"corrections": text})
    assert all(bool(value.isfinite().all()) for value in made.stored().values())


def test_places_are_shares_of_width_and_height_as_far_as_twice_outside():
    assert pins_of('{"chin": [0.25, 0.5], "nose_tip": [-2, 2.0]}', WIDTH, HEIGHT) == {"chin": (100, 160), "nose_tip": (-800, 640)}
    for far in ("[-2.01, 0]", "[0, 2.01]", "[0, 0, 0]"):
        with pytest.raises(InputError, match="corrections of chin must be two shares of the picture's sides, within 2"):
            pins_of(f'{{"chin": {far}}}', WIDTH, HEIGHT)
    assert pins_of("{}".ljust(4000), WIDTH, HEIGHT) == {}
    with pytest.raises(InputError, match="at most 4000 letters, but got 4001"):
        pins_of("{}".ljust(4001), WIDTH, HEIGHT)
    with pytest.raises(InputError, match="must be a JSON object"):
        pins_of("[" * 3000, WIDTH, HEIGHT)


def test_a_refit_is_four_steps_from_the_head_that_is_there(model, head, monkeypatch):
    """The landmarks that hold loosely are those that its picture shows, the jaw line at its turn among them."""
    asked = []
    monkeypatch.setattr(refits, "solve", lambda views, states, model, steps: asked.append((*views, *states, steps)) or states)
    same = refits.refit(head, model, {30: (7.0, 9.0), "chin": (11.0, 13.0)})
    (view, state, steps), = asked
    assert steps == 4
    points = to_picture(head, pose(head, model).landmarks2d)[0, :, :2].double()
    points[30], points[8] = torch.tensor([7.0, 9.0]), torch.tensor([11.0, 13.0])
    found = torch.cat([view.evidence.contour_pixels, view.evidence.pixels])
    torch.testing.assert_close(found, points, atol=2e-3, rtol=0)
    assert torch.equal(view.expected.own(), state.own()), "its own codes are what is expected"
    torch.testing.assert_close(same.identity, head.identity)
    torch.testing.assert_close(same.rotation_radians, head.rotation_radians)


@pytest.mark.parametrize(("text", "rule"), [
    ("[1]", "corrections must be a JSON object of landmarks"), ("{", "must be a JSON object"), ("x" * 5000, "at most 4000 letters"),
    ('{"ear": [0.5, 0.5]}', "must hold known landmarks"), ('{"chin": [0.5]}', "corrections of chin must be two shares"),
    ('{"chin": [0.5, NaN]}', "must be two shares"), ('{"chin": [9, 0]}', "within 2"), ('{"chin": "ab"}', "must be two shares"),
    ('{"chin": [true, 0]}', "must be two shares")])
def test_other_texts_are_refused_in_a_sentence(text, rule):
    with pytest.raises(InputError, match=rule):
        pins_of(text, WIDTH, HEIGHT)
    assert pins_of(" ", WIDTH, HEIGHT) == {}


@pytest.mark.parametrize("wrong", [{"light": [[0.0] * 3] * 8}, {"light": "a"}, {"crop_to_picture": [[0.0]]}, {"width": 0},
                                   {"camera": [1.0, 2.0]}, {"neck_share": float("nan")}, {"corrections": 5}, {"identity": ["1"]}])
def test_requests_that_hold_no_head_are_refused(model, head, wrong):
    with pytest.raises(InputError):
        editor_wire.corrected_json(model, {**editor_wire.head_json(head, "x"), "corrections": "", **wrong})
