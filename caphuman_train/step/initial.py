"""Where training starts: a copy of the base model's encoder that does nothing yet."""
from __future__ import annotations

from typing import Any

import torch
from torch import nn

from caphuman_core.check import require

COPIED = ("time_embed.", "input_blocks.", "middle_block.")
LAST_HINT = "input_hint_block.14"               # the hint block's last convolution
ZERO = (f"{LAST_HINT}.", "zero_convs.", "middle_block_out.")


@torch.no_grad()
def initialise(network: Any, unet: Any, seed: int) -> None:
    """Fill a CapFaceNet as the reference starts: encoder and time embedding of the UNet, zero convolutions, torch's default
    initialisation for the rest (other hint convolutions, mask_predict, the two projections)."""
    _draw_defaults(network, seed)
    source = unet.state_dict()
    for name, value in network.state_dict().items():
        if name.startswith(COPIED):
            _require_same_shape(name, value, source)
            value.copy_(source[name])
        elif name.startswith(ZERO):
            value.zero_()


def _draw_defaults(network: Any, seed: int) -> None:
    """The host's layers skip torch's initialisation; nothing but this draws from torch's global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in (*network.input_hint_block, *network.mask_predict, network.id_linear, network.img_linear):
            if isinstance(layer, nn.Conv2d):
                nn.Conv2d.reset_parameters(layer)
            elif isinstance(layer, nn.Linear):
                nn.Linear.reset_parameters(layer)


def _require_same_shape(name: str, value: torch.Tensor, source: dict[str, torch.Tensor]) -> None:
    found = list(source[name].shape) if name in source else "no such weight"
    require(found == list(value.shape), "base checkpoint", f"must have the UNet that CapFace copies ({name} {list(value.shape)})",
            found, "start from an ordinary Stable Diffusion 1.5 checkpoint (an inpainting one has other inputs)")
