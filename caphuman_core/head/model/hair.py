"""Hair for the built-in head, to look at: caps that hang on the skull (made by tools/make_head/hair.py, CC0).

CapFace's hint stays bald, as it was trained: nothing here is drawn into it.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...check import fail
from ...files.weights import read_metadata, read_state_dict
from ..options import HAIR_STYLES

if TYPE_CHECKING:
    from .head_model import HeadModel

FILE = Path(__file__).with_name("builtin_hair.safetensors")
BALD = HAIR_STYLES[0]
STRANDS = 210                # around the head
NECK = 1                     # joint that the skull belongs to


@dataclass(frozen=True)
class HairCap:
    """One cut: N vertices, each of which hangs on K vertices of the head."""

    anchors: Tensor          # [N, K] vertices of the head
    weights: Tensor          # [N, K] rows sum to 1
    offset: Tensor           # [N, 3] metres from the anchors' mean, turned with the skull
    faces: Tensor            # [F, 3]
    along: Tensor            # [N] the next vertex of the same strand
    place: Tensor            # [N, 2] 0..1: around the head; from the crown to the longest strand's end


def hair_cap(model: HeadModel, style: str) -> HairCap | None:
    """The cap of a style on this head model; None for "bald" and for every other head than the built-in one."""
    if style not in HAIR_STYLES:
        fail("hair", f"must be one of {', '.join(HAIR_STYLES)}", repr(style), "choose one of them")
    caps, head = _caps()
    return caps[style] if style != BALD and model.fingerprint == head else None


@lru_cache(maxsize=1)
def _caps() -> tuple[dict[str, HairCap], str]:
    tensors = read_state_dict(FILE, "hair")
    styles = sorted({key.partition("/")[0] for key in tensors})
    kinds = HairCap.__dataclass_fields__
    caps = {style: HairCap(**{kind: _plain(tensors[f"{style}/{kind}"]) for kind in kinds}) for style in styles}
    return caps, read_metadata(FILE, "hair")["head"]


def _plain(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor.long()


def styles_of(model: HeadModel) -> tuple[str, ...]:
    """The names of HAIR_STYLES that a head model has caps for; "bald" is not among them."""
    return tuple(style for style in HAIR_STYLES if hair_cap(model, style) is not None)


def posed_hair(cap: HairCap, model: HeadModel, verts: Tensor) -> Tensor:
    """Where a cap is on a posed head: verts [B, V, 3] metres, world -> [B, N, 3]."""
    hung = (verts[:, cap.anchors] * cap.weights[..., None]).sum(2)
    return hung + cap.offset @ skull_turn(model, verts).transpose(1, 2)


@lru_cache(maxsize=1)
def _skull(model: HeadModel) -> Tensor:
    """Vertices of the skull that hair of any style hangs on, [N]: one set, so that every style turns alike."""
    hung = torch.unique(torch.cat([cap.anchors.flatten() for cap in _caps()[0].values()]))
    return hung[model.skinning[hung, NECK] > 0.99]


def skull_turn(model: HeadModel, verts: Tensor) -> Tensor:
    """Rotation [B, 3, 3] of the skull: the one that takes the template's skull nearest to the posed one (Kabsch)."""
    skull = _skull(model)
    rest = model.template[skull] - model.template[skull].mean(0)
    here = verts[:, skull] - verts[:, skull].mean(1, keepdim=True)
    u, _, vt = torch.linalg.svd(rest.T @ here)
    sign = torch.ones(len(verts), 3)
    sign[:, 2] = torch.det(vt.transpose(1, 2) @ u.transpose(1, 2)).sign()
    return vt.transpose(1, 2) @ (sign[:, :, None] * u.transpose(1, 2))


def strand_colour(cap: HairCap, colour: tuple[float, float, float], place: Tensor) -> Tensor:
    """Albedo [P, 3] at places [P, 2] of a cap: strands of slightly different tone, darker at the roots."""
    around, down = place.unbind(-1)
    bent = around * 6.28318 * STRANDS + 5 * torch.sin(down * 9 + around * 40)
    streak = 0.5 + 0.22 * torch.sin(bent) + 0.16 * torch.sin(bent * 2.63 + 1.3) + 0.10 * torch.sin(bent * 0.37 + 4 * down)
    root = 0.72 + 0.28 * (down / 0.25).clamp(0, 1)
    return torch.tensor(colour) * ((0.62 + 0.62 * streak) * root)[:, None]
