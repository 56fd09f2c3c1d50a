"""The networks that look at faces, with the golden weights, against the reference's numbers (FACE.md)."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from .compare import Distance, arrays, distance

CLIP = (3e-4, 2e-5)                      # the reference's suggested limits for a float32 CLIP
FACENET = (1e-5, 1.0)                    # absolute, its own
DECA = (2e-5, 1.0)
PARSER_SHARE = 1e-4                      # of the largest score
SURE = 1e-3                              # margin between two classes below which either may win


def facenet(network: Any, device: str = "cpu") -> Iterator[Distance]:
    """FaceNet's vectors of golden crops."""
    numbers = arrays("face_identity")
    pixels = (torch.from_numpy(numbers["filled/image_u8"]).permute(0, 3, 1, 2).float() - 127.5) / 128
    with torch.no_grad():
        yield distance("FaceNet before its norm", network.before_norm(pixels.to(device)), numbers["filled/before_norm"], FACENET)
        yield distance("FaceNet", network(pixels.to(device)), numbers["filled/embedding"], FACENET)


def deca(network: Any, device: str = "cpu") -> Iterator[Distance]:
    """DECA's features and codes of golden crops."""
    case = arrays("face_encoder")
    crops = (torch.from_numpy(case["image_u8"]).movedim(-1, 1).float() / 255).to(device)
    with torch.no_grad():
        yield distance("DECA's features", network.encoder(crops), case["features"], DECA)
        yield distance("DECA's codes", network(crops), case["code"], DECA)


def bisenet(network: Any, case: str) -> Iterator[Distance]:
    """Scores and enlarged scores of a golden photo; the network lies where it is to run."""
    from caphuman_core.face import parsing
    numbers = arrays("face_parser")
    picture = photo(numbers[f"{case}/image"])
    height, width = picture.shape[1:]
    limit = (PARSER_SHARE * float(np.abs(numbers[f"{case}/logits_low"]).max()), 1.0)
    with torch.no_grad():
        low = parsing.scores(network, picture)
        yield distance("BiSeNet's scores", low, numbers[f"{case}/logits_low"], limit)
        high = parsing.enlarged(low, height, width, 0, height)
        yield distance("BiSeNet's scores, enlarged", high[:, ::4, ::4], numbers[f"{case}/logits_every4"], limit)


def wrong_classes(network: Any, case: str) -> int:
    """Pixels whose class differs from the reference's though that was sure of it."""
    from caphuman_core.face import parsing
    numbers = arrays("face_parser")
    classes = parsing.parse(network, photo(numbers[f"{case}/image"])[None])[0].numpy()
    return int((classes != numbers[f"{case}/labels"])[numbers[f"{case}/margin"] > SURE].sum())


def clip(tokens: Any) -> Distance:
    """tokens: what the tower made of `clip_pixels`."""
    return distance("CLIP's tokens", tokens, arrays("diffusion_clip_vision")["astronaut__last_hidden_state"], CLIP)


def clip_pixels() -> torch.Tensor:
    """The pixel values [1, 3, 224, 224] of the golden photo."""
    return torch.from_numpy(arrays("diffusion_clip_vision")["astronaut__pixel_values"])


def photo(pixels: np.ndarray) -> torch.Tensor:
    """[H, W, 3] bytes -> [3, H, W] 0..1."""
    return torch.from_numpy(pixels).movedim(-1, 0).float() / 255
