"""Named expressions do what their names say, on the built-in head and on a model whose expressions have no names."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.flow import Face, Faces
from caphuman_core.head.edit.expressions import (
    EXPRESSIONS,
    JAW_OPEN_RADIANS,
    code_of_actions,
    expression_change,
    eye_distance,
    landmark_response,
    pose_of_scores,
    unit_expression,
)
from caphuman_core.head.fit.landmark_fit import fit_faces
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.model.posing import pose_head
from caphuman_core.head.new import new_head
from caphuman_core.render.maps import render

# name -> (landmark, axis, sign): where a landmark goes; x to the person's left, y up. 48 is the viewer's left mouth corner.
MOVES = {
    "smile": [(48, 1, +1), (54, 1, +1)], "frown": [(48, 1, -1), (54, 1, -1)],
    "brows_up": [(19, 1, +1), (24, 1, +1)], "brows_down": [(19, 1, -1), (24, 1, -1)],
    "mouth_open": [(8, 1, -1), (57, 1, -1)], "wide_mouth": [(48, 0, -1), (54, 0, +1)], "pucker": [(48, 0, +1), (54, 0, -1)],
    "jaw_left": [(8, 0, +1)], "jaw_right": [(8, 0, -1)], "surprise": [(8, 1, -1), (21, 1, +1)], "anger": [(21, 1, -1)],
    "sadness": [(48, 1, -1)], "fear": [(21, 1, +1)], "sneer": [(51, 1, +1)], "disgust": [(51, 1, +1)],
    "grin": [(48, 1, +1), (54, 1, +1), (62, 1, +1)], "laugh": [(57, 1, -1), (8, 1, -1)], "tongue_out": [(8, 1, -1)],
    "smile_left": [(54, 1, +1)], "smile_right": [(48, 1, +1)], "brow_left": [(24, 1, +1)], "brow_right": [(19, 1, +1)],
}
# iBUG's mirror image of each landmark, by parts.
MIRROR = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1), 45, 44, 43, 42, 47, 46,
          39, 38, 37, 36, 41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65]


@pytest.fixture(scope="module")
def builtin():
    return load_builtin()


def moved(model, amounts):
    """Displacement [68, 3] of the fixed landmarks, in eye distances."""
    code, jaw = expression_change(model, amounts)
    zero = torch.zeros(1, model.identity_basis.shape[0])
    after, before = (pose_head(model, zero, c[None], torch.zeros(1, 3), j[None]).landmarks3d[0]
                     for c, j in ((code, jaw), (torch.zeros_like(code), torch.zeros(3))))
    return (after - before) / eye_distance(model)


def without_names(model):
    """The same head as FLAME would give it: principal components of its expressions, and no names for them."""
    parts, sizes, directions = torch.linalg.svd(model.expression_basis.flatten(1), full_matrices=False)
    basis = (sizes[:, None] * directions / len(parts) ** 0.5).reshape(model.expression_basis.shape)
    return replace(model, expression_basis=basis, expression_names=(), fingerprint="without names")


@pytest.fixture(params=["built-in", "without names", "FLAME's format"])
def any_model(request, builtin, model):
    return {"built-in": builtin, "without names": without_names(builtin), "FLAME's format": model}[request.param]


@pytest.fixture(params=["built-in", "without names"])
def mirrored_model(request, builtin):
    """Models whose left and right are alike, as the test model's random directions are not."""
    return builtin if request.param == "built-in" else without_names(builtin)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_each_moves_its_landmarks_and_more_with_more(any_model, name):
    steps = torch.stack([moved(any_model, {name: amount / 5}) for amount in range(6)])           # [6, 68, 3]
    for landmark, axis, sign in MOVES.get(name, []):
        way = steps[:, landmark, axis] * sign
        assert bool((way.diff() > 0).all()), (name, landmark)
        assert float(way[-1]) > 0.01, (name, landmark)            # visible: over a hundredth of the eye distance
    far = steps[-1].norm(dim=-1)
    moving = far > 0.25 * far.max()                               # those the expression is about
    way = (steps * steps[-1]).sum(-1) / far.clamp(min=1e-9)       # along where each one ends
    assert bool((way.diff(dim=0) > 0)[:, moving].all()), name


