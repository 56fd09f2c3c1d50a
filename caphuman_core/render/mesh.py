"""The posed head as a textured triangle mesh for 3D viewers."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..flow import Head
from ..head.model.head_model import HeadModel
from ..head.model.texture import albedo_texture
from .maps import pose, vertex_normals


@dataclass(frozen=True)
class TexturedMesh:
    """Vertices are split along texture seams, so that each has one texture coordinate (glTF's rule)."""

    verts: Tensor            # [B, N, 3] metres, y up, z towards the viewer
    faces: Tensor            # [F, 3]
    uvs: Tensor              # [N, 2] v down (glTF)
    texture: Tensor          # [B, H, W, 3] 0..1
    normals: Tensor          # [B, N, 3] unit length; equal on both sides of a texture seam, so that no edge is seen there


def textured_mesh(head: Head, model: HeadModel) -> TexturedMesh:
    """The world-space surface of each head of the batch."""
    pairs = torch.stack([model.faces, model.uv_faces], -1).flatten(0, 1)                      # [F*3, (vertex, uv)]
    unique, corner = torch.unique(pairs, dim=0, return_inverse=True)
    uvs = model.uvs[unique[:, 1]] * torch.tensor([1.0, -1.0]) + torch.tensor([0.0, 1.0])
    verts = pose(head, model).verts
    return TexturedMesh(verts=verts[:, unique[:, 0]], faces=corner.view(-1, 3), uvs=uvs,
                        texture=albedo_texture(model, head.texture).clamp(0, 1).movedim(1, -1).contiguous(),
                        normals=vertex_normals(verts, model.faces)[:, unique[:, 0]])
