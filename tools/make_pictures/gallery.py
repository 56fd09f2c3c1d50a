"""python -m tools.make_pictures.gallery: docs/gallery/*.jpg, what can be done with one photo.

People and the heads found in them, expressions, poses and lights, drawn by the pack's own renderer; no sampled picture is
shown. With trained networks `python dev.py demo` samples sheets like these. Photos: the astronaut of scikit-image (NASA, public
domain) and generated people of ComfyUI's template packages (MIT).
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PIL import Image

from caphuman_core.head.edit.edit import Edit
from caphuman_core.head.edit.relight import Others, relight

from ..devkit.places import ROOT
from ..sheet import Look, Tile, grid
from .thumbnails import WHO, edited, fitted, frontal, shown, wiped

FOLDER = ROOT / "docs" / "gallery"
SIDE = 280                               # pixels of a tile
LOOK = Look(ground="#181b22", ink="#cfd3da", letters=16)
WHITE = (1.0, 1.0, 1.0)
PEOPLE = (WHO, "woman_b", "woman_c", "woman_d_1")
EXPRESSIONS: tuple[tuple[str, dict[str, float]], ...] = (
    ("as found", {}), ("smile", {"smile": 0.7}), ("laugh", {"smile": 1.0, "mouth_open": 0.6, "squint": 0.4}),
    ("surprise", {"surprise": 1.0}), ("anger", {"anger": 1.0}), ("sadness", {"sadness": 1.0}), ("fear", {"fear": 1.0}),
    ("disgust", {"disgust": 1.0}), ("kiss", {"pucker": 1.0}), ("wink", {"blink_left": 1.0, "smile": 0.5}))
POSES = (("to the right", Edit(yaw_degrees=40)), ("looking up", Edit(yaw_degrees=-20, pitch_degrees=20)),
         ("over the shoulder", Edit(yaw_degrees=60, pitch_degrees=4, roll_degrees=-7)), ("tilted", Edit(roll_degrees=18)),
         ("profile", Edit(yaw_degrees=-80)))
Light = tuple[float, float, float, float, tuple[float, float, float], Others]
# As the editor's set-ups (web/editor/looks.js): azimuth, elevation, intensity, ambient, colour, fill and rim.
LIGHTS: tuple[tuple[str, Light], ...] = (
    ("Rembrandt", (48, 42, 1.35, 0.18, WHITE, Others(0.12))), ("butterfly", (0, 55, 1.05, 0.28, WHITE, Others(0.1, 0.25))),
    ("split", (90, 5, 1.5, 0.12, WHITE, Others())), ("evening", (60, 12, 1.2, 0.3, (1.0, 0.66, 0.4), Others(0.1))),
    ("window", (-65, 15, 1.15, 0.28, (0.66, 0.83, 1.0), Others(0.1))))


def tile(picture: Image.Image, caption: str = "") -> Tile:
    """A picture at the size of the sheets."""
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), caption


def save(name: str, rows: Sequence[Sequence[Tile]]) -> None:
    """One sheet."""
    grid(rows, LOOK).save(FOLDER / f"{name}.jpg", quality=86, optimize=True, progressive=True)


def people() -> list[list[Tile]]:
    """Photo, head in its place, and the head turned and smiling in the photo's own light."""
    turned = [shown(edited(fitted(name), Edit(yaw_degrees=25, expressions={"smile": 0.4}))) for name in PEOPLE]
    return [[tile(wiped(name, at=2.0)) for name in PEOPLE], [tile(wiped(name)) for name in PEOPLE], [tile(head) for head in turned]]


def main() -> None:
    """Draw every sheet."""
    near = partial(frontal, WHO, scale=1.2)
    faces = [tile(shown(near(expressions=amounts)), name) for name, amounts in EXPRESSIONS]
    save("people", people())
    save("expressions", [faces[:5], faces[5:]])
    save("poses", [[tile(shown(edited(frontal(WHO), pose)), name) for name, pose in POSES],
                   [tile(shown(edited(frontal(WHO), pose), "normals")) for _, pose in POSES]])
    lit = near(yaw_degrees=-15)
    save("lights", [[tile(shown(relight(lit, *light)), name) for name, light in LIGHTS]])


if __name__ == "__main__":
    main()
