"""The posed head as a textured triangle mesh for 3D viewers."""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..flow import Head
from ..head.model.hair import BALD, HairCap, hair_cap, posed_hair, strand_colour
from ..head.model.head_model import HeadModel
from ..head.model.texture import albedo_sheets
from .maps import pose, vertex_normals
from .portrait import HAIR_COLOUR

HAIR_ROWS = 64               # texels of strands from the crown to their ends
HAIR_EDGE = 0.02             # of them, at either end, that no vertex uses: colours of neighbours would mix in


@dataclass(frozen=True)
class TexturedMesh:
    """Vertices are split along texture seams, so that each has one texture coordinate (glTF's rule)."""

    verts: Tensor            # [B, N, 3] metres, y up, z towards the viewer
    faces: Tensor            # [F, 3]
    uvs: Tensor              # [N, 2] v down (glTF)
    texture: Tensor          # [B, H, W, 3] 0..1
    normals: Tensor          # [B, N, 3] unit length; equal on both sides of a texture seam, so that no edge is seen there


def textured_mesh(head: Head, model: HeadModel, hair: str = BALD,
                  hair_colour: tuple[float, float, float] = HAIR_COLOUR) -> TexturedMesh:
    """The world-space surface of each head of the batch, with a cap of hair where it is wanted (a name of HAIR_STYLES)."""
    unique, corners = _split_along_seams(model)
    uvs = model.uvs[unique[:, 1]] * torch.tensor([1.0, -1.0]) + torch.tensor([0.0, 1.0])
    verts = pose(head, model).verts
    sheets, which = albedo_sheets(model, head)
    bald = TexturedMesh(verts=verts[:, unique[:, 0]], faces=corners, uvs=uvs,
                        texture=sheets[which].clamp(0, 1).movedim(1, -1).contiguous(),
                        normals=vertex_normals(verts, model.faces)[:, unique[:, 0]])
    cap = hair_cap(model, hair)
    return bald if cap is None else _with_hair(bald, cap, posed_hair(cap, model, verts), hair_colour)


def _with_hair(bald: TexturedMesh, cap: HairCap, verts: Tensor, colour: tuple[float, float, float]) -> TexturedMesh:
    """The cap's vertices after the head's, and strands in rows below the head's texture."""
    batch, rows, columns = bald.texture.shape[:3]
    share = rows / (rows + HAIR_ROWS)
    down, around = torch.meshgrid(*((torch.arange(count) + 0.5) / count for count in (HAIR_ROWS, columns)), indexing="ij")
    strands = strand_colour(cap, colour, torch.stack([around, down], -1).flatten(0, 1)).clamp(0, 1)
    place = torch.stack([cap.place[:, 0], share + (1 - share) * (HAIR_EDGE + cap.place[:, 1] * (1 - 2 * HAIR_EDGE))], 1)
    return TexturedMesh(
        verts=torch.cat([bald.verts, verts], 1), faces=torch.cat([bald.faces, cap.faces + bald.verts.shape[1]]),
        uvs=torch.cat([bald.uvs * torch.tensor([1.0, share]), place]),
        texture=torch.cat([bald.texture, strands.view(1, HAIR_ROWS, columns, 3).expand(batch, -1, -1, -1)], 1),
        normals=torch.cat([bald.normals, vertex_normals(verts, cap.faces)], 1))


@lru_cache(maxsize=4)
def _split_along_seams(model: HeadModel) -> tuple[Tensor, Tensor]:
    """The pairs (vertex, uv) that occur [N, 2], and each triangle's three of them [F, 3]. Finding them takes as long as drawing."""
    pairs = torch.stack([model.faces, model.uv_faces], -1).flatten(0, 1)                      # [F*3, (vertex, uv)]
    unique, corner = torch.unique(pairs, dim=0, return_inverse=True)
    return unique, corner.view(-1, 3)
