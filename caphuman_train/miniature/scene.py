"""One picture of one person: who, how the head stands, what the caption names; and the picture itself, drawn.

Everything follows from the recipe's seed and two numbers, so nothing of it needs to be kept.
"""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from caphuman_core.flow import Head
from caphuman_core.head import camera
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.relight import relight
from caphuman_core.head.model.hair import hair_cap, posed_hair
from caphuman_core.head.model.head_model import HeadModel
from caphuman_core.head.model.landmarks import on_surface
from caphuman_core.head.new import new_head
from caphuman_core.render.maps import pose, raster_vertices
from caphuman_core.render.portrait import add_hair, drawn_skin
from caphuman_core.render.raster import rasterize

from ..data.loader import number_of
from .ground import drawn_ground
from .shirt import add_shirt
from .words import HAIR_COLOURS, SHIRT_COLOURS, Look, draw_look

EXPRESSIONS = ("smile", "surprise", "anger", "sadness", "disgust", "fear", "pucker", "squint", "brows_up", "laugh")
HAIRLINE = 0.088                                 # metres: height of the forehead at rest
FINER = 2                                        # samples per pixel and axis
X, Y, SCALE = (0.0, 0.09), (-0.03, 0.06), (1.45, 0.2)    # of heads, as an edit has them: the middle, and how far from it at most
MIDDLE = {"y": Y[0], "scale": SCALE[0]}          # where most of them are, and how large
SHAPE_SPREAD, SKIN_SPREAD = 0.75, 1.0            # of the codes, standard deviations
GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Scene:
    """What one picture shows."""

    head: Head                                   # a batch of one, in the frame of the picture
    look: Look
    tint: float                                  # -1..1: how dark or light hair and shirt are within their word
    seed: int                                    # of what is behind

    @property
    def caption(self) -> str:
        return self.look.caption


@dataclass(frozen=True)
class Drawn:
    """A picture, and where in it the face itself is seen."""

    picture: Tensor                              # [3, H, W] 0..1
    face: Tensor                                 # [H, W] bool


def generator(seed: int, name: str, *numbers: int) -> torch.Generator:
    """Random numbers of their own for each name and numbers."""
    return torch.Generator().manual_seed(number_of(" ".join(map(str, (name, seed, *numbers)))) >> 1)


def who(model: HeadModel, seed: int, person: int) -> tuple[Tensor, Tensor]:
    """Shape and texture codes [1, I] and [1, T] of a person."""
    source = generator(seed, "person", person)
    shape = torch.randn(1, model.identity_basis.shape[0], generator=source) * SHAPE_SPREAD
    texture = torch.randn(1, model.texture_basis.shape[0], generator=source) * SKIN_SPREAD
    return shape.clamp(-2, 2), texture.clamp(-2, 2)


def scene_of(model: HeadModel, seed: int, side: int, person: int, number: int, even_light: int = 0) -> Scene:
    """The `number`-th picture of a person, side x side pixels.

    even_light: of each person, so many first pictures have nearly the same light, as photos for a passport have.
    """
    source = generator(seed, "picture", person, number)
    shape, texture = who(model, seed, person)
    head = new_head(model, side, side).replace(identity=shape, texture=texture)
    head = _lit(edit_head(head, model, _posed(source)), source)
    if number < even_light:
        head = _evenly_lit(head, generator(seed, "even light", person, number))
    look = draw_look(source)
    tint = float(torch.rand((), generator=source)) * 2 - 1
    return Scene(head, look, tint, int(torch.randint(1 << 40, (), generator=source)))


def _posed(source: torch.Generator) -> Edit:
    """Yaw within +-60 degrees, pitch and roll within +-30 (small ones more often), place, size, expression, gaze."""
    even = (torch.rand(10, generator=source) * 2 - 1).tolist()
    hill = (torch.rand(4, generator=source) + torch.rand(4, generator=source) - 1).tolist()
    names = torch.randperm(len(EXPRESSIONS), generator=source).tolist()
    jaw = max(0.0, even[5]) ** 2 * 22
    face = {EXPRESSIONS[names[0]]: max(0.0, even[6]), EXPRESSIONS[names[1]]: max(0.0, even[7]) * 0.4}
    return Edit(yaw_degrees=60 * even[0], pitch_degrees=30 * hill[0], roll_degrees=30 * hill[1], x=X[0] + X[1] * even[2],
                y=Y[0] + Y[1] * even[3], scale=SCALE[0] + SCALE[1] * even[4], jaw_degrees=jaw, expressions=face,
                gaze_yaw_degrees=20 * hill[2], gaze_pitch_degrees=8 * hill[3], neck_share=0.6 + 0.4 * even[8])


