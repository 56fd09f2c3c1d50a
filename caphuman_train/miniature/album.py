"""The pictures of a recipe as files: `pictures/p00012/3.png` with its caption and licence, as `prepare` reads them, and beside
them, in `faces/`, what is known of them: where the face is, and which pixels are whose."""
from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from caphuman_bench.folder import write_whole
from caphuman_core.head.model.head_model import HeadModel
from caphuman_core.pixels import bytes_of, image_of, photo_of

from .recipe import Pictures
from .scene import draw, scene_of

LICENCE, SOURCE = "CC0-1.0", "drawn by caphuman_train.miniature on the pack's built-in head"
DONE = "known.json"                              # of a person, written last


@dataclass(frozen=True)
class Album:
    """All pictures of a recipe, in the order of people and numbers."""

    pixels: Tensor                               # [N, 3, H, W] uint8
    faces: Tensor                                # [N, H, W] bool: the face itself
    captions: list[str]

    def __len__(self) -> int:
        return len(self.captions)


def draw_album(folder: Path, recipe: Pictures, model: HeadModel, step: Callable[[int], object] = lambda done: None) -> None:
    """Draw whatever is not there yet. step(people) is called after each person."""
    for person in range(recipe.people):
        if not (folder / "faces" / name_of(person) / DONE).is_file():
            _draw_person(folder, recipe, model, person)
        step(person + 1)


def name_of(person: int) -> str:
    """Of the folder of a person."""
    return f"p{person:05}"


def _draw_person(folder: Path, recipe: Pictures, model: HeadModel, person: int) -> None:
    shown, known = folder / "pictures" / name_of(person), folder / "faces" / name_of(person)
    shown.mkdir(parents=True, exist_ok=True)
    known.mkdir(parents=True, exist_ok=True)
    marks = []
    for number in range(recipe.each):
        scene = scene_of(model, recipe.seed, recipe.side, person, number, recipe.even_light)
        drawn = draw(scene, model)
        (shown / f"{number}.png").write_bytes(_png(image_of(drawn.picture)))
        (shown / f"{number}.txt").write_text(scene.caption, encoding="utf-8")
        (shown / f"{number}.json").write_text(json.dumps({"licence": LICENCE, "source": SOURCE}), encoding="utf-8")
        (known / f"{number}.png").write_bytes(_png(Image.fromarray(drawn.face.numpy())))
        marks.append(mark_of(drawn.picture))
    write_whole(known / DONE, json.dumps(marks).encode())


def _png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def mark_of(picture: Tensor) -> str:
    """Of the pixels [3, H, W] of a picture, as 8 bits."""
    return hashlib.sha256(bytes_of(picture).tobytes()).hexdigest()[:24]


def marks_of(folder: Path, recipe: Pictures) -> dict[str, tuple[int, int]]:
    """Which person and number each picture's pixels are."""
    found: dict[str, tuple[int, int]] = {}
    for person in range(recipe.people):
        marks = json.loads((folder / "faces" / name_of(person) / DONE).read_text(encoding="utf-8"))
        found |= {mark: (person, number) for number, mark in enumerate(marks)}
    return found


def face_of(folder: Path, person: int, number: int) -> Tensor:
    """[H, W] bool: where a picture shows the face itself."""
    with Image.open(folder / "faces" / name_of(person) / f"{number}.png") as picture:
        return photo_of(picture.convert("RGB"))[0] > 0.5


def open_album(folder: Path, recipe: Pictures) -> Album:
    """All pictures, in memory."""
    pixels, faces, captions = [], [], []
    for person, number in places_of(recipe):
        path = folder / "pictures" / name_of(person) / f"{number}.png"
        with Image.open(path) as picture:
            pixels.append((photo_of(picture.convert("RGB")) * 255).round().to(torch.uint8))
        faces.append(face_of(folder, person, number))
        captions.append(path.with_suffix(".txt").read_text(encoding="utf-8"))
    return Album(torch.stack(pixels), torch.stack(faces), captions)


def places_of(recipe: Pictures) -> list[tuple[int, int]]:
    """Person and number of each picture, in the album's order."""
    return [(person, number) for person in range(recipe.people) for number in range(recipe.each)]
