"""Editing a head by hand: turn, move, scale, open the jaw, named expressions, gaze, and the shape of the face."""
from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Literal

import torch
from torch import Tensor

from ...check import fail, require
from ...flow import Head
from ..model.head_model import HeadModel
from ..options import EDIT_MODES
from ..pivot import move_pivot, pivot, scale_about_pivot, scale_of
from ..rotations import axis_angle_from_matrix, matrix_from_axis_angle, matrix_from_yaw_pitch_roll, yaw_pitch_roll_from_matrix
from .expressions import expression_change
from .gaze import gaze_after
from .relight import turn_light
from .shape import numbered, reshape

Mode = Literal["add", "set"]


@dataclass(frozen=True)
class Edit:
    """One edit. Signs: see `rotations`. Lengths are in units of the picture's shorter side."""

    yaw_degrees: float = 0.0             # positive: the face turns to the picture's right
    pitch_degrees: float = 0.0           # positive: looks up
    roll_degrees: float = 0.0            # positive: tilts clockwise in the picture
    x: float = 0.0                       # positive: to the right
    y: float = 0.0                       # positive: down
    scale: float = 1.0                   # factor; in mode set, relative to a new head
    jaw_degrees: float = 0.0             # positive: opens
    expressions: dict[str, float] = field(default_factory=dict)
    gaze_yaw_degrees: float = 0.0        # positive: the eyes turn to the picture's right, against the head
    gaze_pitch_degrees: float = 0.0      # positive: up
    gaze_convergence_degrees: float = 0.0    # of each eye towards the nose; negative: apart
    neck_share: float = 0.0              # 0..1 of the turn that the neck makes; the bust makes the rest
    shape: tuple[float, ...] = ()        # on top of the first numbers of the head's shape code, in every mode
    texture: tuple[float, ...] = ()      # the same of its texture code


def edit_head(head: Head, model: HeadModel, edit: Edit, mode: Mode = "add", follow_light: bool = False,
              framed: bool = False) -> Head:
    """The edited head; every head of the batch is edited alike.

    add: angles, shifts, jaw and expressions are added to what the head has, the scale multiplies. The head turns on the
    spot, about its pivot. An edit and its negative (scale: its inverse) cancel while |pitch| stays below 90 degrees.
    follow_light: the light turns along with the head instead of staying where it is.
    set: pose, place (0, 0: the picture's centre), scale, jaw, expression, gaze and neck become exactly the edit's.
    framed: place and scale do so in any mode. Who it is changes by `shape` and `texture` alone, which are added in any mode.
    """
    _check(edit, mode)
    _check_codes(head, model)
    anchored = pivot(head, model)
    head = reshape(head, model, edit.shape, edit.texture)
    head = _turn(head, edit, mode, follow_light)
    head = _express(head, model, edit, mode)
    short = min(head.width, head.height)
    step = torch.tensor([edit.x * short, edit.y * short])
    if mode == "add" and not framed:
        head = move_pivot(head, model, anchored)
        head = scale_about_pivot(head, model, torch.full((len(head),), edit.scale))
        return move_pivot(head, model, pivot(head, model) + step)
    head = scale_about_pivot(head, model, edit.scale / scale_of(head))
    return move_pivot(head, model, (torch.tensor([head.width / 2, head.height / 2]) + step).expand(len(head), 2))


def _turn(head: Head, edit: Edit, mode: Mode, follow_light: bool) -> Head:
    head = head.replace(neck_share=neck_after(head.neck_share, edit.neck_share, mode))
    turned = turned_by(head.rotation_radians, (edit.yaw_degrees, edit.pitch_degrees, edit.roll_degrees), mode)
    if turned is head.rotation_radians:
        return head
    if follow_light:
        before, after = matrix_from_axis_angle(head.rotation_radians), matrix_from_axis_angle(turned)
        head = head.replace(light=turn_light(head.light, axis_angle_from_matrix(after @ before.transpose(-1, -2))))
    return head.replace(rotation_radians=turned)


def turned_by(rotation_radians: Tensor, degrees: tuple[float, float, float], mode: Mode) -> Tensor:
    """Rotations [B, 3] after an edit of yaw, pitch and roll: exactly as they were where nothing is added."""
    asked = torch.tensor(degrees).expand(len(rotation_radians), 3)
    if mode == "add":
        if not asked.any():
            return rotation_radians      # not merely up to rounding
        asked = asked + torch.stack(yaw_pitch_roll_from_matrix(matrix_from_axis_angle(rotation_radians)), -1)
    return axis_angle_from_matrix(matrix_from_yaw_pitch_roll(*asked.unbind(-1)))


def _express(head: Head, model: HeadModel, edit: Edit, mode: Mode) -> Head:
    change = expression_change(model, edit.expressions)
    expression, jaw_radians = expressed(head.expression, head.jaw_radians, change, edit.jaw_degrees, mode)
    angles = edit.gaze_yaw_degrees, edit.gaze_pitch_degrees, edit.gaze_convergence_degrees
    return head.replace(expression=expression, jaw_radians=jaw_radians, gaze_radians=gaze_after(head.gaze_radians, angles, mode))


def expressed(
    expression: Tensor,                  # [..., E] code before the edit
    jaw_radians: Tensor,                 # [..., 3] before the edit
    change: tuple[Tensor, Tensor],       # code [E] and jaw [3] of the named expressions, see `expression_change`
    jaw_degrees: float,
    mode: Mode,
) -> tuple[Tensor, Tensor]:
    """Expression code and jaw after an edit: on top of what was there (add), or in its place (set)."""
    code, jaw = change
    jaw = jaw + torch.tensor([math.radians(jaw_degrees), 0.0, 0.0])
    keep = 1.0 if mode == "add" else 0.0
    return expression * keep + code, jaw_radians * keep + jaw


def neck_after(neck_share: Tensor, share: float, mode: Mode) -> Tensor:
    """Shares [B] of the neck after an edit: more of it (add), or exactly so much (set); 0..1."""
    return (neck_share + share).clamp(0, 1) if mode == "add" else torch.full_like(neck_share, share)


def _check_codes(head: Head, model: HeadModel) -> None:
    """A file may claim this head model and hold codes of another."""
    shape, expression = model.identity_basis.shape[0], model.expression_basis.shape[0]
    codes = (head.identity.shape[1], head.expression.shape[1])
    require(codes[0] <= shape and codes[1] == expression, "head",
            f"must have its head model's {shape} shape and {expression} expression numbers", f"{codes[0]} and {codes[1]}",
            "use a head that was made with this head model")


def require_mode(mode: object) -> None:
    """Refuse what is neither add nor set."""
    if mode not in EDIT_MODES:
        fail("mode", f"must be {' or '.join(EDIT_MODES)}", repr(mode)[:40], "choose one of them")


def _check(edit: Edit, mode: Mode) -> None:
    require_mode(mode)
    numbers = {f.name: getattr(edit, f.name) for f in fields(edit) if f.name not in ("expressions", "shape", "texture")}
    numbers |= edit.expressions | numbered("shape", edit.shape) | numbered("texture", edit.texture)
    for name, value in numbers.items():
        require(math.isfinite(value), name, "must be a finite number", value, "type a number")
    require(0 <= edit.neck_share <= 1, "neck_share", "must be from 0 to 1", edit.neck_share, "use 0.5, as a person turns")
    require(edit.scale > 0, "scale", "must be greater than 0", edit.scale, "use 1 to keep the size")
