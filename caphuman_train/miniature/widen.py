"""Narrow networks made as wide as Stable Diffusion 1.5's, exactly: every channel becomes r channels that hold the same.

With r = 320 / width every output channel of a layer is repeated r times; every input channel is repeated and divided by r. Group
norms (32 groups both times) and layer norms then see the same means and variances. Some places differ:

- heads are r times as wide, so that their logits, sums of r equal products over the square root of the width, would be sqrt(r)
  times as large: the query's weight (and bias) is divided by sqrt(r);
- the first layer of the time embedding sees 160 cosines and 160 sines in place of width / 2 each, whose frequencies are every r-th
  of them: the other columns are zero;
- channels that are repeated together (1 2 1 2 3 4 3 4 for two) let the narrow norms have fewer groups of more channels: the wide
  groups each hold all of them. The autoencoder's are repeated as a whole (1 2 3 4 1 2 3 4). In the UNet they are each by itself
  (1 1 2 2 3 3 4 4), because groups lie across both parts where skips are joined, but for its last block, whose joined input has
  weights of its own;
- what does not grow (latents, hint, context, the hint block's inner layers) is neither repeated nor divided: shapes tell.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from caphuman_core.check import fail

from .narrow import (
    FULL_VAE_WIDTH,
    FULL_WIDTH,
    LAST,
    LAST_BLOCK,
    UNET,
    VAE,
    last_groups,
    make_autoencoder,
    make_controlnet,
    make_unet,
)

FIRST_TIME = "time_embed.0.weight"
QUERIES = (".to_q.weight", ".attn_1.q.weight", ".attn_1.q.bias")
LAST_INNER = (f"{LAST_BLOCK}.0.out_layers.3.weight", f"{LAST_BLOCK}.1.proj_in.weight", f"{LAST}.2.weight")
LAST_OUTER = (*(f"{LAST_BLOCK}.{layer}." for layer in ("0.in_layers.2", "0.emb_layers", "0.out_layers", "0.skip_connection",
                                                      "1.norm", "1.proj_out")), f"{LAST}.0.")
Shapes = Mapping[str, tuple[int, ...]]
Together = Callable[[str, int, int], int]        # a weight's name, its axis and channels there -> how many are repeated together


def each_by_itself(name: str, axis: int, channels: int) -> int:
    """CapFace's order of repeated channels."""
    return 1


def all_together(name: str, axis: int, channels: int) -> int:
    """The autoencoder's."""
    return channels


def last_together(name: str, axis: int, channels: int) -> int:
    """The UNet's: those of a group of the last norms, in the last block."""
    inside = name in LAST_INNER if axis else name.startswith(LAST_OUTER)
    return channels // last_groups(channels) if inside else 1


def widened(state: Mapping[str, Tensor], shapes: Shapes, together: Together = each_by_itself) -> dict[str, Tensor]:
    """The weights of a narrow network as those of a wide one of these shapes, float32. InputError where they are no such pair."""
    if state.keys() != shapes.keys():
        odd = sorted(state.keys() ^ shapes.keys())
        fail("a narrow network", "must have the weights of the wide one", f"a difference in {', '.join(odd[:4])}",
             "take a file that this trainer has written")
    return {name: _widened(name, value.float(), shapes[name], together) for name, value in state.items()}


def _widened(name: str, value: Tensor, shape: tuple[int, ...], together: Together) -> Tensor:
    outer = _ratio(name, value.shape[0], shape[0])
    wide = _repeated(value, outer, 0, together(name, 0, value.shape[0]))
    if len(shape) > 1:
        inner = _ratio(name, value.shape[1], shape[1])
        wide = (_spread(wide, inner) if name.endswith(FIRST_TIME)
                else _repeated(wide, inner, 1, together(name, 1, value.shape[1])) / inner)
    return wide / math.sqrt(outer) if name.endswith(QUERIES) else wide.clone()


def _repeated(value: Tensor, count: int, axis: int, together: int) -> Tensor:
    return torch.cat([part for part in value.split(together, axis) for _ in range(count)], axis)


def _ratio(name: str, narrow: int, wide: int) -> int:
    if wide % narrow:
        fail(f"weight '{name}'", f"must have a number of channels that divides {wide}", narrow, "take a width that divides 320")
    return wide // narrow


def _spread(weight: Tensor, factor: int) -> Tensor:
    """Columns [C, cosines and sines] at every `factor`-th place of each half; zero between."""
    wide = weight.new_zeros(weight.shape[0], weight.shape[1] * factor)
    wide[:, ::factor] = weight
    return wide


def unet_shapes(width: int = FULL_WIDTH) -> Shapes:
    """Of the UNet's weights."""
    return _shapes(make_unet(width, "meta").state_dict())


def capface_shapes(width: int = FULL_WIDTH) -> Shapes:
    """Of CapFace's weights."""
    import comfy.ops

    from caphuman_train.host import part
    kind = part()("nodes.capface.network").CapFaceNet
    network = kind(torch.float32, torch.device("meta"), comfy.ops.disable_weight_init, width=width)
    return _shapes(network.state_dict())


def points_shapes(width: int = FULL_WIDTH) -> Shapes:
    """Of the weights of the landmarks' ControlNet."""
    return _shapes(make_controlnet(width, "meta").state_dict())


def autoencoder_shapes(width: int = FULL_VAE_WIDTH) -> Shapes:
    """Of the autoencoder's weights."""
    with torch.device("meta"):
        return _shapes(make_autoencoder(width).state_dict())


def _shapes(state: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(value.shape) for name, value in state.items()}


def wide_checkpoint(unet: Mapping[str, Tensor], autoencoder: Mapping[str, Tensor], text: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An ordinary Stable Diffusion 1.5 checkpoint, float16, of narrow weights and a text encoder's (by their names in it)."""
    wide = {UNET + name: value.half() for name, value in widened(unet, unet_shapes(), last_together).items()}
    wide |= {VAE + name: value.half() for name, value in widened(autoencoder, autoencoder_shapes(), all_together).items()}
    return wide | dict(text)
