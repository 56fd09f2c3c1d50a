"""Who it is, changed by hand: numbers on top of the first ones of a head's shape and texture codes."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...check import require
from ...flow import Head
from ..model.head_model import HeadModel


def reshape(head: Head, model: HeadModel, shape: tuple[float, ...], texture: tuple[float, ...]) -> Head:
    """The head with these numbers, standard deviations, on top of its own; exactly as it was where there are none."""
    return head.replace(identity=_raised(head.identity, shape, "shape", model.identity_basis.shape[0]),
                        texture=_raised(head.texture, texture, "texture", model.texture_basis.shape[0]))


def _raised(code: Tensor, more: tuple[float, ...], name: str, most: int) -> Tensor:
    """A code [B, N] with `more` on top of its first numbers; a code that is too short is continued by zeros."""
    used = used_numbers(more)
    if not used:
        return code
    require(len(used) <= most, f"{name}_{len(used)}", f"must be 0 for a head model with {most} {name} directions", used[-1],
            "set it back, or use another head model")
    change = F.pad(torch.tensor(used).to(code), (0, max(0, code.shape[1] - len(used))))
    return F.pad(code, (0, len(change) - code.shape[1])) + change


def used_numbers(numbers: tuple[float, ...]) -> tuple[float, ...]:
    """Without the zeros at their end."""
    count = max((place for place, number in enumerate(numbers, 1) if number), default=0)
    return tuple(numbers[:count])


def numbered(name: str, numbers: tuple[float, ...]) -> dict[str, float]:
    """By the names of their widgets: shape_1, shape_2, ..."""
    return {f"{name}_{place}": number for place, number in enumerate(numbers, 1)}
