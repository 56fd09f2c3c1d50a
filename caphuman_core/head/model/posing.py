"""Posing: FLAME's forward pass (Li et al. 2017, section 3) on any HeadModel.

Full pose is root, neck (always zero here, as in DECA), jaw, eyes (zero).
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...check import require
from ..rotations import matrix_from_axis_angle
from .head_model import HeadModel
from .landmarks import contour_rows, on_surface


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
) -> PosedHead:
    """Shape, correct and skin the model; gradients flow to every input.

    Codes shorter than the basis use its first directions. Raises InputError for longer ones.
    """
    shaped = model.template.to(identity) + blend(model.identity_basis, identity, "identity") \
        + blend(model.expression_basis, expression, "expression")
    zero = torch.zeros_like(rotation_radians)
    rotations = matrix_from_axis_angle(torch.stack([rotation_radians, zero, jaw_radians, zero, zero], 1))
    verts = skin(model, shaped, rotations)
    world = rotations[:, 0]                              # the neck is not turned, so its product with the root is the root
    rows = contour_rows(world)
    device = verts.device
    contour = on_surface(verts, model.faces, model.contour_faces.to(device)[rows], model.contour_weights.to(verts)[rows])
    inner = on_surface(verts, model.faces, model.landmark_faces, model.landmark_weights)
    return PosedHead(verts=verts, landmarks2d=torch.cat([contour, inner], 1),
                     landmarks3d=on_surface(verts, model.faces, model.full_faces, model.full_weights))


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
    """World transform of each joint, relative to the rest pose: rotation [B, J, 3, 3], shift [B, J, 3]."""
    turns, places = [rotations[:, 0]], [joints[:, 0]]
    for joint, parent in enumerate(parents[1:], start=1):
        bone = joints[:, joint] - joints[:, parent]
        turns.append(turns[parent] @ rotations[:, joint])
        places.append((turns[parent] @ bone[..., None]).squeeze(-1) + places[parent])
    turn, place = torch.stack(turns, 1), torch.stack(places, 1)
    return turn, place - (turn @ joints[..., None]).squeeze(-1)