@pytest.mark.parametrize("name", ["jaw_left", "jaw_right", "mouth_open"])
def test_the_jaw_moves_whatever_the_expressions_of_a_model_can_do(builtin, name):
    """FLAME's expressions are learnt with the jaw's own turns taken out: they cannot push it aside, its joint can."""
    still = replace(builtin, expression_basis=builtin.expression_basis[:3] * 0, expression_names=(), fingerprint="still")
    (landmark, axis, sign), *_ = MOVES[name]
    assert float(moved(builtin, {name: 1.0})[landmark, axis] * sign) > 0.15      # of the eye distance: nearly a centimetre
    assert float(moved(still, {name: 1.0})[landmark, axis] * sign) > 0.05


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_mirror_pairs_are_symmetric_and_the_rest_in_themselves(mirrored_model, name: str):
    swap = {"left": "right", "right": "left"}
    twin = "_".join(swap.get(word, word) for word in name.split("_"))
    mirrored = moved(mirrored_model, {twin: 1.0})[MIRROR] * torch.tensor([-1.0, 1.0, 1.0])
    here = moved(mirrored_model, {name: 1.0})
    # float32 through a least-squares solution; the smallest expression moves its landmarks by 0.05
    torch.testing.assert_close(here, mirrored, atol=1e-3, rtol=0)


def test_blink_closes_one_eye(builtin):
    left, right = moved(builtin, {"blink_left": 1.0}), moved(builtin, {"blink_right": 1.0})
    assert float(left[[43, 44], 1].mean()) < -0.05 < 0.02 > float(left[[37, 38], 1].abs().max())
    assert float(right[[37, 38], 1].mean()) < -0.05


def test_a_model_without_names_gets_solved_codes(builtin, model):
    response = landmark_response(model)
    for name in ("smile", "brows_up", "blink_left"):
        actions = EXPRESSIONS[name].actions
        wanted = landmark_response(builtin).T @ code_of_actions(builtin, actions)
        code = code_of_actions(model, actions)
        error, before = float((response.T @ code - wanted).norm()), float(wanted.norm())
        assert error < before, name                               # least squares: never worse than doing nothing
        nudged = code + 0.1 * torch.randn(len(code), generator=torch.Generator().manual_seed(2))
        assert float((response.T @ nudged - wanted).norm()) > error
    assert torch.equal(unit_expression(model, "mouth_open")[0], torch.zeros(len(code)))      # the jaw alone


def test_unknown_names_are_refused(builtin):
    with pytest.raises(InputError, match="expression 'wink' must be a known name"):
        expression_change(builtin, {"wink": 1.0})
    with pytest.raises(InputError, match="must be one of the head model's actions"):
        code_of_actions(builtin, {"wink": 1.0})


def test_scores_set_a_named_head_and_landmarks_another(builtin, model):
    scores = {"_neutral": 0.1, "jawOpen": 0.5, "mouthSmileLeft": 0.7, "mouthSmileRight": 0.6}
    code, jaw = pose_of_scores(builtin, scores)
    assert float(code[builtin.expression_names.index("mouthSmileLeft")]) == pytest.approx(0.7)
    assert float(code[builtin.expression_names.index("jawOpen")]) == 0.0
    assert float(jaw[0]) == pytest.approx(0.5 * JAW_OPEN_RADIANS)
    for head_model in (builtin, model):
        points = render(new_head(head_model, 200, 200), head_model, 200, 200).landmarks[0]
        face = Face(torch.cat([points.amin(0), points.amax(0)]), 1.0, points68=points, expression_scores=scores)
        fitted = fit_faces(Faces(((face,),), 200, 200), head_model)
        named = bool(head_model.expression_names)            # the neutral points say: closed mouth; the scores say: open
        assert (float(fitted.jaw_radians[0, 0]) > 0.1) == named


