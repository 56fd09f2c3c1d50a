"""Where training starts: a copy of the base model's encoder that does nothing yet."""
from __future__ import annotations

from typing import Any

import torch
from torch import nn

from caphuman_core.check import require

COPIED = ("time_embed.", "input_blocks.", "middle_block.")
DRAWN = ("input_hint_block", "mask_predict", "id_linear", "img_linear")         # a plain ControlNet has the first alone
LAST_HINT = "input_hint_block.14"               # the hint block's last convolution
LAST_DEVIATION = 0.5                            # about what the UNet's first layer makes of noise of unit variance
ZERO = (f"{LAST_HINT}.", "zero_convs.", "middle_block_out.")


@torch.no_grad()
def initialise(network: Any, unet: Any, seed: int) -> None:
    """Fill a CapFaceNet, or a plain ControlNet, as the reference starts: encoder and time embedding of the UNet, zero
    convolutions, torch's default initialisation for the rest (other hint convolutions, mask_predict, the two projections)."""
    _draw_defaults(network, seed)
    source = unet.state_dict()
    for name, value in network.state_dict().items():
        if name.startswith(COPIED):
            _require_same_shape(name, value, source)
            value.copy_(source[name])
        elif name.startswith(ZERO):
            value.zero_()


@torch.no_grad()
def scale_hint_block(network: Any, hints: torch.Tensor, seed: int) -> None:
    """Scale the hint block layer by layer, so that each makes zero mean and unit variance of these hints (Mishkin and Matas 2016).

    torch's default initialisation shrinks what a layer gets to a fifth to a half; after seven of them a hundredth of the hint is
    left. The last layer, which the reference starts at zero, is drawn as well: what it adds to is about as large, and the zero
    convolutions still see to it that CapFace starts by doing nothing.

    hints: [N, 9, H, W] float32.
    """
    features = hints
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, layer in network.input_hint_block.named_children():
            if not isinstance(layer, nn.Conv2d):
                features = layer(features)
                continue
            weight, bias = layer.parameters()
            nn.init.kaiming_normal_(weight)
            nn.init.zeros_(bias)
            made = layer(features)
            scale = (LAST_DEVIATION if LAST_HINT.endswith(f".{name}") else 1.0) / made.std((0, 2, 3)).square().mean().sqrt()
            weight.mul_(scale)
            bias.copy_(-made.mean((0, 2, 3)) * scale)
            features = layer(features)


@torch.no_grad()
def scale_projections(network: Any, local_tokens: torch.Tensor, global_embedding: torch.Tensor, text: torch.Tensor) -> None:
    """Scale the identity's two projections so that the tokens they make of these people have zero mean and text's variance.

    CapFace's attention is the base model's, whose keys and values know text. torch's default initialisation makes tokens that
    people share but for a few thousandths: a face recognition's vectors have unit length, their differences a fraction of it.

    local_tokens: [N, 257, 1024]; global_embedding: [N, 512], of several people; text: [N, 77, 768], encoded captions.
    """
    loudness = _deviation(text)
    for layer, features in ((network.img_linear, local_tokens), (network.id_linear, global_embedding[:, None])):
        made = layer(features)
        scale = loudness / _deviation(made)
        layer.bias.sub_(made.mean((0, 1))).mul_(scale)
        layer.weight.mul_(scale)


def _deviation(tokens: torch.Tensor) -> torch.Tensor:
    """Root of the mean variance of tokens [N, T, C] about their mean."""
    return (tokens - tokens.mean((0, 1))).square().mean().sqrt()


def _draw_defaults(network: Any, seed: int) -> None:
    """The host's layers skip torch's initialisation; nothing but this draws from torch's global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = [getattr(network, name) for name in DRAWN if hasattr(network, name)]
        for layer in (layer for part in parts for layer in part.modules()):
            if isinstance(layer, nn.Conv2d):
                nn.Conv2d.reset_parameters(layer)
            elif isinstance(layer, nn.Linear):
                nn.Linear.reset_parameters(layer)


def _require_same_shape(name: str, value: torch.Tensor, source: dict[str, torch.Tensor]) -> None:
    found = list(source[name].shape) if name in source else "no such weight"
    require(found == list(value.shape), "base checkpoint", f"must have the UNet that CapFace copies ({name} {list(value.shape)})",
            found, "start from an ordinary Stable Diffusion 1.5 checkpoint (an inpainting one has other inputs)")
