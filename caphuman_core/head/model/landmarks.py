"""Landmarks on a head's surface: barycentric points, and the jaw contour that slides with yaw."""
from __future__ import annotations

import torch
from torch import Tensor

MAX_CONTOUR_YAW_DEGREES = 39


def on_surface(
    verts: Tensor,               # [B, V, 3]
    faces: Tensor,               # [F, 3]
    at_faces: Tensor,            # [L] or [B, L] face of each point
    weights: Tensor,             # [L, 3] or [B, L, 3] barycentric
) -> Tensor:
    """Points at barycentric places of a mesh -> [B, L, 3]."""
    corners = faces.to(verts.device)[at_faces.to(verts.device)]                     # [(B,) L, 3]
    if corners.dim() == 2:
        picked = verts[:, corners]                                                  # [B, L, 3, 3]
    else:
        batch = torch.arange(verts.shape[0], device=verts.device)[:, None, None]
        picked = verts[batch, corners]
    return (picked * weights.to(verts)[..., None]).sum(-2)


def contour_rows(world_rotation: Tensor) -> Tensor:
    """Row of the contour table for [B, 3, 3] head rotations (root times neck) -> [B] int64.

    Rows 0..39 are yaw 0..39 degrees, rows 40..78 yaw -1..-39; larger turns use the last row of their side.
    Degrees are rounded half to even, as the released code's torch.round does.
    """
    m = world_rotation.detach()
    yaw = torch.rad2deg(torch.atan2(-m[:, 2, 0], torch.hypot(m[:, 0, 0], m[:, 1, 0])))
    yaw = yaw.clamp(max=MAX_CONTOUR_YAW_DEGREES).round().long()
    return torch.where(yaw >= 0, yaw, (MAX_CONTOUR_YAW_DEGREES - yaw).clamp(max=2 * MAX_CONTOUR_YAW_DEGREES))
