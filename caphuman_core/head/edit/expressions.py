"""Named expressions on any head model.

Each name is a mixture of the built-in head's 52 actions (ARKit names) and of jaw turns. On a model that has those
actions they are used as they are; on any other one (FLAME's principal components have no names) the expression
code is solved by regularised least squares, so that the 68 landmarks move as on the built-in head, measured
in eye distances.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

import torch
from torch import Tensor

from ...check import fail
from ...points import LEFT_EYE, RIGHT_EYE
from ..model.head_model import HeadModel, load_builtin
from ..model.landmarks import on_surface
from .limits import JAW, JAW_DEGREES, within_limits
from .recipes import APPENDED, EXPRESSIONS

JAW_OPEN_RADIANS = 0.36      # jaw turn that opens the mouth as the action jawOpen does at amount 1
NOTHING = 1e-9               # of an action: rounding
RIDGE = 1e-3                 # of the mean landmark response: keeps solved codes small where landmarks say nothing

AMOUNT_RIDGE = 3e-4          # of the mean movement of a named expression; some are mixtures of others


Unit = tuple[Tensor, Tensor]                     # expression code [E] and jaw_radians [3] of a named expression at amount 1


def expression_change(model: HeadModel, amounts: dict[str, float], unit: Callable[[HeadModel, str], Unit] | None = None
                      ) -> tuple[Tensor, Tensor]:
    """Code and jaw to add for a mixture of named expressions: their sum, as far as a face allows it (`limits`).

    amounts: name -> amount, 0 none, 1 full; others extrapolate. unit: `unit_expression`, or one that remembers its answers.
    Returns expression [E] and jaw_radians [3].
    """
    code, jaw = torch.zeros(model.expression_basis.shape[0]), torch.zeros(3)
    for name, amount in amounts.items():
        if name not in EXPRESSIONS:
            fail(f"expression '{name}'", "must be a known name", repr(name), f"use one of {', '.join(EXPRESSIONS)}")
        if amount:
            unit_code, unit_jaw = (unit or unit_expression)(model, name)
            code, jaw = code + amount * unit_code, jaw + amount * unit_jaw
    change = _changed_by_limits(amounts)
    turn = math.radians(change.pop(JAW, 0.0) * JAW_DEGREES)
    return (code + code_of_actions(model, change) if change else code), (jaw + torch.tensor([turn, 0.0, 0.0]) if turn else jaw)


def _changed_by_limits(amounts: Mapping[str, float]) -> dict[str, float]:
    """What limits change in the sum of the named expressions: action -> amount, JAW as well; nothing for most mixtures."""
    asked = [{action: amount * share for action, share in _actions_and_jaw(name).items()}
             for name, amount in amounts.items() if amount]
    changes = {action: amount - sum(one.get(action, 0.0) for one in asked) for action, amount in within_limits(asked).items()}
    return {action: change for action, change in changes.items() if abs(change) > NOTHING}


def _actions_and_jaw(name: str) -> dict[str, float]:
    recipe = EXPRESSIONS[name]
    return {**recipe.actions, JAW: max(recipe.jaw_degrees[0], 0.0) / JAW_DEGREES}


def amounts_like(model: HeadModel, code: Tensor, unit: Callable[[HeadModel, str], Unit] | None = None) -> dict[str, float]:
    """Amounts of the named expressions whose mixture moves the surface most like an expression code [E].

    Those of APPENDED stay 0: they are mixtures, or halves, of the others.
    """
    names = [name for name in EXPRESSIONS if name not in APPENDED]
    units = torch.stack([(unit or unit_expression)(model, name)[0] for name in names]).double()                  # [N, E]
    basis = model.expression_basis.flatten(1).double()
    towards = units @ basis @ basis.T                                                                        # [N, E]
    system = towards @ units.T
    ridge = AMOUNT_RIDGE * system.diagonal().mean() * torch.eye(len(units), dtype=torch.float64)
    found = torch.linalg.solve(system + ridge, towards @ code.double())
    return dict.fromkeys(EXPRESSIONS, 0.0) | dict(zip(names, found.tolist(), strict=True))


def unit_expression(model: HeadModel, name: str) -> Unit:
    """Expression code [E] and jaw_radians [3] of one named expression at amount 1."""
    recipe = EXPRESSIONS[name]
    jaw = torch.tensor([math.radians(angle) for angle in recipe.jaw_degrees])
    return code_of_actions(model, recipe.actions), jaw


def code_of_actions(model: HeadModel, actions: Mapping[str, float]) -> Tensor:
    """Expression code [E] that performs ARKit actions (amounts 0..1) on any model; unknown action names are an error."""
    if not set(actions) - set(model.expression_names) and model.expression_names:
        code = torch.zeros(model.expression_basis.shape[0])
        for action, amount in actions.items():
            code[model.expression_names.index(action)] += amount
        return code
    builtin = _builtin()
    if model.fingerprint == builtin.fingerprint:
        fail("expression action", "must be one of the head model's actions",
             ", ".join(sorted(set(actions) - set(model.expression_names))), "use the 52 ARKit names")
    wanted = landmark_response(builtin).T @ code_of_actions(builtin, actions)                # [204]
    response = landmark_response(model)                                                       # [E, 204]
    gram = response @ response.T
    ridge = RIDGE * gram.diagonal().mean().clamp(min=1e-12) * torch.eye(len(gram))
    return torch.linalg.solve(gram + ridge, response @ wanted)


def pose_of_scores(model: HeadModel, scores: Mapping[str, float]) -> tuple[Tensor, Tensor]:
    """Expression code [E] and jaw_radians [3] of a detector's expression scores (ARKit name -> 0..1).

    jawOpen turns the jaw joint, so that it survives a transfer to other head models; "_neutral" says nothing.
    """
    actions = {name: score for name, score in scores.items() if not name.startswith("_") and name != "jawOpen"}
    return code_of_actions(model, actions), torch.tensor([scores.get("jawOpen", 0.0) * JAW_OPEN_RADIANS, 0.0, 0.0])


def landmark_response(model: HeadModel) -> Tensor:
    """How each expression direction moves the 68 fixed landmarks at rest, in eye distances -> [E, 204]."""
    moved = on_surface(model.expression_basis, model.faces, model.full_faces, model.full_weights)
    return moved.flatten(1) / eye_distance(model)


def eye_distance(model: HeadModel) -> float:
    """Metres between the eye centres (means of landmarks 36..41 and 42..47) of the neutral head."""
    points = on_surface(model.template[None], model.faces, model.full_faces, model.full_weights)[0]
    return float((points[list(LEFT_EYE)].mean(0) - points[list(RIGHT_EYE)].mean(0)).norm())


@lru_cache(maxsize=1)
def _builtin() -> HeadModel:
    return load_builtin()
