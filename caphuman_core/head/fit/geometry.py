"""Pose, place, shape, expression, jaw and gaze of heads from landmarks: regularised Levenberg-Marquardt with its own derivatives.

One solver for one photo and for several of one person: what is each photo's own is eliminated photo by photo, what they share
(the identity) is solved for what is left (the Schur complement), so that cost grows with the photos and not with their square.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...flow import Head
from ..camera import CROP_SIZE
from ..model.head_model import HeadModel
from ..model.landmarks import contour_rows
from ..rotations import axis_angle_from_matrix, matrix_from_axis_angle
from .evidence import Evidence, contour_places
from .surface_points import Moved, Shape, SurfacePoints

STEPS = 20
FARTHEST = 1e6               # whitened distance
GOOD_ENOUGH = 1e-4           # relative gain of a step below which nothing more is tried
CODE_SIGMA, MOST_CODE = 0.7, 3.0            # below 1: a detector errs towards what a looser shape would explain
EXPRESSION_SIGMA = 0.35
HELD = {"jawOpen", "mouthClose", "tongueOut"}    # actions left out: the jaw joint does the first, the others need it open
LOOKS = "eyeLook"            # actions left out: the eyes' own joints do that, and the lids follow
HELD_SIGMA = 1e-3
JAW_SIGMA_RADIANS = (0.15, 0.02, 0.02)
GAZE_SIGMA_RADIANS = 0.3
SQUINT_SIGMA_RADIANS = (0.06, 0.03)              # difference of the eyes: yaw, pitch
PITCH_SIGMA = {False: 0.1, True: 0.5}            # sine; without mouth and brows a nod cannot be told from a smile or a long nose
JAW_RANGE, GAZE_RANGE = ((0.0, -0.15, -0.15), (0.5, 0.15, 0.15)), 0.7
MOST_ERROR = 4.0             # deviations
POSE, JAW, GAZE = slice(0, 6), slice(6, 9), slice(9, 13)
EXPRESSION = 13              # where a photo's own unknowns have their expression; the pose before: rotation 3, log scale, shift 2


@dataclass(frozen=True)
class State:
    """A head, as the solver moves it; float64."""

    shape: Shape
    turn: Tensor             # [3, 3]
    log_scale: Tensor        # []
    shift: Tensor            # [2] metres
    errors: Tensor           # [A] how much of each of the detector's common errors is in this photo's points

    def own(self) -> Tensor:
        """What a photo has for itself and is bounded: jaw, gaze, expression, the detector's errors."""
        return torch.cat([self.shape.jaw, self.shape.gaze.flatten(), self.shape.expression, self.errors])


@dataclass(frozen=True)
class View:
    """One photo of a person: what is seen, and what is expected before."""

    evidence: Evidence
    crop_to_picture: Tensor  # [3, 3]
    expected: State          # means of the priors
    sigma: Tensor            # [7 + E + A] of jaw, gaze, expression and errors about those means
    free: Tensor             # [13 + E + A] bool: the unknowns that this photo can tell
    low: Tensor              # [7 + E + A]
    high: Tensor             # [7 + E + A]


@dataclass(frozen=True)
class Linear:
    """Residuals at a state and their derivatives."""

    residuals: Tensor        # [R]
    own: Tensor              # [R, 13 + E + A]
    identity: Tensor         # [R, I]


def state_of(head: Head, errors: int = 0) -> State:
    """A batch of one as a state, with so many kinds of errors of its detector, none of which is there yet."""
    shape = Shape(head.identity[0].double(), head.expression[0].double(), head.jaw_radians[0].double(),
                  head.gaze_radians[0].double())
    return State(shape, matrix_from_axis_angle(head.rotation_radians[0].double()), head.camera[0, 0].double().clamp(min=1e-6).log(),
                 head.camera[0, 1:].double(), torch.zeros(errors, dtype=torch.float64))


def head_of(state: State, head: Head) -> Head:
    """The head with a state's pose and shape."""
    shape = state.shape
    return head.replace(
        identity=shape.identity.float()[None], expression=shape.expression.float()[None], jaw_radians=shape.jaw.float()[None],
        gaze_radians=shape.gaze.float()[None], rotation_radians=axis_angle_from_matrix(state.turn).float()[None],
        camera=torch.cat([state.log_scale.exp()[None], state.shift]).float()[None])


