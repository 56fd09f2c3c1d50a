"""The landmark fit's arithmetic: derivatives are those of its cost, and a step for several photos is the one step for all."""
from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from caphuman_core.flow import Face, Head
from caphuman_core.head import camera
from caphuman_core.head.fit import geometry
from caphuman_core.head.fit.evidence import dense_points, evidence_of, pinned
from caphuman_core.head.fit.geometry import head_of, pixel_distances, state_of, total_cost, view_of, with_errors
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.points import five_from_68
from caphuman_core.render.maps import pose

SIDE = 400
UNKNOWNS = 13 + 52 + 24                  # pose, jaw and gaze; named actions; the detector's common errors
KINDS = ("five", "inner", "dense", "pinned")


@pytest.fixture(scope="module")
def model():
    return load_builtin()


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def somebody(model, seed=1) -> Head:
    """A turned head in a picture that its crop is not parallel to; no number is 0 and none at its bound."""
    head = new_head(model, SIDE, SIDE)
    aslant = torch.tensor([[[1.1, 0.3, 0.0], [-0.3, 1.1, 0.0], [30.0, 20.0, 1.0]]])
    return head.replace(identity=0.3 * numbers(1, 60, seed=seed), expression=0.2 + 0.3 * numbers(1, 52, seed=seed).sigmoid(),
                        jaw_radians=torch.tensor([[0.15, 0.03, -0.02]]), gaze_radians=torch.tensor([[[0.2, -0.1], [0.15, -0.05]]]),
                        rotation_radians=torch.tensor([[0.2, 0.4, -0.1]]), crop_to_picture=aslant)


def seen_of(head, model, kind, noise=2.0, seed=3):
    """A head's points as a detector tells them that errs by some pixels."""
    points68 = camera.to_picture(head, pose(head, model).landmarks2d)[0, :, :2] + noise * numbers(68, 2, seed=seed)
    if kind == "pinned":
        return pinned(points68, {8: (150.0, 390.0), 48: (100.0, 300.0)}, model)
    face = Face(torch.zeros(4), 1.0, five_from_68(points68), None if kind == "five" else points68)
    if kind == "dense":
        face = replace(face, points478=points68.mean(0) + 60 * numbers(478, 2, seed=seed))      # most of them far off
    return evidence_of(face, model)


def case(model, kind, seed=1):
    """View and state, away from what is expected."""
    evidence, head = seen_of(somebody(model, seed), model, kind), somebody(model, seed)
    expected = state_of(head.replace(jaw_radians=head.jaw_radians + 0.05, expression=head.expression - 0.1), len(evidence.modes))
    state = replace(state_of(head), errors=0.3 * numbers(len(evidence.modes)).double())
    return view_of(evidence, head, model, expected), state


def moved(view, state, at, by):
    """The state after one unknown has moved, whatever the photo tells; from 13 + 52 + 24 on, the identity's."""
    count = 6 + len(state.own())
    step, identity = torch.zeros(count).double(), torch.zeros(60).double()
    (step if at < count else identity)[at if at < count else at - count] = by
    return geometry._moved(replace(view, free=torch.ones_like(view.free)), state, step, identity)


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_those_of_the_cost(model, kind):
    """By differences of half the squared residuals, of far points by Huber's rule."""
    view, state = case(model, kind)
    line = geometry._linear(view, state, model)
    slope = torch.cat([line.own.T @ line.residuals, line.identity.T @ line.residuals])
    count = 6 + len(state.own())
    chosen = [*range(13), 13, 30, 64, *((65, 88) if kind == "dense" else ()), count, count + 7, count + 59]
    step = 1e-5
    found = [(geometry._own_cost(view, moved(view, state, at, step), model)
              - geometry._own_cost(view, moved(view, state, at, -step), model)) / (2 * step) for at in chosen]
    torch.testing.assert_close(torch.tensor(found).double(), slope[chosen], rtol=2e-4, atol=2e-3)
    assert len(slope) == count + 60


