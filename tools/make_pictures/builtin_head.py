"""Draws docs/head_builtin.jpg: the built-in head from five angles, with expressions, and as different people.

    python -m tools.make_pictures.builtin_head [--out FILE] [--tile PIXELS]

Drawn with the pack's own renderer.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image

from caphuman_core.flow import Head
from caphuman_core.head import light
from caphuman_core.head.model.head_model import HeadModel, load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.head.pivot import move_pivot, scale_about_pivot
from caphuman_core.head.rotations import axis_angle_from_matrix, matrix_from_yaw_pitch_roll
from caphuman_core.render.maps import Render, render

from ..devkit.places import ROOT
from ..sheet import INK, Look, Tile, grid, picture

ANGLES = ((-80.0, 0.0), (-35.0, 0.0), (0.0, 0.0), (35.0, 0.0), (0.0, 25.0))          # yaw, pitch degrees
EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5},
    "blink": {"eyeBlinkLeft": 1, "eyeBlinkRight": 1},
    "brows up": {"browInnerUp": 1, "browOuterUpLeft": 1, "browOuterUpRight": 1, "eyeWideLeft": 0.5, "eyeWideRight": 0.5},
    "jaw 0.3 rad": {"jaw": 0.3},
    "pucker": {"mouthPucker": 1},
}
PEOPLE = 8
ZOOM = 1.2
BACKGROUND = 0.93


def pose(model: HeadModel, size: int, yaw: float, pitch: float, amounts: dict[str, float]) -> Head:
    """A centred head of the built-in model with named expressions; "jaw" is radians."""
    head = new_head(model, size, size)
    expression = head.expression.clone()
    for name, amount in amounts.items():
        if name != "jaw":
            expression[0, model.expression_names.index(name)] = amount
    turn = matrix_from_yaw_pitch_roll(*(torch.tensor([value]) for value in (yaw, pitch, 0.0)))
    head = head.replace(expression=expression, rotation_radians=axis_angle_from_matrix(turn),
                        jaw_radians=torch.tensor([[amounts.get("jaw", 0.0), 0.0, 0.0]]),
                        light=light.directional(-35.0, 35.0, 0.55, 0.65)[None])
    head = scale_about_pivot(head, model, torch.tensor([ZOOM]))
    return move_pivot(head, model, torch.tensor([[size / 2, size * 0.45]]))


def rows(model: HeadModel, size: int) -> list[list[Tile]]:
    """An expression each: five angles, then normals, albedo and normals from the side. The last row holds other people."""
    made = []
    for name, amounts in EXPRESSIONS.items():
        drawn = [render(pose(model, size, yaw, pitch, amounts), model, size, size) for yaw, pitch in ANGLES]
        front, side = drawn[2], drawn[3]
        maps = over(front, front.normal * 0.5 + 0.5), over(front, front.albedo), over(side, side.normal * 0.5 + 0.5)
        made.append([(tile, "" if number else name) for number, tile in enumerate([*map(shaded, drawn), *maps])])
    return [*made, [(tile, "" if number else "people") for number, tile in enumerate(people(model, size))]]


def people(model: HeadModel, size: int) -> list[Image.Image]:
    """Heads of chance."""
    generator = torch.Generator().manual_seed(7)
    tiles = []
    for number in range(PEOPLE):
        head = pose(model, size, 20.0 * (number % 3 - 1), 0.0, {})
        head = head.replace(identity=torch.randn(head.identity.shape, generator=generator) * 0.9,
                            texture=torch.randn(head.texture.shape, generator=generator) * 0.8)
        tiles.append(shaded(render(head, model, size, size)))
    return tiles


def shaded(one: Render) -> Image.Image:
    """The lit head over a light background."""
    return over(one, one.shaded)


def over(one: Render, channels: torch.Tensor) -> Image.Image:
    """A map [1, 3, H, W] of 0..1 where the head is, over a light background."""
    mask = one.mask[0]
    return picture(channels[0] * mask + BACKGROUND * (1 - mask))


def main() -> None:
    """Draw the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "head_builtin.jpg")
    parser.add_argument("--tile", type=int, default=184, help="pixels")
    options = parser.parse_args()
    grid(rows(load_builtin(), options.tile), Look("#ededed", INK, gap=0, rim=0, letters=13)).save(options.out, quality=85)


if __name__ == "__main__":
    main()
