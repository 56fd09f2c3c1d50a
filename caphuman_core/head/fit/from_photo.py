"""Photos and the faces in them -> heads, by landmarks or by DECA's encoder: one way for nodes, benchmark and trainer."""
from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ...flow import Faces, Head
from ..model.head_model import HeadModel
from .deca import crop_faces, head_of_codes
from .landmark_fit import fit_faces, predicted_points68
from .photo_light import with_photo_light


def fit_photos(photos: Tensor, faces: Faces, model: HeadModel, step: Callable[[int], object] | None = None) -> Head:
    """The head of the one face of each photo, from its landmarks, under the light that the photo shows.

    photos: [B, 3, H, W] 0..1, on the CPU; faces: found in them. step(i) is called after i photos.
    """
    return with_photo_light(photos, fit_faces(faces, model, step), model)


def fit_photos_by_deca(
    photos: Tensor,                      # [B, 3, H, W] 0..1, on the CPU
    faces: Faces,                        # one in each photo
    encode: Callable[[Tensor], Tensor],  # DECA's encoder: crops [B, 3, 224, 224] -> codes [B, 236] on the CPU
    model: HeadModel,                    # FLAME
    squash: int = 0,                     # see `deca.crop_faces`
    step: Callable[[int], object] = lambda stage: None,
) -> Head:
    """The head of the one face of each photo by DECA; step(1) is called with the crops made, step(2) with the codes."""
    crops = crop_faces(photos, faces, predicted_points68(faces, model), squash)
    step(1)
    codes = encode(crops.images)
    step(2)
    return head_of_codes(codes, crops, model)