def test_close_points_cost_half_their_square_and_far_ones_grow_straight(model):
    view, state = case(model, "inner")
    view, bare = replace(view, expected=state), geometry._priors(view, state)[0]
    ((at, pixels, weights), line) = geometry._projected(view, state, model)
    away = torch.cat([(weights @ (at - pixels)[..., None]).norm(dim=(1, 2)),
                      (line[2] @ (line[0] - line[1])[..., None]).norm(dim=(1, 2))])
    assert float(away.min()) < 0.3 < 2.5 < float(away.max()), "some of both"
    misfit = sum(d * d / 2 if d < 2.5 else 2.5 * (d - 1.25) for d in away.tolist())
    squint, pitch = (0.05 / 0.06, -0.05 / 0.03), float(state.turn[1, 2]) / 0.5
    priors = (sum(one * one for one in squint) + pitch * pitch) / 2
    assert geometry._own_cost(view, state, model) == pytest.approx(misfit + priors)
    assert bare[-3:].tolist() == pytest.approx([*squint, pitch])
    further = replace(view, expected=replace(state, shape=replace(state.shape, identity=state.shape.identity + 0.7)))
    assert total_cost([further, view], [state, state], model) == pytest.approx(2 * (misfit + priors) + 60 / 2), \
        "of one person's photos the first tells who is expected"
    five = case(model, "five")
    assert float(geometry._priors(*five)[0][-1]) == pytest.approx(float(five[1].turn[1, 2]) / 0.1)


def test_what_a_photo_expects_and_bounds(model):
    names = model.expression_names
    held = [name in ("jawOpen", "mouthClose", "tongueOut") or name.startswith("eyeLook") for name in names]
    assert sum(held) == 3 + 8
    for kind in KINDS:
        view, _ = case(model, kind)
        errors = 24 if kind == "dense" else 0
        wanted = [0.15, 0.02, 0.02, *[0.3] * 4, *(0.001 if one else 0.35 for one in held), *[1.0] * errors]
        assert view.sigma.tolist() == pytest.approx(wanted)
        assert view.low.tolist() == pytest.approx([0, -0.15, -0.15, *[-0.7] * 4, *[0] * 52, *[-4] * errors])
        assert view.high.tolist() == pytest.approx([0.5, 0.15, 0.15, *[0.7] * 4, *[1] * 52, *[4] * errors])
        mouth, gaze = kind != "five", kind == "dense"
        assert view.free.tolist() == [*[True] * 6, *[mouth] * 3, *[gaze] * 4, *[mouth] * 52, *[mouth] * errors]
    nameless = replace(model, expression_names=())
    view = view_of(seen_of(somebody(model), model, "inner"), somebody(model), nameless, state_of(somebody(model)))
    assert (view.low[7:].tolist(), view.high[7:].tolist()) == ([-3] * 52, [3] * 52)
    assert view.sigma[7:].tolist() == pytest.approx([0.35] * 52)


def test_a_state_is_a_head_and_back(model):
    head = somebody(model)
    again = head_of(state_of(head), new_head(model, SIDE, SIDE).replace(crop_to_picture=head.crop_to_picture))
    for name in ("identity", "expression", "jaw_radians", "gaze_radians", "rotation_radians", "camera"):
        torch.testing.assert_close(getattr(again, name), getattr(head, name), atol=1e-6, rtol=0)
    state = replace(state_of(head, 2), errors=torch.tensor([7.0, 8.0]).double())
    assert state.own()[:7].tolist() == pytest.approx([0.15, 0.03, -0.02, 0.2, -0.1, 0.15, -0.05])
    assert torch.equal(state.own()[7:59], state.shape.expression)
    assert state.own()[59:].tolist() == [7, 8]
    assert float(state_of(head.replace(camera=0 * head.camera)).log_scale) == pytest.approx(math.log(1e-6))


