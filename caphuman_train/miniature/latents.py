"""Stage: all pictures as latents, straight and mirrored; in parts, so that a killed run goes on."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from caphuman_core.files.weights import read_state_dict, write_safetensors

from .album import Album
from .narrow import encoded
from .styles import styled

PART = 64                                        # pictures in a file
AT_ONCE = 8
PHOTO = "photo"                                  # no style


@dataclass(frozen=True)
class Latents:
    """As the UNet sees them. Second axis: straight, mirrored."""

    mean: Tensor                                 # [N, 2, 4, h, w]
    std: Tensor                                  # [N, 2, 4, h, w]


def encode_album(folder: Path, album: Album, autoencoder: Any, style: str,
                 step: Callable[[int], object] = lambda done: None) -> None:
    """Encode whatever is not there yet. style: PHOTO or one of `recipe.STYLES`. step(pictures) is called after each part."""
    for first in range(0, len(album), PART):
        path = folder / style / f"{first:06}.safetensors"
        pixels = album.pixels[first:first + PART]
        if not path.is_file():
            write_safetensors(path, _encoded(pixels, autoencoder, style), {})
        step(first + len(pixels))


def _encoded(pixels: Tensor, autoencoder: Any, style: str) -> dict[str, Tensor]:
    pictures = pixels.float() / 255
    if style != PHOTO:
        pictures = styled(pictures, style)
    both = torch.stack([pictures, pictures.flip(-1)], 1)
    parts = [encoded(autoencoder, part) for part in both.flatten(0, 1).split(AT_ONCE)]
    means, stds = (torch.cat(column).unflatten(0, (-1, 2)) for column in zip(*parts, strict=True))
    return {"mean": means, "std": stds}


def open_latents(folder: Path, style: str) -> Latents:
    """All of them, in the album's order."""
    parts = [read_state_dict(path, "latents") for path in sorted((folder / style).glob("*.safetensors"))]
    return Latents(torch.cat([part["mean"] for part in parts]), torch.cat([part["std"] for part in parts]))
