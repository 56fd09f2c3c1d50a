"""The posed head as a textured triangle mesh for 3D viewers."""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

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
    unique, corners = _split_along_seams(model)
    uvs = model.uvs[unique[:, 1]] * torch.tensor([1.0, -1.0]) + torch.tensor([0.0, 1.0])
    verts = pose(head, model).verts
    return TexturedMesh(verts=verts[:, unique[:, 0]], faces=corners, uvs=uvs,
                        texture=albedo_texture(model, head.texture).clamp(0, 1).movedim(1, -1).contiguous(),
                        normals=vertex_normals(verts, model.faces)[:, unique[:, 0]])


@lru_cache(maxsize=4)
def _split_along_seams(model: HeadModel) -> tuple[Tensor, Tensor]:
    """The pairs (vertex, uv) that occur [N, 2], and each triangle's three of them [F, 3]. Finding them takes as long as drawing."""
    pairs = torch.stack([model.faces, model.uv_faces], -1).flatten(0, 1)                      # [F*3, (vertex, uv)]
    unique, corner = torch.unique(pairs, dim=0, return_inverse=True)
    return unique, corner.view(-1, 3)
