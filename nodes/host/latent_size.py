"""How large the latent is that the host cuts an area from."""
from __future__ import annotations

import sys


def whole_latent(depth: int = 2) -> tuple[int, int] | None:
    """Height and width in cells of the latent that an area is being cut from; None where it cannot be told.

    The host gives a conditioning its area (comfy.samplers.get_area_and_mult), but neither the conditioning nor any control object
    ever learns the size of what the area is cut from: it stands only in the variable `x_in` of the function that asks. It is
    looked up there, `depth` calls up, and never changed.
    """
    asking = sys._getframe(depth).f_locals.get("x_in")
    shape = tuple(getattr(asking, "shape", ()))
    return (int(shape[-2]), int(shape[-1])) if len(shape) == 4 else None
