"""Who and what is asked of the miniature: from a seed of its own, by the grammar of the drawn pictures; and those pictures."""
from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from caphuman_bench.heads import head_of_values
from caphuman_bench.lists import full_values
from caphuman_core.flow import Head
from caphuman_core.head import camera
from caphuman_core.head.edit.relight import relight
from caphuman_core.head.model.head_model import HeadModel, load_builtin
from caphuman_core.head.rotations import matrix_from_axis_angle, yaw_pitch_roll_from_matrix
from caphuman_train.miniature.recipe import DEFAULT, read_recipe
from caphuman_train.miniature.scene import MIDDLE, SCALE, Drawn, Scene, X, Y, draw, generator, scene_of, who
from caphuman_train.miniature.words import Look, draw_look

SEED = 20_000_003                                # of everything here; the recipe has another, which `require_unseen` looks after
CALIBRATION = 30_000_001                         # of the pictures that the judges' own errors are measured on: other people again
EVEN = (10.0, 20.0, 0.5, 0.6)                    # of photos: azimuth, elevation, strength, ambient
PHOTO_YAW = 30.0                                 # degrees: photos of people are not turned further
BARE = {"neck_share": 0.6}


@cache
def model() -> HeadModel:
    """The head that is drawn."""
    return load_builtin()


def require_unseen() -> None:
    """Refuse to judge what was trained on."""
    trained = read_recipe(DEFAULT).pictures.seed
    if trained in (SEED, CALIBRATION):
        raise ValueError(f"the recipe's seed must not be one of the judges', but got {trained}: change it.")


def yaw_pitch_roll(head: Head) -> Tensor:
    """[3] degrees."""
    return torch.stack(yaw_pitch_roll_from_matrix(matrix_from_axis_angle(head.rotation_radians)), -1)[0]


def photos_of(person: int, side: int, count: int, any_light: bool = False) -> list[Scene]:
    """Scenes that show a person nearly from the front, in colour.

    They have one even light, as photos for a passport have: the drawn lights differ more in strength than people's skins do, so
    that a single photo under any of them (any_light) tells little of its person's skin (`figures.photos_tell`).
    """
    found: list[Scene] = []
    number = 0
    while len(found) < count:
        scene = scene_of(model(), SEED, side, person, number)
        if float(yaw_pitch_roll(scene.head)[0].abs()) < PHOTO_YAW and scene.look.medium == "photo":
            found.append(scene if any_light else replace(scene, head=relight(scene.head, *EVEN, (1.0, 1.0, 1.0))))
        number += 1
    return found


def _even(name: str, number: int, count: int) -> list[float]:
    return (torch.rand(count, generator=generator(SEED, name, number)) * 2 - 1).tolist()


def _light(azimuth: float, elevation: float = 15.0, strength: float = 0.7, ambient: float = 0.5) -> dict[str, float]:
    return {"light_azimuth": round(azimuth, 1), "light_elevation": round(elevation, 1), "light_intensity": round(strength, 2),
            "light_ambient": round(ambient, 2)}


def control_heads(count: int) -> dict[str, dict[str, float]]:
    """Poses over +-45, +-20 and +-20 degrees, places, sizes and lights over all that was drawn in training."""
    found = {}
    for number in range(count):
        a = _even("head", number, 9)
        place = {"yaw_degrees": 45 * a[0], "pitch_degrees": 20 * a[1], "roll_degrees": 20 * a[2], "x": X[0] + X[1] * a[3],
                 "y": Y[0] + Y[1] * a[4], "scale": SCALE[0] + SCALE[1] * a[5]}
        found[f"h{number:02}"] = {name: round(value, 3) for name, value in place.items()} | BARE | _light(
            80 * a[6], 25 + 30 * a[7], 0.5 + 0.25 * a[8])
    return found


def expression_heads() -> dict[str, dict[str, float]]:
    """The jaw opening, and the smile growing, in five steps."""
    jaws = {f"jaw_{angle:02}": {"jaw_degrees": float(angle)} for angle in (0, 5, 10, 15, 20)}
    smiles = {f"smile_{share:03}": {"smile": share / 100} for share in (0, 25, 50, 75, 100)}
    return {key: {**values, **MIDDLE, **BARE, **_light(20.0)} for key, values in (jaws | smiles).items()}


def turned_heads() -> dict[str, dict[str, float]]:
    """Four turns of one head: for what a setting changes."""
    return {f"yaw_{yaw:+03}".replace("+", "r").replace("-", "l"): {"yaw_degrees": float(yaw), **MIDDLE, **BARE, **_light(20.0)}
            for yaw in (-36, -12, 12, 36)}


def right_head() -> dict[str, float]:
    """The right one of two people, whoever the left one is."""
    return {"yaw_degrees": 20.0, **MIDDLE, **BARE, **_light(20.0)}


def person_heads() -> dict[str, dict[str, float]]:
    """Two heads under the photos' even light, for who it is."""
    azimuth, *light = EVEN
    return {"front": {**MIDDLE, **BARE, **_light(azimuth, *light)},
            "aside": {"yaw_degrees": 20.0, **MIDDLE, **BARE, **_light(-azimuth, *light)}}


def look(number: int) -> Look:
    """What a caption names; photographs in colour only."""
    return replace(draw_look(generator(SEED, "look", number)), medium="photo")


def lists(heads: dict[str, dict[str, float]], captions: int) -> tuple[str, str]:
    """`--heads` and `--prompts` of the bench, as JSON."""
    shown = {"format": "caphuman-bench-heads/1", "heads": [{"key": key, "values": values} for key, values in heads.items()]}
    told = {"format": "caphuman-bench-prompts/1",
            "prompts": [{"key": f"c{number:02}", "text": look(number).caption, "kind": "context"} for number in range(captions)]}
    return json.dumps(shown, indent=1), json.dumps(told, indent=1)


def asked_head(values: Any, side: int, person: int | None) -> Head:
    """The head of a condition in a picture of side x side: of a person, or (None) of nobody, whose shape is the model's mean."""
    head = camera.reframe(head_of_values(full_values(values), model()), side, side)
    if person is None:
        return head
    shape, texture = who(model(), SEED, person)
    return head.replace(identity=shape, texture=texture)


def textured(head: Head, person: int) -> Head:
    """A head with the skin of a person and its own shape."""
    return head.replace(texture=who(model(), SEED, person)[1])


def perfect(head: Head, caption: Look, seed: int) -> Drawn:
    """The picture that is asked for, drawn."""
    return draw(Scene(head, caption, 0.0, seed), model())