def view_of(evidence: Evidence, head: Head, model: HeadModel, expected: State) -> View:
    """What a photo asks of the head, which is a batch of one."""
    names = model.expression_names
    count = head.expression.shape[1]
    expression = torch.full((count,), EXPRESSION_SIGMA, dtype=torch.float64)
    for i, name in enumerate(names[:count]):
        if name in HELD or name.startswith(LOOKS):
            expression[i] = HELD_SIGMA
    errors = len(evidence.modes)
    sigma = torch.cat([torch.tensor(JAW_SIGMA_RADIANS).double(), torch.full((4,), GAZE_SIGMA_RADIANS).double(), expression,
                       torch.ones(errors).double()])
    free = torch.ones(EXPRESSION + count + errors, dtype=torch.bool)
    free[JAW] = free[EXPRESSION:] = evidence.expression
    free[GAZE] = evidence.gaze
    ends = (0.0, 1.0) if names else (-MOST_CODE, MOST_CODE)                # named actions run from none to full
    low, high = (torch.cat([torch.tensor(jaw), torch.full((4,), gaze), torch.full((count,), end),
                             torch.full((errors,), side * MOST_ERROR)]).double()
                 for side, jaw, gaze, end in zip((-1, 1), JAW_RANGE, (-GAZE_RANGE, GAZE_RANGE), ends, strict=True))
    return View(evidence, head.crop_to_picture[0].double(), expected, sigma, free, low, high)


def solve(views: Sequence[View], states: Sequence[State], model: HeadModel, steps: int = STEPS) -> list[State]:
    """The states of one person's photos that explain them best; they share one identity. Each step is kept only if it helps."""
    states = [replace(state, shape=replace(state.shape, identity=states[0].shape.identity)) for state in states]
    damping, best = 1e-3, total_cost(views, states, model)
    for _ in range(steps):
        lines = [_linear(view, state, model) for view, state in zip(views, states, strict=True)]
        for _ in range(6):
            trial = _step(views, states, lines, damping)
            cost = total_cost(views, trial, model)
            if cost < best:
                break
            damping *= 10
        else:
            return states
        gain, states, best, damping = (best - cost) / best, trial, cost, max(damping / 10, 1e-9)
        if gain < GOOD_ENOUGH:
            break
    return states


def total_cost(views: Sequence[View], states: Sequence[State], model: HeadModel) -> float:
    """Half the sum of squared residuals, far ones counted by Huber's rule, and of the priors."""
    identity = (states[0].shape.identity - views[0].expected.shape.identity) / CODE_SIGMA
    return float(identity.square().sum() / 2) + sum(map(lambda view, state: _own_cost(view, state, model), views, states))


def pixel_distances(view: View, state: State, model: HeadModel) -> Tensor:
    """Pixels from each seen point to the head's, [P]; of the jaw line, whose points slide, across the line."""
    evidence, found = view.evidence, []
    for at, pixels, weights in _projected(view, state, model):
        sliding = pixels is evidence.contour_pixels
        apart = _apart(at, pixels, weights)
        found.append(apart[:, 1].abs() / weights[:, 1].norm(dim=1) if sliding else (at - pixels).norm(dim=1))
    return torch.cat(found)


def with_errors(view: View, state: State, model: HeadModel) -> State:
    """The state with the detector's common errors that explain most of what is left."""
    state = replace(state, errors=view.evidence.modes.new_zeros(len(view.evidence.modes)))
    for _ in range(3 if len(state.errors) else 0):
        at, pixels, weights = _projected(view, state, model)[0]
        apart = _apart(at, pixels, weights)
        whiten = (view.evidence.huber / apart.norm(dim=1)).clamp(max=1).sqrt()[:, None, None] * weights
        rows = torch.einsum("pdc,apc->pda", whiten, view.evidence.modes).flatten(0, 1)
        gap = _apart(at, view.evidence.pixels, whiten).flatten()
        state = replace(state, errors=torch.linalg.solve(rows.T @ rows + torch.eye(rows.shape[1]).double(), rows.T @ gap))
    return state


def _own_cost(view: View, state: State, model: HeadModel) -> float:
    away = torch.cat([_apart(*group) for group in _projected(view, state, model)]).norm(dim=1)
    limit = min(view.evidence.huber, FARTHEST)
    misfit = torch.where(away < limit, away.square() / 2, limit * (away - limit / 2)).sum()
    return float(misfit + _priors(view, state)[0].square().sum() / 2)