def _lit(head: Head, source: torch.Generator) -> Head:
    azimuth, elevation, strength, ambient = torch.rand(4, generator=source).tolist()
    colour = (1 + (torch.rand(3, generator=source) - 0.5) * 0.16).tolist()
    return relight(head, 160 * azimuth - 80, 65 * elevation - 10, 0.25 + 0.5 * strength, 0.45 + 0.3 * ambient,
                   (colour[0], colour[1], colour[2]))


def _evenly_lit(head: Head, source: torch.Generator) -> Head:
    azimuth, elevation, strength, ambient = (torch.rand(4, generator=source) * 2 - 1).tolist()
    return relight(head, 25 * azimuth, 20 + 10 * elevation, 0.5 + 0.05 * strength, 0.6 + 0.05 * ambient, (1.0, 1.0, 1.0))


def draw(scene: Scene, model: HeadModel) -> Drawn:
    """The head with its hair, in its shirt, before its background."""
    head = camera.reframe(scene.head, scene.head.width * FINER, scene.head.height * FINER)
    shade, look = 1 + 0.25 * scene.tint, scene.look
    layers, depth = drawn_skin(head, model)
    bare = depth.clone()
    if (cap := hair_cap(model, look.cut)) is not None:
        add_hair(layers, depth, head, cap, posed_hair(cap, model, pose(head, model).verts), _scaled(HAIR_COLOURS[look.hair], shade))
    add_shirt(layers, depth, head, model, _scaled(SHIRT_COLOURS[look.shirt], shade))
    ground = drawn_ground(look, head.height, head.width, torch.Generator().manual_seed(scene.seed)).flatten(1)
    picture = torch.where(depth.isfinite(), layers[:3], ground).unflatten(1, (head.height, head.width))
    face = face_seen(head, model) & (depth == bare).unflatten(0, (head.height, head.width))
    pooled = F.avg_pool2d(torch.cat([picture, face[None].float()])[None], FINER)[0]
    return Drawn(_medium(pooled[:3], look.medium), pooled[3] >= 0.5)


def face_seen(head: Head, model: HeadModel) -> Tensor:
    """[H, W] bool in the head's own frame: where its face is in front of the rest of it; no neck, no ears, no crown."""
    verts = raster_vertices(head, pose(head, model).verts)
    seen = rasterize(verts, model.faces, head.height, head.width)
    flat = torch.zeros(head.height * head.width, dtype=torch.bool)
    flat[seen.pixel] = face_triangles(model)[seen.face]
    return flat.unflatten(0, (head.height, head.width))


@lru_cache(maxsize=2)
def face_triangles(model: HeadModel) -> Tensor:
    """[F] bool: triangles of the face itself, before the line of the jaw (landmarks 0..8) and below the hair."""
    middle = model.template[model.faces].mean(1)
    jaw = on_surface(model.template[None], model.faces, model.full_faces, model.full_weights)[0, :9]
    height, depth = jaw[:, 1].flip(0).contiguous(), jaw[:, 2].flip(0)             # from the chin up to the ear
    after = torch.searchsorted(height, middle[:, 1].contiguous()).clamp(1, len(height) - 1)
    share = ((middle[:, 1] - height[after - 1]) / (height[after] - height[after - 1])).clamp(0, 1)
    line = torch.lerp(depth[after - 1], depth[after], share)
    return ((middle[:, 2] > line) & (middle[:, 1] > height[0]) & (middle[:, 1] < HAIRLINE)
            & (middle[:, 0].abs() < float(jaw[0, 0].abs())))


def _scaled(colour: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    red, green, blue = colour
    return red * factor, green * factor, blue * factor


def _medium(picture: Tensor, medium: str) -> Tensor:
    if medium == "photo":
        return picture
    return (picture * torch.tensor(GREY)[:, None, None]).sum(0, keepdim=True).expand(3, -1, -1)
