"""Which part of a photo becomes the target picture."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from caphuman_core.flow import Face


Box = tuple[float, float, float, float]      # left, top, right, bottom, pixels


@dataclass(frozen=True)
class Frame:
    """A rectangle of the photo, in its pixels, with the shape of the target picture."""

    left: float
    top: float
    width: float
    height: float

    def cut(self, photo: Image, settings: Settings) -> Image:
        """The target picture."""
        from PIL import Image as Pil
        box = (self.left, self.top, self.left + self.width, self.top + self.height)
        return photo.resize((settings.width, settings.height), Pil.Resampling.LANCZOS, box=box)

    def place(self, face: Face, settings: Settings) -> Face:
        """The face in pixels of the target picture."""
        from caphuman_core.face.turned import moved_face
        scale = settings.height / self.height

        def place(points: Tensor) -> Tensor:
            return (points - points.new_tensor([self.left, self.top])) * scale
        return moved_face(face, place)


def frame_of(box: Box, width: int, height: int, settings: Settings) -> Frame:
    """The largest rectangle of the target's shape in a photo of width x height, as near as may be around the face's middle.

    box: of the face. Where the face would have less than `face_share` of the picture's height, a smaller
    rectangle is taken, but none in which a photo's pixel becomes more than one of the picture's.
    """
    aspect = settings.width / settings.height
    tall = min(float(height), width / aspect)
    face = box[3] - box[1]
    if face < settings.face_share * tall:
        tall = min(tall, max(face / settings.face_share, float(settings.height)))
    wide = tall * aspect
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    left = min(max(middle[0] - wide / 2, 0.0), width - wide)
    top = min(max(middle[1] - tall / 2, 0.0), height - tall)
    return Frame(left, top, wide, tall)
