"""How the autoencoder starts: as a picture made eight times smaller and larger again, to which training adds the detail.

From torch's random weights a narrow autoencoder learns brightness in a few hundred steps, and no colours in thousands. Here the
colours are there from the first step on: each has a group of the norms' channels, `c, -c, 1, -1` over and over (their mean is 0 and
their deviation hardly depends on c, so that norms leave them as they are), which every layer hands on; all blocks begin as nothing.
"""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

COLOURS = 3
PATTERN = torch.tensor([1.0, -1.0, 0.0, 0.0])    # of a colour in the channels of its group
CONSTANT = torch.tensor([0.0, 0.0, 1.0, -1.0])
CERTAIN = -6.0                                   # log variance of latents: at 0 their noise drowns all that is learnt
GAIN = 0.75                                      # after a norm, whose deviation is a little below 1
SMOOTH = torch.tensor([1.0, 2.0, 1.0]) / 4       # what rounds the steps of an enlarging


@torch.no_grad()
def start_shrinking(autoencoder: Any) -> None:
    """Set the weights of an initialised AutoencoderKL, in place."""
    encoder, decoder = autoencoder.encoder, autoencoder.decoder
    groups = encoder.norm_out.num_groups
    for half in (encoder, decoder):
        _blocks(half, groups)
    _spread(encoder.conv_in, groups)
    _spread(decoder.conv_in, groups)
    _gather(encoder.conv_out, groups)
    encoder.conv_out.bias[4:] = CERTAIN
    _gather(decoder.conv_out, groups)
    for level in encoder.down:
        if hasattr(level, "downsample"):
            _set(level.downsample.conv, torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 0]]) / 4)
    for level in decoder.up:
        if hasattr(level, "upsample"):
            _set(level.upsample.conv, SMOOTH[:, None] * SMOOTH)
    for layer in (autoencoder.quant_conv, autoencoder.post_quant_conv):
        _set(layer, torch.ones(1, 1))


def _blocks(half: Any, groups: int) -> None:
    """Each begins as nothing beside its shortcut, which hands every group on."""
    for name, layer in half.named_modules():
        if name.endswith((".conv2", ".proj_out")):
            for value in layer.parameters():
                value.zero_()
        if name.endswith(".nin_shortcut"):
            layer.weight.copy_(_handed_on(layer.in_channels, layer.out_channels, groups)[:, :, None, None])
            nn.init.zeros_(layer.bias)


def _handed_on(before: int, after: int, groups: int) -> Tensor:
    """[after, before]: a channel is the mean of those of the same group at the same place of the pattern."""
    period = min(before, after) // groups
    out, own = torch.arange(after)[:, None], torch.arange(before)
    same = (out // (after // groups) == own // (before // groups)) & (out % period == own % period)
    return same.float() / same.sum(1, keepdim=True)


def _set(layer: Any, kernel: Tensor) -> None:
    """Every channel to itself."""
    layer.weight.copy_(torch.eye(layer.out_channels)[:, :, None, None] * kernel)
    nn.init.zeros_(layer.bias)


def _spread(layer: Any, groups: int) -> None:
    """Each colour into its group; the other groups' channels stay as they are."""
    size = layer.out_channels // groups
    middle = layer.kernel_size[0] // 2
    for colour in range(COLOURS):
        place = slice(colour * size, (colour + 1) * size)
        layer.weight[place] = 0
        layer.weight[place, colour, middle, middle] = PATTERN.repeat(size // len(PATTERN))
        layer.bias[place] = CONSTANT.repeat(size // len(PATTERN))


def _gather(layer: Any, groups: int) -> None:
    """Each colour from its group, after a norm and SiLU: silu(c) - silu(-c) = c."""
    size = layer.in_channels // groups
    middle = layer.kernel_size[0] // 2
    layer.weight[:COLOURS] = 0
    for colour in range(COLOURS):
        taps = PATTERN.repeat(size // len(PATTERN))
        layer.weight[colour, colour * size:(colour + 1) * size, middle, middle] = taps * GAIN * len(PATTERN) / size
    nn.init.zeros_(layer.bias)
