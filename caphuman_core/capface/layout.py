"""Names and shapes of every CapFace parameter: the SD1.5 ControlNet layout, a 9-channel hint, mask and projections."""
from __future__ import annotations

from collections.abc import Iterator

from .keys import HINT_CHANNELS

WIDTH = 320                                     # channels of the first level
LEVELS = (1, 2, 4, 4)                           # channel multipliers; attention in all but the last
EMBED = 4 * WIDTH                               # time embedding
CONTEXT = 768                                   # width of a context token
CLIP_WIDTH, IDENTITY_WIDTH = 1024, 512          # what img_linear and id_linear read
HINT_WIDTHS = (16, 16, 32, 32, 96, 96, 256, WIDTH)

# The host's ControlNet of that shape (comfy.cldm.cldm.ControlNet arguments).
NETWORK = {
    "image_size": 32, "in_channels": 4, "model_channels": WIDTH, "hint_channels": HINT_CHANNELS, "num_res_blocks": 2,
    "channel_mult": LEVELS, "transformer_depth": (1, 1, 1, 1, 1, 1, 0, 0), "transformer_depth_middle": 1,
    "num_heads": 8, "num_head_channels": -1, "context_dim": CONTEXT, "use_spatial_transformer": True,
    "use_linear_in_transformer": False, "legacy": False,
}

Entry = tuple[str, tuple[int, ...]]


def parameter_shapes() -> dict[str, tuple[int, ...]]:
    """Every parameter of CapFace by its name in the network (no `control_model.` prefix)."""
    return dict(_entries())


def _entries() -> Iterator[Entry]:
    yield from _layer("time_embed.0", EMBED, WIDTH)
    yield from _layer("time_embed.2", EMBED, EMBED)
    yield from _layer("input_blocks.0.0", WIDTH, 4, 3)
    yield from _layer("zero_convs.0.0", WIDTH, WIDTH, 1)
    index, channels = 0, WIDTH
    for level, multiplier in enumerate(LEVELS):
        last = level == len(LEVELS) - 1
        for _ in range(2):
            index += 1
            yield from _res_block(f"input_blocks.{index}.0", channels, multiplier * WIDTH)
            channels = multiplier * WIDTH
            if not last:
                yield from _transformer(f"input_blocks.{index}.1", channels)
            yield from _layer(f"zero_convs.{index}.0", channels, channels, 1)
        if not last:
            index += 1
            yield from _layer(f"input_blocks.{index}.0.op", channels, channels, 3)
            yield from _layer(f"zero_convs.{index}.0", channels, channels, 1)
    yield from _res_block("middle_block.0", channels, channels)
    yield from _transformer("middle_block.1", channels)
    yield from _res_block("middle_block.2", channels, channels)
    yield from _layer("middle_block_out.0", channels, channels, 1)
    before = HINT_CHANNELS
    for step, width in enumerate(HINT_WIDTHS):
        yield from _layer(f"input_hint_block.{2 * step}", width, before, 3)
        before = width
    yield from _layer("mask_predict.0", 1, WIDTH, 3)
    yield from _layer("id_linear", CONTEXT, IDENTITY_WIDTH)
    yield from _layer("img_linear", CONTEXT, CLIP_WIDTH)


def _layer(name: str, out: int, inside: int, kernel: int = 0, bias: bool = True) -> Iterator[Entry]:
    yield f"{name}.weight", (out, inside) + (kernel, kernel) * bool(kernel)
    if bias:
        yield f"{name}.bias", (out,)


def _norm(name: str, width: int) -> Iterator[Entry]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _res_block(name: str, inside: int, out: int) -> Iterator[Entry]:
    yield from _norm(f"{name}.in_layers.0", inside)
    yield from _layer(f"{name}.in_layers.2", out, inside, 3)
    yield from _layer(f"{name}.emb_layers.1", out, EMBED)
    yield from _norm(f"{name}.out_layers.0", out)
    yield from _layer(f"{name}.out_layers.3", out, out, 3)
    if inside != out:
        yield from _layer(f"{name}.skip_connection", out, inside, 1)


def _transformer(name: str, width: int) -> Iterator[Entry]:
    block = f"{name}.transformer_blocks.0"
    yield from _norm(f"{name}.norm", width)
    yield from _layer(f"{name}.proj_in", width, width, 1)
    for attention, source in (("attn1", width), ("attn2", CONTEXT)):
        yield from _layer(f"{block}.{attention}.to_q", width, width, bias=False)
        yield from _layer(f"{block}.{attention}.to_k", width, source, bias=False)
        yield from _layer(f"{block}.{attention}.to_v", width, source, bias=False)
        yield from _layer(f"{block}.{attention}.to_out.0", width, width)
    yield from _layer(f"{block}.ff.net.0.proj", 8 * width, width)
    yield from _layer(f"{block}.ff.net.2", width, 4 * width)
    for norm in ("norm1", "norm2", "norm3"):
        yield from _norm(f"{block}.{norm}", width)
    yield from _layer(f"{name}.proj_out", width, width, 1)
