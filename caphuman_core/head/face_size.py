"""How large a face is in its picture, and whether that is enough to draw a person."""
from __future__ import annotations

from torch import Tensor

from ..flow import Head
from .camera import Framing, pixels_per_unit, reframe

FACE_METRES = 0.133          # brows to chin of a neutral head
LEAST_PIXELS = 64            # of that height: with eight latent pixels or less a face has no features


def face_pixels(head: Head) -> Tensor:
    """Height of each face in its picture, brows to chin, as if it were upright and looked at the viewer: pixels [B]."""
    return pixels_per_unit(head) * FACE_METRES


def small_face_note(head: Head, width: int, height: int, framing: Framing = "contain") -> str | None:
    """One sentence for the user where the smallest face of a batch comes out too small in a picture of that size."""
    smallest = float(face_pixels(reframe(head, width, height, framing)).min())
    if smallest >= LEAST_PIXELS:
        return None
    return (f"The face is {int(smallest)} pixels high in a picture of {width} x {height}; below {LEAST_PIXELS} it cannot be drawn "
            "well: press Frame in CapHuman Edit Head, scale the head up, or make the picture larger.")
