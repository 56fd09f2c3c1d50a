"""python -m tools.make_pictures.photo_skins: docs/photo_skins.jpg, heads in the head model's texture and in their photo's skin."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from caphuman_core.flow import Head
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.fit.photo_skin import with_photo_skin
from caphuman_core.head.light import directional
from caphuman_core.render.portrait import portrait

from ..devkit.places import ROOT
from ..sheet import Tile, grid, picture
from . import thumbnails
from .fitted_faces import LOOK, SIDE, laid, person

TARGET = ROOT / "docs" / "photo_skins.jpg"
PEOPLE = ("astronaut", "man_a_2", "man_b_1")
FRONT = Edit(scale=1.15, y=-0.06)
GREY = 0.35


def alone(head: Head, edit: Edit, azimuth_degrees: float) -> Image.Image:
    """A head in the middle of an empty picture, edited and lit."""
    model = thumbnails.model()
    shown = edit_head(edit_head(head, model, FRONT, "set"), model, edit)
    shown = shown.replace(light=directional(azimuth_degrees, 20.0, 0.9, 0.5)[None])
    return picture(portrait(shown, model, head.width, head.height).over(GREY)[0])


def row(name: str) -> list[Tile]:
    """Photo, refined head in either skin, and the second turned to the other side in a light from there, and smiling."""
    one = person(name)
    head = one.refined.head
    worn, _ = with_photo_skin(one.photo, head, thumbnails.model())
    side = -1.0 if float(head.light[0, 1].mean()) > 0 else 1.0
    tiles = [(picture(one.photo[0]), "photo"), (laid(one, head), "the head model's texture"), (laid(one, worn), "the photo's skin"),
             (alone(worn, Edit(yaw_degrees=40.0 * side), 60.0 * side), "turned, lit from the other side"),
             (alone(worn, replace(Edit(yaw_degrees=-20.0 * side), expressions={"smile": 1.0, "blink_left": 1.0}), -40.0 * side),
              "smiling, an eye closed")]
    return [(tile.resize((SIDE, SIDE), Image.Resampling.LANCZOS), caption) for tile, caption in tiles]


def main(target: Path = TARGET) -> None:
    """Draw the sheet."""
    grid([row(name) for name in PEOPLE], LOOK).save(target, quality=86, optimize=True, progressive=True)


if __name__ == "__main__":
    main()