def test_the_jaw_joint_opens_like_the_action(builtin):
    zero = torch.zeros(1, 3)
    action = torch.zeros(1, len(builtin.expression_names))
    action[0, builtin.expression_names.index("jawOpen")] = 1.0
    identity = torch.zeros(1, builtin.identity_basis.shape[0])
    by_action = pose_head(builtin, identity, action, zero, zero).landmarks3d[0]
    by_joint = pose_head(builtin, identity, action * 0, zero, torch.tensor([[JAW_OPEN_RADIANS, 0.0, 0.0]])).landmarks3d[0]
    apart = (by_action - by_joint)[[8, 57, 66]].norm(dim=-1) / eye_distance(builtin)
    assert float(apart.max()) < 0.1                          # chin and lower lip: within a tenth of the eye distance


# --- by hand

def test_a_mixture_is_the_sum_of_its_parts_by_their_amounts(builtin):
    code, jaw = expression_change(builtin, {"mouth_open": 0.5, "jaw_left": 0.8, "brows_up": 2.0, "blink_left": 0.0})
    parts = {name: unit_expression(builtin, name) for name in ("mouth_open", "jaw_left", "brows_up")}
    torch.testing.assert_close(code, 0.5 * parts["mouth_open"][0] + 0.8 * parts["jaw_left"][0] + 2 * parts["brows_up"][0])
    torch.testing.assert_close(torch.rad2deg(jaw), torch.tensor([9.0, 6.4, 0.0]))
    asked = []
    expression_change(builtin, {"smile": 1.0, "frown": 0.0}, lambda model, name: asked.append(name) or unit_expression(model, name))
    assert asked == ["smile"], "what is not there is not worked out"


def test_codes_of_a_model_without_names_are_those_of_ridge_regression(builtin, model):
    response, actions = landmark_response(model).double(), {"mouthSmileLeft": 0.5, "browInnerUp": 1.0}
    wanted = landmark_response(builtin).double().T @ code_of_actions(builtin, actions).double()
    gram = response @ response.T
    ridge = 1e-3 * gram.diagonal().mean() * torch.eye(len(gram)).double()
    torch.testing.assert_close(code_of_actions(model, actions).double(), torch.linalg.solve(gram + ridge, response @ wanted),
                               atol=1e-3, rtol=1e-2)


def test_landmarks_answer_in_eye_distances(builtin):
    points = pose_head(builtin, torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 3), torch.zeros(1, 3)).landmarks3d[0]
    apart = points[42:48].mean(0) - points[36:42].mean(0)
    assert eye_distance(builtin) == pytest.approx(float(apart.norm()), rel=1e-5)
    assert float(apart[0]) > 0, "the left eye, which is on the picture's right, less the right one"
    code = torch.zeros(1, len(builtin.expression_names))
    code[0, 3] = 1.0
    moved = pose_head(builtin, torch.zeros(1, 1), code, torch.zeros(1, 3), torch.zeros(1, 3)).landmarks3d[0] - points
    torch.testing.assert_close(landmark_response(builtin)[3].view(68, 3), moved / eye_distance(builtin), atol=1e-5, rtol=0)


def test_scores_without_an_open_jaw_leave_it_closed(builtin):
    code, jaw = pose_of_scores(builtin, {"_neutral": 1.0, "mouthSmileLeft": 0.25})
    assert jaw.tolist() == [0, 0, 0]
    assert float(code.sum()) == 0.25
    _, opened = pose_of_scores(builtin, {"jawOpen": 1.0})
    assert opened.tolist() == pytest.approx([0.36, 0.0, 0.0])
