"""python -m tools.make_pictures.registry: docs/icon.png, docs/banner.png and docs/at_a_glance.jpg, by the pack's own renderer.

The banner and README's first picture: a photo that turns into its head, and what can be done with the head. No sampled picture is
shown. Photo: the astronaut of scikit-image (NASA, public domain).
"""
from __future__ import annotations

from dataclasses import replace

import torch
from PIL import Image, ImageOps

from caphuman_core.flow import Head
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.relight import relight
from caphuman_core.head.model.head_model import HeadModel, load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.render.maps import render

from ..devkit.places import ROOT
from ..sheet import Look, grid, picture
from . import thumbnails

BACKGROUND = (24, 27, 34)
SIDE = 1024                  # pixels drawn; reduced afterwards, which smooths the edges


def head(model: HeadModel, side: int, look: str = "shaded", **edit: float) -> Image.Image:
    """One head of the built-in model on the background, side x side pixels. look: "shaded" or "normal"."""
    made = edit_head(new_head(model, SIDE, SIDE), model, replace(Edit(scale=1.35, y=0.04), **edit))
    drawn = render(relight(made, 35, 25, 0.75, 0.6, (1.0, 0.97, 0.92)), model, SIDE, SIDE)
    colour = (drawn.normal[0] + 1) / 2 if look == "normal" else drawn.shaded[0].clamp(0, 1)
    mask = drawn.mask[0].reshape(1, SIDE, SIDE)
    ground = torch.tensor(BACKGROUND).reshape(3, 1, 1) / 255
    return picture(colour * mask + ground * (1 - mask)).resize((side, side), Image.Resampling.LANCZOS)


def tile(picture: Image.Image, width: int, height: int) -> Image.Image:
    """A picture cut and reduced to width x height pixels, around its middle."""
    return ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)


def posed() -> list[Head]:
    """The photo's head turned and smiling, lit from the side, and surprised."""
    person = thumbnails.fitted(thumbnails.WHO)
    smiling, turned, wondering = (thumbnails.edited(person, edit) for edit in (
        Edit(yaw_degrees=28, expressions={"smile": 0.25}), Edit(yaw_degrees=-32, pitch_degrees=6),
        Edit(roll_degrees=10, expressions={"surprise": 0.8})))
    return [smiling, relight(turned, 75, 20, 1.2, 0.45, (1.0, 0.78, 0.55)), wondering]


def banner() -> Image.Image:
    """1260 x 540: the photo that turns into its hint, beside four pictures of its head."""
    sheet = Image.new("RGB", (1260, 540), BACKGROUND)
    sheet.paste(tile(thumbnails.wiped(thumbnails.WHO), 540, 540), (0, 0))
    smiling, turned, wondering = posed()
    for place, (head, look) in enumerate(((smiling, "shaded"), (turned, "shaded"), (wondering, "normals"), (smiling, "normals"))):
        at = (548 + place % 2 * 358, place // 2 * 274)
        sheet.paste(tile(thumbnails.shown(head, look), 350 if place % 2 == 0 else 354, 266), at)
    return sheet


def at_a_glance() -> Image.Image:
    """README's first picture, a row: the photo, the head found in it, three edits of it, what CapFace is shown."""
    person = thumbnails.WHO
    smiling, turned, wondering = posed()
    steps = [("a photo", thumbnails.wiped(person, at=2.0)), ("the head in it", thumbnails.wiped(person)),
             ("turned, smiling", thumbnails.shown(smiling)), ("in another light", thumbnails.shown(turned)),
             ("surprised", thumbnails.shown(wondering)), ("for CapFace", thumbnails.shown(smiling, "normals"))]
    return grid([[(picture.resize((320, 320), Image.Resampling.LANCZOS), caption) for caption, picture in row]
                 for row in (steps[:3], steps[3:])], Look(ground="#181b22", ink="#cfd3da"))


def main() -> None:
    """Write the three pictures."""
    head(load_builtin(), 400, yaw_degrees=-22).save(ROOT / "docs" / "icon.png")
    banner().save(ROOT / "docs" / "banner.png")
    at_a_glance().save(ROOT / "docs" / "at_a_glance.jpg", quality=88, optimize=True, progressive=True)


if __name__ == "__main__":
    main()
