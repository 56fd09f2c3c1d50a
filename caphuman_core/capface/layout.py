"""Names and shapes of every CapFace parameter: the SD1.5 ControlNet layout, a 9-channel hint, mask and projections."""
from __future__ import annotations

from collections.abc import Iterator

from ..flow import CLIP_WIDTH, HINT_CHANNELS, IDENTITY_WIDTH
from .spec import SPEC, Spec

Entry = tuple[str, tuple[int, ...]]


def parameter_shapes(spec: Spec = SPEC) -> dict[str, tuple[int, ...]]:
    """Every parameter of CapFace by its name in the network (no `control_model.` prefix)."""
    return dict(_entries(spec))


def _entries(spec: Spec) -> Iterator[Entry]:
    yield from _layer("time_embed.0", spec.time_embedding, spec.width)
    yield from _layer("time_embed.2", spec.time_embedding, spec.time_embedding)
    yield from _layer("input_blocks.0.0", spec.width, spec.latent_channels, 3)
    yield from _layer("zero_convs.0.0", spec.width, spec.width, 1)
    index, channels = 0, spec.width
    for level, multiplier in enumerate(spec.levels):
        last = level == len(spec.levels) - 1
        for _ in range(spec.blocks):
            index += 1
            yield from _res_block(f"input_blocks.{index}.0", channels, multiplier * spec.width, spec)
            channels = multiplier * spec.width
            if not last:
                yield from _transformer(f"input_blocks.{index}.1", channels, spec)
            yield from _layer(f"zero_convs.{index}.0", channels, channels, 1)
        if not last:
            index += 1
            yield from _layer(f"input_blocks.{index}.0.op", channels, channels, 3)
            yield from _layer(f"zero_convs.{index}.0", channels, channels, 1)
    yield from _res_block("middle_block.0", channels, channels, spec)
    yield from _transformer("middle_block.1", channels, spec)
    yield from _res_block("middle_block.2", channels, channels, spec)
    yield from _layer("middle_block_out.0", channels, channels, 1)
    before = HINT_CHANNELS
    for step, width in enumerate((*spec.hint_widths, spec.width)):
        yield from _layer(f"input_hint_block.{2 * step}", width, before, 3)
        before = width
    yield from _layer("mask_predict.0", 1, spec.width, 3)
    yield from _layer("id_linear", spec.context, IDENTITY_WIDTH)
    yield from _layer("img_linear", spec.context, CLIP_WIDTH)


def _layer(name: str, out: int, inside: int, kernel: int = 0, bias: bool = True) -> Iterator[Entry]:
    yield f"{name}.weight", (out, inside) + (kernel, kernel) * bool(kernel)
    if bias:
        yield f"{name}.bias", (out,)


def _norm(name: str, width: int) -> Iterator[Entry]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _res_block(name: str, inside: int, out: int, spec: Spec) -> Iterator[Entry]:
    yield from _norm(f"{name}.in_layers.0", inside)
    yield from _layer(f"{name}.in_layers.2", out, inside, 3)
    yield from _layer(f"{name}.emb_layers.1", out, spec.time_embedding)
    yield from _norm(f"{name}.out_layers.0", out)
    yield from _layer(f"{name}.out_layers.3", out, out, 3)
    if inside != out:
        yield from _layer(f"{name}.skip_connection", out, inside, 1)


def _transformer(name: str, width: int, spec: Spec) -> Iterator[Entry]:
    block = f"{name}.transformer_blocks.0"
    yield from _norm(f"{name}.norm", width)
    yield from _layer(f"{name}.proj_in", width, width, 1)
    for attention, source in (("attn1", width), ("attn2", spec.context)):
        yield from _layer(f"{block}.{attention}.to_q", width, width, bias=False)
        yield from _layer(f"{block}.{attention}.to_k", width, source, bias=False)
        yield from _layer(f"{block}.{attention}.to_v", width, source, bias=False)
        yield from _layer(f"{block}.{attention}.to_out.0", width, width)
    yield from _layer(f"{block}.ff.net.0.proj", 8 * width, width)
    yield from _layer(f"{block}.ff.net.2", width, 4 * width)
    for norm in ("norm1", "norm2", "norm3"):
        yield from _norm(f"{block}.{norm}", width)
    yield from _layer(f"{name}.proj_out", width, width, 1)