def test_world_points_are_projected_as_the_camera_does(model):
    head, points = somebody(model), 0.1 * numbers(9, 3)
    at = geometry.to_pixels(points.double(), state_of(head), head.crop_to_picture[0].double())
    torch.testing.assert_close(at.float(), camera.to_picture(head, points[None])[0, :, :2], atol=1e-3, rtol=0)


@pytest.mark.parametrize("kinds", [("inner",), ("inner", "five"), ("dense", "pinned", "inner")])
def test_a_step_for_several_photos_is_the_one_step_of_all_unknowns_together(model, kinds):
    """Without damping: the least squares of all photos' residuals, the shared identity's prior among them."""
    cases = [case(model, kind) for kind in kinds]
    views, states = zip(*cases, strict=True)
    edges = torch.cat([torch.zeros(10), torch.ones(10)]).double()                  # half of them pressed against their bounds
    states = [replace(state, shape=replace(state.shape, identity=states[0].shape.identity,
                                           expression=torch.cat([edges, state.shape.expression[20:]]))) for state in states]
    lines = [geometry._linear(view, state, model) for view, state in zip(views, states, strict=True)]
    sides = [6 + len(state.own()) for state in states]
    rows, values = [], []
    for number, (view, state, line) in enumerate(zip(views, states, lines, strict=True)):
        moving = geometry._moving(view, state, line.own.T @ line.residuals)
        assert kinds[number] == "five" or 0 < int((~moving[13:33]).sum()) < 20
        blocks = [line.own * moving if other == number else torch.zeros(len(line.own), side).double()
                  for other, side in enumerate(sides)]
        rows.append(torch.cat([*blocks, line.identity], 1))
        values.append(line.residuals)
    gap = states[0].shape.identity - views[0].expected.shape.identity
    rows.append(torch.cat([torch.zeros(60, sum(sides)), torch.eye(60) / 0.7], 1).double())
    values.append(gap / 0.7)
    whole, identity = (-torch.linalg.lstsq(torch.cat(rows), torch.cat(values), driver="gelsd").solution).split([sum(sides), 60])
    for view, state, found, step in zip(views, states, geometry._step(views, states, lines, 0.0), whole.split(sides), strict=True):
        wanted = geometry._moved(view, state, step, identity)
        for name in ("turn", "log_scale", "shift", "errors"):
            torch.testing.assert_close(getattr(found, name), getattr(wanted, name), atol=1e-6, rtol=1e-4)
        for name in ("identity", "expression", "jaw", "gaze"):
            torch.testing.assert_close(getattr(found.shape, name), getattr(wanted.shape, name), atol=1e-6, rtol=1e-4)


def test_unknowns_that_are_pressed_against_their_bounds_stay(model):
    """The cost falls against its slope: at its lower end an unknown with a rising slope would go below."""
    view, state = case(model, "inner")
    jaw = torch.tensor([0.5, 0.5, 0.0]).double()
    shape = replace(state.shape, jaw=torch.tensor([0.0, 0.15, 0.0]).double(), expression=state.shape.expression * 0)
    slope = torch.zeros(13 + 52).double()
    slope[6:9], slope[13:15] = jaw, torch.tensor([1.0, -1.0]).double()
    moving = geometry._moving(view, replace(state, shape=shape), slope)
    assert moving[:9].tolist() == [True] * 6 + [False, True, True]
    assert moving[9:13].tolist() == [False] * 4, "the gaze is not told by 68 points"
    assert moving[13:16].tolist() == [False, True, True]
    moving = geometry._moving(view, replace(state, shape=shape), -slope)
    assert moving[6:9].tolist() == [True, False, True]
    far = geometry._moved(view, state, torch.full((65,), 9.0).double(), torch.full((60,), 9.0).double())
    assert far.shape.jaw.tolist() == pytest.approx([0.5, 0.15, 0.15])
    assert torch.equal(far.shape.gaze, state.shape.gaze)
    assert far.shape.expression.tolist() == [1] * 52
    assert far.shape.identity.tolist() == [3] * 60


