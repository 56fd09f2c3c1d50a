"""Rotations of heads: axis-angle (radians), matrices, and yaw / pitch / roll (degrees).

FLAME's axes: x to the person's left, y up, z towards the viewer. Positive yaw turns the face towards
the picture's right, positive pitch looks up, positive roll tilts the head clockwise in the picture:
R = Ry(yaw) Rx(-pitch) Rz(-roll).
"""
from __future__ import annotations

import torch
from torch import Tensor


def matrix_from_axis_angle(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula. axis_angle [..., 3] radians -> [..., 3, 3]; differentiable at zero."""
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    square = (axis_angle * axis_angle).sum(-1)[..., None, None]
    small = square < 1e-8
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    sine = torch.where(small, 1 - square / 6, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / (angle * angle))
    return torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device) + sine * cross + cosine * (cross @ cross)


def axis_angle_from_matrix(matrix: Tensor) -> Tensor:
    """The rotation vector of [..., 3, 3], length 0..pi radians, through the quaternion of largest component."""
    w, v = _quaternion(matrix)
    length = v.norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(length, w[..., None])
    return torch.where(length > 1e-9, v / length.clamp(min=1e-12) * angle, 2 * v)


def _quaternion(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Unit quaternion (w >= 0 [...], xyz [..., 3]); Shepperd's method, stable at 180 degrees."""
    m = matrix
    diagonal = torch.stack([m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], -1)
    trace = diagonal.sum(-1, keepdim=True)
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    squares = torch.cat([1 + trace, 1 + 2 * diagonal - trace], -1)              # 4w^2, 4x^2, 4y^2, 4z^2
    ww, xx, yy, zz = squares.unbind(-1)
    rows = torch.stack([torch.stack([ww, a, b, c], -1), torch.stack([a, xx, d, e], -1),
                        torch.stack([b, d, yy, f], -1), torch.stack([c, e, f, zz], -1)], -2)
    best = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    q = rows.gather(-2, best).squeeze(-2)
    q = q / q.norm(dim=-1, keepdim=True)
    q = torch.where(q[..., :1] < 0, -q, q)
    return q[..., 0], q[..., 1:]


def matrix_from_yaw_pitch_roll(yaw_degrees: Tensor, pitch_degrees: Tensor, roll_degrees: Tensor) -> Tensor:
    """[...] degrees each -> [..., 3, 3]; signs as in the module docstring."""
    zero = torch.zeros_like(yaw_degrees)
    turn = matrix_from_axis_angle(torch.stack([zero, torch.deg2rad(yaw_degrees), zero], -1))
    nod = matrix_from_axis_angle(torch.stack([-torch.deg2rad(pitch_degrees), zero, zero], -1))
    tilt = matrix_from_axis_angle(torch.stack([zero, zero, -torch.deg2rad(roll_degrees)], -1))
    return turn @ nod @ tilt


def yaw_pitch_roll_from_matrix(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Inverse of `matrix_from_yaw_pitch_roll`: degrees, pitch in -90..90 (at +-90 the roll is given as 0)."""
    # Column 2 of R is where the face points: (sin yaw cos pitch, sin pitch, cos yaw cos pitch).
    pitch = torch.asin(matrix[..., 1, 2].clamp(-1, 1))
    locked = torch.hypot(matrix[..., 0, 2], matrix[..., 2, 2]) < 1e-6
    yaw = torch.where(locked, torch.atan2(-matrix[..., 2, 0], matrix[..., 0, 0]),
                      torch.atan2(matrix[..., 0, 2], matrix[..., 2, 2]))
    roll = torch.where(locked, torch.zeros_like(yaw), torch.atan2(-matrix[..., 1, 0], matrix[..., 1, 1]))
    return torch.rad2deg(yaw), torch.rad2deg(pitch), torch.rad2deg(roll)


def interpolate(start: Tensor, end: Tensor, amount: Tensor) -> Tensor:
    """Axis-angle [..., 3] along the shortest arc from `start` (amount 0) to `end` (amount 1)."""
    first = matrix_from_axis_angle(start)
    step = axis_angle_from_matrix(first.transpose(-1, -2) @ matrix_from_axis_angle(end))
    return axis_angle_from_matrix(first @ matrix_from_axis_angle(step * amount))
