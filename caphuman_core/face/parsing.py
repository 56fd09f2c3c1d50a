"""Which part of a face each pixel shows, and the photo with everything but the face white."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASS_NAMES = ("background", "skin", "left brow", "right brow", "left eye", "right eye", "glasses", "left ear", "right ear",
               "earring", "nose", "mouth", "upper lip", "lower lip", "neck", "necklace", "clothes", "hair", "hat")
WHITENED = (0, 7, 8, 9, 14, 15, 16, 17, 18)         # what is no face to CapHuman: background, ears, neck, clothes, hair, hat
COLOURS = ((0, 0, 0), (204, 102, 84), (76, 153, 0), (204, 204, 0), (51, 51, 255), (204, 0, 204), (0, 255, 255), (255, 204, 204),
           (102, 51, 0), (255, 0, 0), (102, 204, 0), (255, 255, 0), (0, 0, 153), (0, 0, 204), (255, 51, 153), (0, 204, 204),
           (0, 51, 0), (255, 153, 51), (0, 204, 0))
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LONGEST_SIDE = 1024                      # pixels; larger photos are parsed at this size and their scores enlarged
STRIP = 1 << 18                          # pixels whose scores are enlarged at a time: bounds memory at any photo size


@torch.no_grad()
def parse(net: nn.Module, photos: Tensor) -> Tensor:
    """Class of each pixel of photos [B, 3, H, W], 0..1 -> [B, H, W] uint8 on the CPU. One photo at a time: flat memory.

    net: BiSeNet, on the device to use.
    """
    return torch.stack([labels(scores(net, photo), *photos.shape[2:]) for photo in photos])


def scores(net: nn.Module, photo: Tensor) -> Tensor:
    """Class scores [19, h, w] at an eighth of the size at which the photo [3, H, W] is parsed."""
    like = next(net.parameters())
    x = ((photo.clamp(0, 1) * 255).round() / 255).to(like.device)[None].float()
    longest = max(photo.shape[1:])
    if longest > LONGEST_SIDE:
        size = [max(1, round(side * LONGEST_SIDE / longest)) for side in photo.shape[1:]]
        x = functional.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
    mean, std = (torch.tensor(values, device=like.device)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return net(((x - mean) / std).to(like.dtype))[0].float()


def enlarged(low: Tensor, height: int, width: int, first: int, last: int) -> Tensor:
    """Rows first..last-1 of scores [19, h, w] enlarged to height x width, bilinear with corners aligned."""
    at = torch.arange(first, last, device=low.device) * ((low.shape[1] - 1) / max(height - 1, 1))
    above = at.long().clamp(max=low.shape[1] - 1)
    below = (above + 1).clamp(max=low.shape[1] - 1)
    rows = torch.lerp(low[:, above], low[:, below], (at - above)[:, None].float())
    return functional.interpolate(rows[None], (last - first, width), mode="bilinear", align_corners=True)[0]


def labels(low: Tensor, height: int, width: int) -> Tensor:
    """Best class of each pixel, [H, W] uint8 on the CPU, from scores [19, h, w]."""
    step = max(1, STRIP // width)
    strips = [enlarged(low, height, width, first, min(first + step, height)).argmax(0).to(torch.uint8).cpu()
              for first in range(0, height, step)]
    return torch.cat(strips)


def is_face(classes: Tensor) -> Tensor:
    """[..., H, W] classes -> bool, True where the pixel shows the face itself."""
    return ~torch.isin(classes, torch.tensor(WHITENED, dtype=classes.dtype, device=classes.device))


def whitened(photos: Tensor, classes: Tensor) -> Tensor:
    """Photos [B, 3, H, W] with every pixel that is no face (classes [B, H, W]) white."""
    return torch.where(is_face(classes)[:, None].to(photos.device), photos, torch.ones_like(photos))


def coloured(classes: Tensor) -> Tensor:
    """[B, H, W] classes -> a picture [B, 3, H, W], 0..1, one colour per class."""
    return (torch.tensor(COLOURS, dtype=torch.float32) / 255)[classes.long()].permute(0, 3, 1, 2)