def _apart(at: Tensor, pixels: Tensor, weights: Tensor) -> Tensor:
    return (weights @ (at - pixels)[..., None]).squeeze(-1)


def _groups(view: View, state: State, model: HeadModel) -> list[tuple[SurfacePoints, Tensor, Tensor]]:
    """Places, pixels and weights: of the fixed points, then of the jaw line where it lies at this turn."""
    seen = view.evidence
    groups = [(seen.places, seen.pixels + torch.einsum("a,apc->pc", state.errors, seen.modes), seen.weights)]
    if len(seen.contour_pixels):
        row = int(contour_rows(state.turn[None])[0])
        groups.append((contour_places(model, row), seen.contour_pixels, seen.contour_weights))
    return groups


def _projected(view: View, state: State, model: HeadModel) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Where the head's points lie in the picture, pixels and weights, group by group."""
    found = []
    for places, pixels, weights in _groups(view, state, model):
        points, root = places.points(state.shape)
        found.append((to_pixels(points @ state.turn.mT + root, state, view.crop_to_picture), pixels, weights))
    return found


def to_pixels(points: Tensor, state: State, placing: Tensor) -> Tensor:
    """World points [P, 3] -> pixels [P, 2]; `camera.project` and `camera.place` in float64."""
    flat = (points[:, :2] + state.shift) * state.log_scale.exp() * points.new_tensor([1.0, -1.0])
    return (flat * 0.5 + 0.5) * CROP_SIZE @ placing[:2, :2] + placing[2, :2]


def pixels_by_world(state: State, placing: Tensor) -> Tensor:
    """Derivative of pixels by world metres, row vectors: [3, 2]."""
    flat = torch.tensor([[1.0, 0.0], [0.0, -1.0], [0.0, 0.0]], dtype=torch.float64)
    return flat * state.log_scale.exp() * (CROP_SIZE / 2) @ placing[:2, :2]


def _linear(view: View, state: State, model: HeadModel) -> Linear:
    """Residuals, each group's points counted by Huber's rule, then the priors."""
    parts = [_linear_points(places.moved(state.shape), pixels, weights, view, state)
             for places, pixels, weights in _groups(view, state, model)]
    values, rows = _priors(view, state)
    parts.append(Linear(values, rows, rows.new_zeros(len(rows), len(state.shape.identity))))
    return Linear(*(torch.cat([getattr(part, name) for part in parts]) for name in ("residuals", "own", "identity")))


def _linear_points(moved: Moved, pixels: Tensor, weights: Tensor, view: View, state: State) -> Linear:
    turned = moved.points @ state.turn.mT
    at = to_pixels(turned + moved.root, state, view.crop_to_picture)
    apart = _apart(at, pixels, weights)
    trust = (view.evidence.huber / apart.norm(dim=1)).clamp(max=1).sqrt()
    whiten = (trust[:, None, None] * weights).mT                                            # [P, 2, 2], row vectors
    by_world = pixels_by_world(state, view.crop_to_picture) @ whiten                        # [P, 3, 2]
    count, known = len(at), len(state.shape.identity)
    rotation = torch.stack([torch.linalg.cross(axis.expand_as(turned), turned) for axis in torch.eye(3).double()])
    origin = view.crop_to_picture[:2, :2].sum(0) * (CROP_SIZE / 2) + view.crop_to_picture[2, :2]
    by_scale = ((at - origin)[:, None] @ whiten).view(-1, 1)
    by_shift = by_world[:, :2].permute(0, 2, 1).reshape(2 * count, 2)
    angles = moved.by_angle @ state.turn.mT
    codes = moved.by_code @ state.turn.mT + moved.root_by_code[:, None]

    def rows(world: Tensor) -> Tensor:
        """[K, P, 3] world -> [2 P, K]."""
        return torch.einsum("kpc,pcd->pdk", world, by_world).flatten(0, 1)

    by_codes = rows(codes)
    modes = by_codes.new_zeros(2 * count, len(view.evidence.modes)) if pixels is view.evidence.contour_pixels else (
        -torch.einsum("apc,pcd->pda", view.evidence.modes, whiten).flatten(0, 1))
    own = torch.cat([rows(rotation), by_scale, by_shift, rows(angles), by_codes[:, known:], modes], 1)
    return Linear((trust[:, None] * apart).flatten(), own, by_codes[:, :known])


