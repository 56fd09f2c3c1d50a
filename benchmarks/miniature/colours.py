"""Regions of a picture whose pixels are known, because the picture that was asked for can be drawn; and the colours in them."""
from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from caphuman_core.flow import Head
from caphuman_train.miniature.scene import face_seen
from caphuman_train.miniature.words import GROUND_COLOURS, SHIRT_COLOURS, Look

from . import world

LEAST = 24                                       # pixels below which a region says nothing
SURE = 0.25                                      # by how much a pixel changes with the word that it is of
INSIDE = 2                                       # pixels that a region is cut back, so that a small shift leaves it what it is


@dataclass(frozen=True)
class Regions:
    """[H, W] bool each."""

    ground: Tensor
    shirt: Tensor
    skin: Tensor                                 # of the face, without what is drawn over it
    left: Tensor                                 # half of the face, as the viewer sees it
    right: Tensor


def regions(head: Head, caption: Look, seed: int) -> Regions:
    """Of the picture that is asked for."""
    def changes(name: str, one: str, other: str) -> Tensor:
        a, b = (world.perfect(head, replace(caption, **{name: word}), seed).picture for word in (one, other))
        return cut_back((a - b).abs().amax(0) > SURE)
    face = world.perfect(head, caption, seed).face & face_seen(head, world.model())
    left, right = halves(head, cut_back(face))
    return Regions(changes("ground", "white", "black"), changes("shirt", "white", "black"), cut_back(face), left, right)


def cut_back(region: Tensor, pixels: int = INSIDE) -> Tensor:
    """A region [H, W] without its rim."""
    outside = (~region)[None, None].float()
    return F.max_pool2d(outside, 2 * pixels + 1, 1, pixels)[0, 0] == 0


def halves(head: Head, face: Tensor) -> tuple[Tensor, Tensor]:
    """A face's pixels to the left and to the right of the line through brows' middle and chin."""
    from caphuman_core.head import camera
    from caphuman_core.render.maps import pose
    points = camera.to_picture(head, pose(head, world.model()).landmarks2d)[0, :, :2]
    top, down = points[27], points[8] - points[27]
    y, x = torch.meshgrid(torch.arange(head.height) + 0.5, torch.arange(head.width) + 0.5, indexing="ij")
    beside = (x - top[0]) * down[1] - (y - top[1]) * down[0]
    return face & (beside < 0), face & (beside > 0)


def mean_colour(picture: Tensor, region: Tensor) -> Tensor | None:
    """[3] of a picture [3, H, W]; None where the region is too small to say anything."""
    return picture[:, region].mean(1) if int(region.sum()) >= LEAST else None


def ground_word(picture: Tensor, region: Tensor) -> str | None:
    """The word of the nearest background."""
    colour = mean_colour(picture, region)
    return None if colour is None else _nearest(colour, {word: torch.tensor(value) for word, value in GROUND_COLOURS.items()})


def shirt_word(picture: Tensor, region: Tensor, drawn: Tensor, word: str) -> str | None:
    """The word of the nearest shirt under the light of the picture that was asked for (drawn, with a shirt of `word`)."""
    colour, asked = mean_colour(picture, region), mean_colour(drawn, region)
    if colour is None or asked is None:
        return None
    light = asked / torch.tensor(SHIRT_COLOURS[word])
    return _nearest(colour, {other: (light * torch.tensor(value)).clamp(0, 1) for other, value in SHIRT_COLOURS.items()})


def _nearest(colour: Tensor, words: dict[str, Tensor]) -> str:
    return min(words, key=lambda word: float((words[word] - colour).norm()))


def brighter_right(picture: Tensor, where: Regions) -> float | None:
    """How much brighter the right half of the face is than the left, in shares of the mean."""
    left, right = (mean_colour(picture, half) for half in (where.left, where.right))
    if left is None or right is None:
        return None
    return float((right.mean() - left.mean()) / (right.mean() + left.mean()).clamp(min=1e-6) * 2)


def overlap(mask: Tensor, face: Tensor) -> float:
    """Intersection over union of two regions [H, W] bool."""
    return float((mask & face).sum() / (mask | face).sum().clamp(min=1))
