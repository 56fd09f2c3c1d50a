"""Photos of people who may be shown, as tensors [3, H, W] of 0..1."""
from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import torch

from . import GOLDEN, PHOTOS

TEMPLATES = {"woman_b": ("other", "template_image_speech_to_video-1"),
             "woman_c": ("other", "template_character_portrait_relighting-1"),
             "woman_d_1": ("image", "flux_fill_inpaint_example-1"), "woman_d_2": ("image", "flux_fill_inpaint_example-2"),
             "woman_e": ("image", "wan2.1_fun_control-2")}
IDENTITIES = {"woman_a": ("astronaut",), "woman_b": ("woman_b",), "woman_c": ("woman_c",), "woman_d": ("woman_d_1", "woman_d_2"),
              "woman_e": ("woman_e",), "man_a": ("man_a_1", "man_a_2", "man_a_3"), "man_b": ("man_b_1",)}


def as_tensor(picture) -> torch.Tensor:
    """A PIL picture or [H, W, 3] uint8 array."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


@cache
def golden_photo(name: str) -> torch.Tensor:
    """tests/golden/face_photo_<name>.png"""
    from PIL import Image
    with Image.open(GOLDEN / f"face_photo_{name}.png") as picture:
        return as_tensor(picture.convert("RGB"))


@cache
def photo(name: str) -> torch.Tensor:
    """A photo of IDENTITIES: the astronaut, tests/photos/<name>.jpg, or a picture of the workflow templates."""
    from PIL import Image
    if name == "astronaut":
        return golden_photo(name)
    path = PHOTOS / f"{name}.jpg"
    if name in TEMPLATES:
        media, file = TEMPLATES[name]
        path = package(f"comfyui_workflow_templates_media_{media}") / "templates" / f"{file}.webp"
    with Image.open(path) as picture:
        return as_tensor(picture.convert("RGB"))


def package(name: str) -> Path:
    """Folder of an installed package, without importing it; LookupError where it is not installed."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise LookupError(f"the package {name} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


@cache
def group_photo() -> torch.Tensor:
    """Six people side by side in two rows, 300 px each: [3, 600, 900]."""
    from torch.nn.functional import interpolate
    places = ("astronaut", "woman_b", "woman_c", "woman_d_1", "man_a_1", "man_b_1")
    tiles = []
    for name in places:
        whole = photo(name)
        side = min(whole.shape[1:])
        left = (whole.shape[2] - side) // 2
        tiles.append(interpolate(whole[None, :, :side, left:left + side], (300, 300), mode="bilinear", antialias=True)[0])
    return torch.cat([torch.cat(tiles[:3], 2), torch.cat(tiles[3:], 2)], 1)