def _priors(view: View, state: State) -> tuple[Tensor, Tensor]:
    """Whitened distance from what is expected of a photo's own unknowns [Q], and its derivatives [Q, 13 + E + A]."""
    own = state.own()
    about = (own - view.expected.own()) / view.sigma
    gaze = state.shape.gaze
    squint = torch.stack([(gaze[0, axis] - gaze[1, axis]) / SQUINT_SIGMA_RADIANS[axis] for axis in (0, 1)])
    pitch_sigma = PITCH_SIGMA[view.evidence.expression]
    facing = state.turn[:, 2]
    pitch = (facing[1] / pitch_sigma)[None]
    count = POSE.stop + len(own)
    rows = own.new_zeros(len(own) + 3, count)
    rows[:len(own), POSE.stop:] = (1 / view.sigma).diag()
    for axis in (0, 1):
        rows[len(own) + axis, GAZE.start + axis] = 1 / SQUINT_SIGMA_RADIANS[axis]
        rows[len(own) + axis, GAZE.start + 2 + axis] = -1 / SQUINT_SIGMA_RADIANS[axis]
    rows[-1, 0], rows[-1, 2] = -facing[2] / pitch_sigma, facing[0] / pitch_sigma
    return torch.cat([about, squint, pitch]), rows


def _step(views: Sequence[View], states: Sequence[State], lines: Sequence[Linear], damping: float) -> list[State]:
    """The damped Gauss-Newton step of all photos together, cut to the bounds."""
    identity = states[0].shape.identity
    gap = identity - views[0].expected.shape.identity
    shared = torch.eye(len(identity), dtype=torch.float64) / CODE_SIGMA ** 2
    slope = gap / CODE_SIGMA ** 2
    parts = []
    for view, state, line in zip(views, states, lines, strict=True):
        own, mixed, own_slope = line.own.T @ line.own, line.own.T @ line.identity, line.own.T @ line.residuals
        _hold(own, mixed, own_slope, _moving(view, state, own_slope))
        own = own + damping * torch.diag(own.diagonal() + 1e-9)
        inner = torch.linalg.solve(own, torch.cat([mixed, own_slope[:, None]], 1))
        parts.append(inner)
        shared = shared + line.identity.T @ line.identity - mixed.T @ inner[:, :-1]
        slope = slope + line.identity.T @ line.residuals - mixed.T @ inner[:, -1]
    shared = shared + damping * torch.diag(shared.diagonal() + 1e-9)
    move = -torch.linalg.solve(shared, slope)
    return [_moved(view, state, -inner[:, -1] - inner[:, :-1] @ move, move)
            for view, state, inner in zip(views, states, parts, strict=True)]


def _moving(view: View, state: State, slope: Tensor) -> Tensor:
    """[13 + E + A] bool: unknowns that this photo tells and that are not pressed against their bounds."""
    own, push = state.own(), slope[POSE.stop:]
    pressed = ((own <= view.low) & (push > 0)) | ((own >= view.high) & (push < 0))
    moving = view.free.clone()
    moving[POSE.stop:] &= ~pressed
    return moving


def _hold(own: Tensor, mixed: Tensor, slope: Tensor, moving: Tensor) -> None:
    """Takes the unknowns that do not move out of a system, in place."""
    own[~moving], own[:, ~moving], mixed[~moving], slope[~moving] = 0, 0, 0, 0
    own.diagonal()[~moving] = 1


def _moved(view: View, state: State, step: Tensor, identity: Tensor) -> State:
    own = torch.minimum(torch.maximum(state.own() + step[POSE.stop:], view.low), view.high)
    own = torch.where(view.free[POSE.stop:], own, state.own())
    expression, errors = own[7:].split([len(state.shape.expression), len(state.errors)])
    shape = Shape((state.shape.identity + identity).clamp(-MOST_CODE, MOST_CODE), expression, own[:3], own[3:7].view(2, 2))
    return State(shape, matrix_from_axis_angle(step[:3]) @ state.turn, state.log_scale + step[3], state.shift + step[4:6], errors)
