"""The face mask: where CapFace's residuals act."""
from __future__ import annotations

from torch import Tensor
from torch.nn.functional import interpolate

THRESHOLD = 0.5


def resize_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, half-pixel centres, never antialiased, as the released code resized it (antialiasing moves the edge).

    mask: [B, 1, h, w]; size: height, width. Returns [B, 1, *size].
    """
    if tuple(mask.shape[-2:]) == tuple(size):
        return mask
    return interpolate(mask, size=size, mode="bilinear", align_corners=False, antialias=False)


def face_mask(mask: Tensor, size: tuple[int, int], soft: bool = False) -> Tensor:
    """The mask of one feature map: resized from latent resolution, then 1 where it is above 0.5, else 0.

    mask: [B, 1, h, w] in 0..1, float; soft: keep the resized values. Returns [B, 1, *size], the mask's dtype.
    """
    resized = resize_mask(mask, size)
    return resized if soft else (resized > THRESHOLD).to(mask.dtype)


def centre_cut(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of a picture [..., H, W] with the aspect of `size` (height, width), cut as the host cuts control pictures; of one
    that is too narrow for its rule, a pixel's width is left."""
    height, width = picture.shape[-2:]
    aspect, wanted = width / height, size[1] / size[0]
    left = round((width - width * (wanted / aspect)) / 2) if aspect > wanted else 0
    top = round((height - height * (aspect / wanted)) / 2) if aspect < wanted else 0
    left, top = min(left, (width - 1) // 2), min(top, (height - 1) // 2)
    return picture[..., top:height - top, left:width - left]