def test_common_errors_are_those_of_least_cost(model):
    """With none of them far off, in one go: the cost's slope by each is 0."""
    view, state = case(model, "dense")
    places = view.evidence.places.points(state.shape)
    at = geometry.to_pixels(places[0] @ state.turn.mT + places[1], state, view.crop_to_picture)
    near = replace(view.evidence, pixels=at + 0.2 * numbers(len(at), 2).double())
    view = replace(view, evidence=near, expected=replace(view.expected, errors=0 * state.errors))
    best = with_errors(view, state, model)
    line = geometry._linear(view, best, model)
    assert float((line.own.T @ line.residuals)[65:].abs().max()) < 1e-6
    assert float(best.errors.abs().max()) > 1e-3
    none = replace(state, errors=state.errors[:0])
    bare = replace(view, evidence=replace(near, modes=near.modes[:0]))
    assert with_errors(bare, none, model).errors.shape == (0,)
    assert len(near.pixels) == len(dense_points(model)[0]) + 2


def test_distances_are_in_pixels_and_across_the_jaw_line(model):
    """Seen where the head is, but for a shift by 3 to the right and 4 down."""
    view, state = case(model, "inner")
    (at, _, _), (line, _, weights) = geometry._projected(view, state, model)
    shift = torch.tensor([3.0, 4.0]).double()
    view = replace(view, evidence=replace(view.evidence, pixels=at + shift, contour_pixels=line + shift))
    found = pixel_distances(view, state, model)
    assert found[:51].tolist() == pytest.approx([5.0] * 51)
    across = weights[:, 1] / weights[:, 1].norm(dim=1, keepdim=True)
    torch.testing.assert_close(found[51:], (across @ shift).abs())
    assert float(found[51:].max() - found[51:].min()) > 2


# --- the way to the best heads

def scripted(monkeypatch, costs):
    """As if each trial cost what is told, in turn; the dampings that were tried, and the trials by number."""
    tried, told = [], iter(costs)

    def step(views, states, lines, damping):
        tried.append(damping)
        return [replace(state, shift=torch.tensor([float(len(tried)), 0.0])) for state in states]
    monkeypatch.setattr(geometry, "_step", step)
    monkeypatch.setattr(geometry, "_linear", lambda view, state, model: None)
    monkeypatch.setattr(geometry, "total_cost", lambda views, states, model: next(told))
    return tried


@pytest.mark.parametrize(("costs", "dampings", "kept"), [
    ((10, 12, 8, 6, 5.9999, 0), (1e-3, 1e-2, 1e-3, 1e-4), 4),                     # a gain below 0.01 % is the last
    ((10, 12, 8, 6, 5.999, *[7] * 6), (1e-3, 1e-2, 1e-3, 1e-4, *(10.0 ** n for n in range(-5, 1))), 4),
    ((10, *[10] * 6), tuple(10.0 ** n for n in range(-3, 3)), 0),                 # six that do not help: the start
    (tuple(2.0 ** -n for n in range(22)), (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, *[1e-9] * 14), 20)])
def test_steps_that_help_are_kept_and_trusted_ten_times_more(model, monkeypatch, costs, dampings, kept):
    view, state = case(model, "inner")
    tried = scripted(monkeypatch, costs)
    (found,) = geometry.solve([view], [replace(state, shift=torch.zeros(2))], model)
    assert tried == pytest.approx(list(dampings))
    assert found.shift.tolist() == [kept, 0]


def test_photos_of_one_person_start_at_the_first_one_s_identity(model):
    cases = [case(model, "inner", seed) for seed in (1, 2)]
    views, states = zip(*cases, strict=True)
    same = geometry.solve(views, states, model, steps=0)
    assert all(torch.equal(state.shape.identity, states[0].shape.identity) for state in same)
    before, after = (total_cost(views, found, model) for found in (same, geometry.solve(views, states, model, steps=3)))
    assert after < 0.7 * before
