"""Draws docs/head_builtin.jpg: the built-in head from five angles, with expressions, looks, an open mouth, lights, and as people.

    python -m tools.make_pictures.builtin_head [--out FILE] [--tile PIXELS]

Drawn with the pack's own renderer, as previews are: smooth edges and hair, which CapFace's hint does not have.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image

from caphuman_core.flow import Head
from caphuman_core.head import light
from caphuman_core.head.edit.expressions import expression_change
from caphuman_core.head.model.head_model import HeadModel, load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.head.pivot import move_pivot, scale_about_pivot
from caphuman_core.head.rotations import axis_angle_from_matrix, matrix_from_yaw_pitch_roll
from caphuman_core.render.portrait import HAIR_COLOUR, portrait

from ..devkit.places import ROOT
from ..sheet import Look, Tile, grid, picture

Amounts = Mapping[str, float]
Colour = tuple[float, float, float]
NATURAL = 0.5                # share of a turn that the neck makes
ZOOM = 1.55                  # of a close view; 1.2 shows the bust
BACKGROUND = 0.93
LIGHT = light.directional(-35.0, 35.0, 0.62, 0.66)


@dataclass(frozen=True)
class Person:
    """Codes by name, hair and where the head looks."""

    shape: Amounts = field(default_factory=dict)
    texture: Amounts = field(default_factory=dict)
    hair: str = "bald"
    hair_colour: Colour = HAIR_COLOUR


@dataclass(frozen=True)
class View:
    """One picture of a person."""

    yaw: float = 0.0                         # degrees
    pitch: float = 0.0
    named: Amounts = field(default_factory=dict)             # named expressions
    actions: Amounts = field(default_factory=dict)           # ARKit actions; "jaw" is radians
    gaze: tuple[float, float] = (0.0, 0.0)   # yaw and pitch of both eyes, degrees
    neck_share: float = 0.0
    light: torch.Tensor = field(default_factory=lambda: LIGHT)
    zoom: float = ZOOM
    person: Person = field(default_factory=Person)


WOMAN = Person({"gender": 1.1}, {"lip colour": 0.9, "eye shadow": 0.5, "skin lightness": 0.2}, "long", (0.22, 0.125, 0.07))
ANGLES = tuple((caption, View(yaw, pitch, zoom=1.2, neck_share=NATURAL)) for caption, yaw, pitch in (
    ("profile", -85.0, 0.0), ("half profile", -40.0, 0.0), ("front", 0.0, 0.0), ("from behind", 145.0, 0.0),
    ("from below", 0.0, 40.0), ("from above", 20.0, -30.0)))
NAMED = ("smile", "anger", "sadness", "surprise", "fear", "disgust",
         "blink_left", "brows_up", "pucker", "cheek_puff", "wide_mouth", "frown")
LOOKS = (("looks left", (28.0, 0.0), {}), ("looks right", (-28.0, 0.0), {}), ("looks up", (0.0, 18.0), {}),
         ("looks down", (0.0, -24.0), {}), ("eyes closed", (0.0, 0.0), {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}),
         ("one brow", (0.0, 0.0), {"browOuterUpLeft": 1.2, "browDownRight": 0.6, "mouthSmileLeft": 0.5}))
_SMILE = {"mouthSmileLeft": 0.85, "mouthSmileRight": 0.85, "cheekSquintLeft": 0.7, "cheekSquintRight": 0.7}
_TEETH = {**_SMILE, "mouthUpperUpLeft": 0.45, "mouthUpperUpRight": 0.45, "mouthLowerDownLeft": 0.25, "mouthLowerDownRight": 0.25}
MOUTHS = (("smile with teeth", {**_TEETH, "eyeSquintLeft": 0.2, "eyeSquintRight": 0.2, "jaw": 0.04}),
          ("laugh", {**_TEETH, "eyeSquintLeft": 0.6, "eyeSquintRight": 0.6, "browInnerUp": 0.3, "jaw": 0.24}),
          ("tongue out", {"tongueOut": 1.0, "mouthSmileLeft": 0.3, "mouthSmileRight": 0.3, "jaw": 0.22}),
          ("open", {"jaw": 0.32}), ("sneer", {"noseSneerLeft": 1.0, "mouthUpperUpLeft": 1.0, "browDownLeft": 0.5}),
          ("one-sided smile", {"mouthSmileLeft": 1.0, "cheekSquintLeft": 0.5}))
LIGHTS = (("from the left", light.directional(-75.0, 15.0, 1.1, 0.28)), ("warm, from above", light.directional(
    30.0, 65.0, 1.0, 0.35, (1.0, 0.80, 0.58))), ("cold, from behind", light.directional(125.0, 20.0, 1.2, 0.42, (0.70, 0.85, 1.0))))
HAIR = (("short", Person(hair="short")), ("curly", Person(hair="curly", hair_colour=(0.10, 0.065, 0.05))), ("long", WOMAN))
PEOPLE = (
    Person({"gender": 1.3, "age": -0.3, "asian": 0.8, "mouth-scale-horiz": 0.6},
           {"skin lightness": 0.5, "lip colour": 1.0, "eye shadow": 0.8, "brow darkness": 0.5, "iris lightness": -0.6},
           "long", (0.055, 0.045, 0.045)),
    Person({"gender": -1.0, "african": 1.1, "age": -0.1},
           {"skin lightness": -2.5, "skin warmth": 0.4, "brow darkness": 0.5, "iris lightness": -0.8, "stubble": 0.6},
           "short", (0.04, 0.032, 0.03)),
    Person({"gender": 0.9, "age": 1.3, "weight": 0.7},
           {"skin lightness": 0.8, "redness": 0.7, "wrinkles": 2.0, "iris blue": 1.2, "lip colour": 0.5},
           "curly", (0.52, 0.50, 0.49)),
    Person({"gender": -1.2, "age": 0.3, "chin-width": 0.9, "chin-prominent": 0.6},
           {"skin lightness": 0.4, "stubble": 1.5, "iris blue": 0.9, "brow thickness": 1.1, "brow darkness": 0.5},
           "short", (0.30, 0.19, 0.10)),
    Person({"gender": 1.1, "african": 1.0, "mouth-lowerlip-volume": 0.8},
           {"skin lightness": -2.0, "skin warmth": 0.8, "lip colour": 0.7, "eye shadow": 0.7, "iris lightness": -0.5},
           "curly", (0.05, 0.038, 0.034)),
    Person({"gender": -1.0, "age": 1.4, "weight": 0.8, "asian": 0.5},
           {"skin lightness": -0.6, "skin warmth": 0.7, "wrinkles": 2.2, "stubble": 0.8, "brow thickness": 0.9,
            "iris lightness": -0.5}))


def head_of(model: HeadModel, size: int, view: View) -> Head:
    """A centred head of the built-in model."""
    head = new_head(model, size, size)
    expression, jaw = expression_change(model, dict(view.named))
    for name, amount in view.actions.items():
        if name != "jaw":
            expression[model.expression_names.index(name)] += amount
    jaw = jaw + torch.tensor([view.actions.get("jaw", 0.0), 0.0, 0.0])
    turn = matrix_from_yaw_pitch_roll(*(torch.tensor([value]) for value in (view.yaw, view.pitch, 0.0)))
    gaze = torch.tensor(view.gaze).deg2rad().expand(1, 2, 2)
    head = head.replace(gaze_radians=gaze, neck_share=torch.tensor([view.neck_share]), expression=expression[None],
                        rotation_radians=axis_angle_from_matrix(turn), jaw_radians=jaw[None],
                        light=view.light[None], identity=_code(head.identity, model.identity_names, view.person.shape),
                        texture=_code(head.texture, model.texture_names, view.person.texture))
    head = scale_about_pivot(head, model, torch.tensor([view.zoom]))
    return move_pivot(head, model, torch.tensor([[size / 2, size * (0.45 if view.zoom < ZOOM else 0.47)]]))


def _code(zeros: torch.Tensor, names: tuple[str, ...], amounts: Amounts) -> torch.Tensor:
    code = zeros.clone()
    for name, amount in amounts.items():
        code[0, names.index(name)] = amount
    return code


def tile(model: HeadModel, size: int, view: View) -> Image.Image:
    person = view.person
    drawn = portrait(head_of(model, size, view), model, size, size, hair=person.hair, hair_colour=person.hair_colour)
    return picture(drawn.over(BACKGROUND)[0])


def views() -> list[list[tuple[str, View]]]:
    """Caption and view of each tile, row by row."""
    named = [(name.replace("_", " "), View(named={name: 1.0})) for name in NAMED]
    looks = [(name, View(actions=amounts, gaze=gaze, zoom=1.9)) for name, gaze, amounts in LOOKS]
    mouths = [(name, View(actions=amounts, yaw=yaw)) for (name, amounts), yaw in zip(MOUTHS, (0, 20, -15, 0, 15, 0), strict=True)]
    lit = [(name, View(light=codes, yaw=20.0, zoom=1.2)) for name, codes in LIGHTS]
    cuts = [(name, View(person=person, yaw=-20.0, zoom=1.2)) for name, person in HAIR]
    people = [("", View(person=person, yaw=15.0 * (-1) ** number, zoom=1.15, named={"smile": 0.35 if number % 3 == 0 else 0.1}))
              for number, person in enumerate(PEOPLE)]
    return [list(ANGLES), named[:6], named[6:], looks, mouths, lit + cuts, people]


def rows(model: HeadModel, size: int) -> list[list[Tile]]:
    return [[(tile(model, size, view), caption) for caption, view in row] for row in views()]


def draw_page(told: str | None, name: str, side: int, rows_of: Callable[[HeadModel, int], list[list[Tile]]], look: Look) -> None:
    """The command line of a page docs/<name>.jpg: its file and the pixels of a tile may be chosen."""
    parser = argparse.ArgumentParser(description=told, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / f"{name}.jpg")
    parser.add_argument("--tile", type=int, default=side, help="pixels")
    options = parser.parse_args()
    grid(rows_of(load_builtin(), options.tile), look).save(options.out, quality=88)


if __name__ == "__main__":
    draw_page(__doc__, "head_builtin", 230, rows, Look("#ededed", gap=0, rim=0, letters=14))
