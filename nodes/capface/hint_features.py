"""What a hint amounts to at one latent size and place: features for the network, and the masks its residuals act within."""
from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import comfy.utils
import torch
from torch import Tensor

from ...caphuman_core.capface.mask import centre_cut
from ...caphuman_core.capface.places import Area, Place, cropped_frame, seen
from ...caphuman_core.capface.spec import CELL

if TYPE_CHECKING:
    from .control import CapFace, Person

ENCODE_AT_ONCE = 2                              # hints encoded together; more costs memory, not time
SAME_SHAPE = 0.01                               # aspects nearer than this share look alike
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HintFeatures:
    """The same for every step of a run."""

    guided: Tensor                              # [N, 320, h, w] compute dtype
    mask: Tensor | None                         # [N, 1, h, w] float32 0..1; None: everywhere
    spatial: Tensor | None                      # [M, 1, h, w] float32, the user's own; None: everywhere

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in (self.guided, self.mask, self.spatial) if part is not None)


def hint_size(person: Person) -> tuple[int, int]:
    """Height and width in pixels."""
    height, width = person.hint.maps.shape[-2:]
    return int(height), int(width)


def encode(capface: CapFace, person: Person, cells: tuple[int, int], place: Place, device: torch.device) -> HintFeatures:
    """Hint block and masks for every entry, of the part of the picture that `place` is, at latent size `cells`."""
    hint, frame = person.hint, hint_size(person)
    maps = _shown(hint.maps, (cells[0] * CELL, cells[1] * CELL), place, frame)
    guided, masks = [], []
    for start in range(0, len(maps), ENCODE_AT_ONCE):
        features, mask = capface.network.encode_hint(maps[start:start + ENCODE_AT_ONCE].to(device, torch.float32))
        guided.append(features.to(capface.dtype))
        masks.append(mask)

    def drawn(mask: Tensor) -> Tensor:
        """A mask [B, H, W] of the whole picture at latent size, [B, 1, *cells]."""
        return _shown(mask[:, None].to(device, torch.float32), cells, place, frame)
    mask = {"none": lambda: None, "predicted": lambda: torch.cat(masks), "rendered": lambda: drawn(hint.mask)}[person.mask]()
    return HintFeatures(torch.cat(guided), mask, None if person.spatial_mask is None else drawn(person.spatial_mask))


def _shown(picture: Tensor, size: tuple[int, int], place: Place, frame: tuple[int, int]) -> Tensor:
    """A whole-picture map [B, C, H, W] at `size`, or the part of it that lies at `place`. frame: height, width of the hint.

    The whole goes by the host's rule for control pictures: centre crop to the aspect, then resize (cells hold means when it
    shrinks). Tiles and a size that the host does not tell refer to the hint's frame, which a mask of another shape is cropped to.
    """
    if isinstance(place, Area):
        place = place.of_frame(*(frame if place.whole is None else picture.shape[-2:]))
        return seen(picture, size, place)
    if place is not None:
        height, width = picture.shape[-2:]
        return seen(picture, size, place.inside(cropped_frame(height, width, *frame)))
    if tuple(picture.shape[-2:]) == size:
        return picture
    shrinks = picture.shape[-1] >= size[1] and picture.shape[-2] >= size[0]
    part = centre_cut(picture, size)                # the host's own cut leaves nothing of a mask of a pixel's width
    return comfy.utils.common_upscale(part, size[1], size[0], "area" if shrinks else "bilinear", "disabled")


def warn_of_resizing(hint: tuple[int, int], picture: tuple[int, int]) -> None:
    """Say that a hint of another size is fitted. hint, picture: height, width in pixels."""
    advice = "draw the head at the picture's size to keep its place exact"
    if abs(hint[1] * picture[0] / (hint[0] * picture[1]) - 1) > SAME_SHAPE:
        advice += ("; where a detailer samples a part of the picture, put CapHuman Head in Region, with that part's region, before "
                   "CapHuman Render Head")
    logger.warning("CapHuman: the hint is %dx%d pixels but the picture is %dx%d: it is centre-cropped and resized; %s.",
                   hint[1], hint[0], picture[1], picture[0], advice)
