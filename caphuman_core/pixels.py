"""Between pictures as tensors (channels first, 0..1) and as 8-bit pixels (channels last), which other libraries take."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


def bytes_of(picture: Tensor) -> NDArray[np.uint8]:
    """[3, H, W] of any range -> [H, W, 3] uint8, clamped to 0..1 and rounded; contiguous."""
    import numpy as np
    return np.ascontiguousarray((picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy())


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
