"""Between pictures as tensors (channels first, 0..1) and as 8-bit pixels (channels last), which other libraries take."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


def eight_bit(pictures: Tensor) -> Tensor:
    """[..., H, W] of any range -> uint8, clamped to 0..1 and rounded; pictures of 8 bits as they are."""
    return pictures if pictures.dtype == torch.uint8 else (pictures.float() * 255).round_().clamp_(0, 255).to(torch.uint8)


def bytes_of(picture: Tensor) -> NDArray[np.uint8]:
    """[3, H, W] of any range, or of 8 bits -> [H, W, 3] uint8, clamped to 0..1 and rounded; contiguous."""
    import numpy as np
    return np.ascontiguousarray(eight_bit(picture).permute(1, 2, 0).cpu().numpy())


def image_of(picture: Tensor) -> Image:
    """[3, H, W] of any range -> an 8-bit RGB picture of PIL's."""
    from PIL import Image
    return Image.fromarray(bytes_of(picture))


def tensor_of(pixels: Any) -> Tensor:
    """A PIL picture or an array [H, W, 3] uint8 -> [3, H, W] float32, 0..255."""
    import numpy as np
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float()


def photo_of(pixels: Any) -> Tensor:
    """A PIL picture or an array [H, W, 3] uint8 -> [3, H, W] float32, 0..1."""
    return tensor_of(pixels) / 255


def block_sums(photos: Tensor, factor: int) -> Tensor:
    """Sums over blocks of factor x factor pixels of uint8 photos [B, 3, H, W]: [B, 3, H // factor, W // factor] int32."""
    height, width = (side // factor * factor for side in photos.shape[2:])
    rows = photos[:, :, 0:height:factor, :width].to(torch.int32)
    for start in range(1, factor):
        rows += photos[:, :, start:height:factor, :width]
    total = rows[..., ::factor].clone()
    for start in range(1, factor):
        total += rows[..., start::factor]
    return total


def block_means(photos: Tensor, factor: int) -> Tensor:
    """Photos [B, 3, H, W] of 8 bits, reduced by a whole factor: means of blocks, rounded to 8 bits."""
    return photos if factor == 1 else (block_sums(photos, factor).float() / factor ** 2).round().to(torch.uint8)
