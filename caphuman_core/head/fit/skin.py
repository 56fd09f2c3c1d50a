"""Skin and light of fitted heads from the photo's pixels: robust regularised least squares on texture code and light together.

A pixel's colour is (mean + directions x texture code) x (terms of its normal x light): linear in either, so that Gauss-Newton on
both takes a few small systems. What a pixel cannot be (hair, glasses, a hand, a shadow's edge) loses its weight by Tukey's rule.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ...flow import Head
from ...render.maps import pose, raster_vertices, vertex_normals
from ...render.raster import Fragments, rasterize
from .. import light
from ..model.head_model import HeadModel
from ..model.landmarks import on_surface
from .photo_light import FACING, WORK_SIZE, face_box, zoom

MOST_PIXELS = 6000           # of one photo
LEAST_PIXELS = 80            # below that many nothing is told
ROUNDS = 6
PIXEL_SIGMA = 0.06           # of what the model cannot say about a skin pixel, 0..1
EFFECTIVE = 400.0            # pixels that a face is worth: neighbours err together
TEXTURE_SIGMA, MOST_TEXTURE = 1.0, 3.0
# What is drawn on a skin would also say shadows and edges that the shape has missed: expected to be small.
DRAWN_SIGMA, DRAWN_ON = 0.5, {"brow thickness", "stubble", "eye shadow", "freckles", "wrinkles"}
TUKEY = 4.0                  # times the median residual: from there a pixel says nothing
LEAST_SCALE = 0.02
# Standard deviations of the light's three bands: of its brightness, and of each colour from it.
BRIGHTNESS_SIGMA, COLOUR_SIGMA = (1.0, 0.3, 0.06), (0.3, 0.05, 0.02)
BANDS = (0, 1, 1, 1, 2, 2, 2, 2, 2)      # of the nine terms
BLACK, WHITE = 0.02, 0.98    # pixels beyond are cut off
FOREHEAD_METRES = 0.028      # above the brows: hair begins there or later


@dataclass(frozen=True)
class Pixels:
    """Pixels of one photo that show the face; [P] each."""

    terms: Tensor            # [P, 9] of the normals
    mean: Tensor             # [P, 3] albedo at texture code 0
    directions: Tensor       # [T, P, 3] its change by each code
    colour: Tensor           # [P, 3] the photo's, 0..1
    given: Tensor            # [P] 0..1 how much each counts before anything is known

    def residuals(self, texture: Tensor, lit: Tensor) -> Tensor:
        """Model minus photo [P, 3] for a texture code [T] and a light [9, 3]."""
        return self.albedo(texture) * (self.terms @ lit) - self.colour

    def albedo(self, texture: Tensor) -> Tensor:
        return self.mean + torch.einsum("t,tpc->pc", texture, self.directions)


def face_pixels(photo: Tensor, head: Head, model: HeadModel, skin: Tensor | None = None) -> Pixels | None:
    """Of a photo [1, 3, H, W] 0..1 and its head, a batch of one; None where too little of a face is seen.

    skin: [1, H, W] 0..1, which pixels are skin; None: the model's face region, whatever lies before it.
    """
    low, high = face_box(head, model)
    close, picture = zoom(photo, head, low, high)
    seen, normal = _visible(close, model)
    colour = picture[0].flatten(1).T[seen.pixel].double()
    given = _region(model)[seen.face].double() * (normal[:, 2] > FACING)
    given = given * ((colour.amin(1) > BLACK) & (colour.amax(1) < WHITE))
    if skin is not None:
        given = given * zoom(skin[:, None], head, low, high)[1][0, 0].flatten()[seen.pixel].double()
    keep = (given > 0.5).nonzero().squeeze(1)
    if len(keep) < LEAST_PIXELS:
        return None
    keep = keep[:: max(1, -(-len(keep) // MOST_PIXELS))]
    albedo = _albedo_parts(model, seen.face[keep], seen.weights[keep])
    return Pixels(light.terms(normal[keep]).double(), albedo[0], albedo[1:], colour[keep], given[keep])


def texture_sigma(model: HeadModel) -> Tensor:
    """How far texture codes [T] may lie from where they were expected."""
    sigma = torch.full((len(model.texture_basis),), TEXTURE_SIGMA, dtype=torch.float64)
    for i, name in enumerate(model.texture_names):
        if name in DRAWN_ON:
            sigma[i] = DRAWN_SIGMA
    return sigma


def fit_skin(photos: Sequence[Pixels], expected_texture: Tensor, sigma: Tensor,
             lights: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Texture code [T] that the photos share, about an expected one by sigma [T], and the light [9, 3] of each, from a start."""
    texture, lit = expected_texture, list(lights)
    precision = _light_precision()
    for _ in range(ROUNDS):
        shared = (1 / sigma.square()).diag()
        slope = (texture - expected_texture) / sigma.square()
        parts = []
        for pixels, one in zip(photos, lit, strict=True):
            own, mixed, both, own_slope, shared_slope = _system(pixels, texture, one)
            own = own + precision
            own_slope = own_slope + precision @ (one - _expected_light(one)).flatten()
            inner = torch.linalg.solve(own, torch.cat([mixed, own_slope[:, None]], 1))
            parts.append(inner)
            shared = shared + both - mixed.T @ inner[:, :-1]
            slope = slope + shared_slope - mixed.T @ inner[:, -1]
        move = -torch.linalg.solve(shared, slope)
        texture = (texture + move).clamp(-MOST_TEXTURE, MOST_TEXTURE)
        lit = [one - (inner[:, -1] + inner[:, :-1] @ move).view(9, 3) for one, inner in zip(lit, parts, strict=True)]
    return texture, lit


