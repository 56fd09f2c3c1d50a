"""Posing: FLAME's forward pass (Li et al. 2017, section 3) on any HeadModel.

Full pose is root, neck, jaw, left eye, right eye. DECA leaves neck and eyes at zero, and so does every head that was not
told otherwise: then each number is the same as without them.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...check import require
from ..rotations import matrix_from_axis_angle
from .head_model import HeadModel
from .landmarks import contour_rows, on_surface
from .lids import lid_shift


@dataclass(frozen=True)
class PosedHead:
    """World-space geometry, metres, x to the person's left, y up, z towards the viewer."""

    verts: Tensor                # [B, V, 3]
    landmarks2d: Tensor          # [B, 68, 3] contour by yaw, then 51 inner points: what a picture shows
    landmarks3d: Tensor          # [B, 68, 3] 68 fixed points


def pose_head(
    model: HeadModel,
    identity: Tensor,            # [B, <=I]
    expression: Tensor,          # [B, <=E]
    rotation_radians: Tensor,    # [B, 3] global, axis-angle
    jaw_radians: Tensor,         # [B, 3] axis-angle
    gaze_radians: Tensor | None = None,    # [B, 2, 2] left and right eye; yaw, pitch (see `flow.Head`); None: straight ahead
    neck_share: Tensor | None = None,      # [B] 0..1, see `split_turn`; None: 0
) -> PosedHead:
    """Shape, correct and skin the model; gradients flow to every input.

    Codes shorter than the basis use its first directions. Raises InputError for longer ones. The face lies where it would
    lie with a still neck, whatever the share: what moves is the bust.
    """
    shaped = model.template.to(identity) + blend(model.identity_basis, identity, "identity") \
        + blend(model.expression_basis, expression, "expression")
    if gaze_radians is not None:
        shaped = shaped + lid_shift(model, gaze_radians)
    rotations = _rotations(rotation_radians, jaw_radians, gaze_radians, neck_share)
    verts = skin(model, shaped, rotations)
    rows = contour_rows(rotations[:, 0] @ rotations[:, 1])
    device = verts.device
    contour = on_surface(verts, model.faces, model.contour_faces.to(device)[rows], model.contour_weights.to(verts)[rows])
    inner = on_surface(verts, model.faces, model.landmark_faces, model.landmark_weights)
    return PosedHead(verts=verts, landmarks2d=torch.cat([contour, inner], 1),
                     landmarks3d=on_surface(verts, model.faces, model.full_faces, model.full_weights))


def _rotations(rotation_radians: Tensor, jaw_radians: Tensor, gaze_radians: Tensor | None, neck_share: Tensor | None) -> Tensor:
    """Rotation of each joint against its parent -> [B, 5, 3, 3]."""
    zero = torch.zeros_like(rotation_radians)
    root, neck = (rotation_radians, zero) if neck_share is None else split_turn(rotation_radians, neck_share)
    rotations = matrix_from_axis_angle(torch.stack([root, neck, jaw_radians, zero, zero], 1))
    if gaze_radians is None:
        return rotations
    return torch.cat([rotations[:, :3], eye_rotations(gaze_radians)], 1)


def split_turn(rotation_radians: Tensor, neck_share: Tensor) -> tuple[Tensor, Tensor]:
    """What root and neck make of the face's turn: axis-angle [B, 3] each, about one axis, so that they add up to it.

    The neck turns by its share [B] of it as far as 90 degrees. Beyond, the bust comes along ever more and has the whole turn at
    180, where the ways round by the left and by the right meet: so nothing jumps there.
    """
    angle = rotation_radians.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    by_neck = neck_share[:, None] * ((math.pi - angle) / angle).clamp(0, 1)
    return rotation_radians * (1 - by_neck), rotation_radians * by_neck


def eye_rotations(gaze_radians: Tensor) -> Tensor:
    """Yaw and pitch of each eye [..., 2] -> [..., 3, 3]: Ry(yaw) Rx(-pitch), with the signs of the head's own yaw and pitch."""
    yaw, pitch = gaze_radians.unbind(-1)
    zero = torch.zeros_like(yaw)
    aside, upward = torch.stack([zero, yaw, zero], -1), torch.stack([-pitch, zero, zero], -1)
    return matrix_from_axis_angle(aside) @ matrix_from_axis_angle(upward)


def blend(basis: Tensor, code: Tensor, name: str) -> Tensor:
    """sum_k code[:, k] * basis[k]: code [B, K'], basis [K, V, 3], K' <= K -> [B, V, 3]."""
    used = code.shape[1]
    require(used <= basis.shape[0], f"{name} code", f"must have at most {basis.shape[0]} numbers", used,
            "use a head that was made with this head model")
    return (code @ basis[:used].flatten(1).to(code)).unflatten(1, basis.shape[1:])


def skin(
    model: HeadModel,
    shaped: Tensor,              # [B, V, 3] template with identity and expression
    rotations: Tensor,           # [B, J, 3, 3] of each joint relative to its parent
) -> Tensor:
    """Pose correctives, then linear blend skinning about the joints of the shaped head -> [B, V, 3]."""
    joints = model.joint_regressor.to(shaped) @ shaped                                        # [B, J, 3]
    identity = torch.eye(3, dtype=shaped.dtype, device=shaped.device)
    feature = (rotations[:, 1:] - identity).flatten(1)                                        # [B, (J-1)*9]
    corrected = shaped + blend(model.pose_basis, feature, "pose")
    turn, shift = _chain(rotations, joints, model.parents.tolist())
    moves = torch.cat([turn, shift[..., None]], -1).flatten(2)                                # [B, J, 12]
    per_vertex = (model.skinning.to(shaped) @ moves).unflatten(-1, (3, 4))                    # [B, V, 3, 4]
    return (per_vertex[..., :3] @ corrected[..., None]).squeeze(-1) + per_vertex[..., 3]


def _chain(rotations: Tensor, joints: Tensor, parents: list[int]) -> tuple[Tensor, Tensor]:
    """World transform of each joint, relative to the rest pose: rotation [B, J, 3, 3], shift [B, J, 3].

    FLAME keeps the root joint in place. Here the neck joint lies where it would lie if the root made the whole turn: the
    same with a still neck, else FLAME's result moved so that the face stays where it is.
    """
    neck = joints[:, 1] - joints[:, 0]
    ahead = (rotations[:, 0] @ rotations[:, 1] - rotations[:, 0]) @ neck[..., None]
    turns, places = [rotations[:, 0]], [joints[:, 0] + ahead.squeeze(-1)]
    for joint, parent in enumerate(parents[1:], start=1):
        bone = joints[:, joint] - joints[:, parent]
        turns.append(turns[parent] @ rotations[:, joint])
        places.append((turns[parent] @ bone[..., None]).squeeze(-1) + places[parent])
    turn, place = torch.stack(turns, 1), torch.stack(places, 1)
    return turn, place - (turn @ joints[..., None]).squeeze(-1)
