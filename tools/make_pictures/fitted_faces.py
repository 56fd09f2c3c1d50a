"""python -m tools.make_pictures.fitted_faces: docs/fitted_faces.jpg, heads of people before and after Refine Head."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from caphuman_core.face.detection import detect
from caphuman_core.flow import Faces, Head
from caphuman_core.head.fit.from_photo import fit_photos
from caphuman_core.head.fit.refine import Refined, refine_photos
from caphuman_core.render.portrait import portrait

from ..devkit.places import ROOT
from ..sheet import Look, Tile, grid, picture
from . import thumbnails

TARGET = ROOT / "docs" / "fitted_faces.jpg"
SIDE = 250                               # pixels of a tile
LOOK = Look(ground="#181b22", ink="#cfd3da", letters=15)
PEOPLE = ("astronaut", "woman_b", "woman_c", "woman_e", "man_a_2", "man_b_1")


@dataclass(frozen=True)
class Person:
    """A photo, the head that was fitted to it, and what refining made of it."""

    photo: torch.Tensor                  # [1, 3, S, S]
    fitted: Head
    refined: Refined


def person(name: str) -> Person:
    """Detect, fit, refine."""
    photo, model = thumbnails.photo(name), thumbnails.model()
    faces: Faces = detect(thumbnails.detector("mediapipe"), photo, max_faces=1)
    fitted = fit_photos(photo, faces, model)
    return Person(photo, fitted, refine_photos(photo, faces, fitted, model))


def laid(one: Person, head: Head) -> Image.Image:
    """A head in its place over the photo."""
    return picture(portrait(head, thumbnails.model(), head.width, head.height).over(one.photo)[0])


def column(name: str) -> list[Tile]:
    """Photo, fitted head and refined head, with what they are."""
    one = person(name)
    if one.refined.told[0] is None:
        captions = ("fitted by landmarks", "refined: as it was")
    else:
        captions = tuple(f"{what}: {100 * told.points:.1f} / {100 * (told.colours or 0):.1f} % off"
                         for what, told in zip(("landmarks", "refined"), one.refined.told[0], strict=True))
    tiles = [(picture(one.photo[0]), "photo"), (laid(one, one.fitted), captions[0]), (laid(one, one.refined.head), captions[1])]
    return [(tile.resize((SIDE, SIDE), Image.Resampling.LANCZOS), caption) for tile, caption in tiles]


def main(target: Path = TARGET) -> None:
    """Draw the sheet. Captions: points in shares of the eyes' distance, then colours in shares of white."""
    columns = [column(name) for name in PEOPLE]
    grid([[tiles[row] for tiles in columns] for row in range(3)], LOOK).save(target, quality=86, optimize=True, progressive=True)


if __name__ == "__main__":
    main()