def photo_cost(pixels: Pixels, texture: Tensor, lit: Tensor) -> float:
    """What a photo says against a head: its pixels' misfit, bounded for each, in the units of the landmarks' cost."""
    away = pixels.residuals(texture, lit).norm(dim=1) / PIXEL_SIGMA
    return float(EFFECTIVE * (1 - torch.exp(-away.square() / 2 / TUKEY ** 2)).mean() * TUKEY ** 2)


def mean_error(pixels: Pixels, texture: Tensor, lit: Tensor) -> float:
    """Mean difference between head and photo over the face, 0..1."""
    return float(pixels.residuals(texture, lit).abs().mean())


def _system(pixels: Pixels, texture: Tensor, lit: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Weighted normal equations of one photo: light by light [27, 27], light by texture, texture by texture; slopes of both."""
    residual, albedo, shading = pixels.residuals(texture, lit), pixels.albedo(texture), pixels.terms @ lit
    away = residual.norm(dim=1)
    scale = TUKEY * away.median().clamp(min=LEAST_SCALE)
    weight = pixels.given * (1 - (away / scale).clamp(max=1).square()).square()
    weight = weight * (EFFECTIVE / PIXEL_SIGMA ** 2 / len(weight))
    by_light = pixels.terms[:, :, None, None] * torch.diag_embed(albedo)[:, None]                  # [P, 9, 3 light, 3 colour]
    rows = by_light.flatten(1, 2)                                                               # [P, 27, 3]
    by_texture = (pixels.directions * shading).permute(1, 0, 2)                                 # [P, T, 3]
    weighted = rows * weight[:, None, None]
    flat, flat_texture = weighted.permute(1, 0, 2).flatten(1), by_texture.permute(1, 0, 2).flatten(1)
    own = flat @ rows.permute(1, 0, 2).flatten(1).T
    both = (flat_texture * weight.repeat_interleave(3)) @ flat_texture.T
    far = residual.flatten()
    return own, flat @ flat_texture.T, both, flat @ far, (flat_texture * weight.repeat_interleave(3)) @ far


def _expected_light(lit: Tensor) -> Tensor:
    """What a light [9, 3] is pulled to: the usual brightness and main direction, and from there on the lobe of one distant source
    where its own first terms point to. A face shows few normals, from which nine free terms make any light."""
    expected = light.default_light().double()
    towards = (lit[1:4] * light.CONSTANTS[1]).mean(1)
    strength = towards.norm().clamp(min=1e-6)
    expected[4:] = (2 * strength * light.lobe(towards / strength))[4:, None]
    return expected


def _light_precision() -> Tensor:
    """Inverse covariance of a light [27, 27], flattened from [9, 3]."""
    blocks = []
    for band in BANDS:
        covariance = BRIGHTNESS_SIGMA[band] ** 2 * torch.ones(3, 3) + COLOUR_SIGMA[band] ** 2 * torch.eye(3)
        blocks.append(torch.linalg.inv(covariance.double()))
    return torch.block_diag(*blocks)


def _visible(close: Head, model: HeadModel) -> tuple[Fragments, Tensor]:
    """What is seen of a head in its own picture, and the normals there [P, 3]."""
    verts = pose(close, model).verts
    seen = rasterize(raster_vertices(close, verts), model.faces, WORK_SIZE, WORK_SIZE)
    corners = vertex_normals(verts, model.faces)[0][model.faces[seen.face]]
    return seen, (corners * seen.weights[..., None]).sum(1)


def _albedo_parts(model: HeadModel, face: Tensor, weights: Tensor) -> Tensor:
    """Mean texture, then its directions, at points of triangles -> [1 + T, P, 3]."""
    at = (model.uvs[model.uv_faces[face]] * weights[..., None]).sum(1) * torch.tensor([2.0, -2.0]) + torch.tensor([-1.0, 1.0])
    sheets = torch.cat([model.texture_mean[None], model.texture_basis])
    picked = F.grid_sample(sheets.flatten(0, 1)[None], at[None, None], align_corners=False)[0, :, 0]
    return picked.unflatten(0, (len(sheets), 3)).permute(0, 2, 1).double()


@lru_cache(maxsize=4)
def _region(model: HeadModel) -> Tensor:
    """[F] bool: triangles of the face, in front of the ears from the chin to below the hair."""
    marks = on_surface(model.template[None], model.faces, model.full_faces, model.full_weights)[0]
    verts = model.template
    inside = (verts[:, 2] > marks[[0, 16], 2].mean()) & (verts[:, 1] > marks[8, 1])
    inside &= verts[:, 1] < marks[17:27, 1].max() + FOREHEAD_METRES
    return inside[model.faces].all(1)
