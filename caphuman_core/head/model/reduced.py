"""A head model reduced to its landmarks: the same landmarks, a hundredth of the vertices.

Fitting and expression solving evaluate landmarks hundreds of times; they do it on this.
"""
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .head_model import HeadModel


def landmark_model(model: HeadModel) -> HeadModel:
    """A model with the vertices that landmarks touch, and its joints as extra vertices.

    `pose_head` on it gives the same landmarks2d and landmarks3d as on the full model, because the joints stay
    the same linear function of the codes.
    """
    used_faces, places = torch.unique(
        torch.cat([model.landmark_faces, model.contour_faces.flatten(), model.full_faces]), return_inverse=True)
    used_verts, corners = torch.unique(model.faces[used_faces], return_inverse=True)
    inner, contour = model.landmark_faces.numel(), model.contour_faces.numel()
    joints = model.joint_regressor.shape[0]
    count = used_verts.numel()
    return replace(
        model,
        template=_with_joints(model.template[None], model, used_verts)[0],
        identity_basis=_with_joints(model.identity_basis, model, used_verts),
        expression_basis=_with_joints(model.expression_basis, model, used_verts),
        pose_basis=torch.cat([model.pose_basis[:, used_verts], model.pose_basis.new_zeros(len(model.pose_basis), joints, 3)], 1),
        joint_regressor=torch.cat([torch.zeros(joints, count), torch.eye(joints)], 1),
        skinning=torch.cat([model.skinning[used_verts], torch.eye(joints)]),
        faces=corners, uv_faces=model.uv_faces[used_faces],
        landmark_faces=places[:inner],
        contour_faces=places[inner:inner + contour].view_as(model.contour_faces),
        full_faces=places[inner + contour:],
        gloss=torch.zeros(count + joints),
        texture_mean=model.texture_mean[:, :1, :1], texture_basis=model.texture_basis[:, :, :1, :1])


def _with_joints(directions: Tensor, model: HeadModel, used_verts: Tensor) -> Tensor:
    """[K, V, 3] -> [K, used + J, 3]: what each direction does to the used vertices and to the joints."""
    return torch.cat([directions[:, used_verts], model.joint_regressor @ directions], 1)


def rest_joints(model: HeadModel, identity: Tensor) -> Tensor:
    """Joints of the unposed head with an identity code [B, <=I] and no expression -> [B, J, 3] metres."""
    per_code = model.joint_regressor @ model.identity_basis[:identity.shape[1]]              # [I, J, 3]
    return (model.joint_regressor @ model.template).to(identity) + torch.einsum("bi,ijc->bjc", identity, per_code.to(identity))
