"""Names and shapes of every weight in the networks the demo needs, without building any of them.

The diffusion parts and FaceNet stand in tests/golden; the text encoder and the autoencoder of Stable Diffusion 1.5
are regular enough to be counted out here.
"""
from __future__ import annotations

import json

from . import GOLDEN

Shapes = dict[str, tuple[int, ...]]


def checkpoint() -> Shapes:
    """A Stable Diffusion 1.5 checkpoint: UNet, text encoder, autoencoder."""
    return {**_golden_part("model.diffusion_model"), **_under("cond_stage_model.transformer.text_model.", text_encoder()),
            **_under("first_stage_model.", autoencoder())}


def capface() -> Shapes:
    """CapFace and the two projections of its context."""
    return {**_golden_part("control_model"), **_golden_part("id_linear"), **_golden_part("img_linear")}


def clip_vision() -> Shapes:
    """CLIP ViT-L/14's vision tower with its projection, as transformers names it."""
    tower = _golden_part("control_cond_stage_model")
    prefix = "control_cond_stage_model.transformer."
    return {**{key.removeprefix(prefix): shape for key, shape in tower.items()}, "visual_projection.weight": (768, 1024)}


def facenet() -> Shapes:
    """InceptionResnetV1 for VGGFace2."""
    keys = json.loads((GOLDEN / "face_keys.json").read_text(encoding="utf-8"))["20180402-114759-vggface2.pt"]
    return {key: tuple(shape) for key, shape in keys.items()}


def _golden_part(name: str) -> Shapes:
    parts = json.loads((GOLDEN / "diffusion_keys.json").read_text(encoding="utf-8"))["parts"]
    return {key: tuple(shape) for key, shape in parts[name]["keys"].items()}


def _under(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + key: shape for key, shape in shapes.items()}


def _affine(name: str, *weight: int) -> Shapes:
    return {f"{name}.weight": weight, f"{name}.bias": weight[:1]}


def text_encoder(width: int = 768, layers: int = 12, words: int = 49408, length: int = 77) -> Shapes:
    """CLIP ViT-L/14's text model."""
    shapes: Shapes = {"embeddings.position_ids": (1, length), "embeddings.token_embedding.weight": (words, width),
                      "embeddings.position_embedding.weight": (length, width)}
    for layer in range(layers):
        block: Shapes = {**_affine("layer_norm1", width), **_affine("layer_norm2", width),
                         **_affine("mlp.fc1", 4 * width, width), **_affine("mlp.fc2", width, 4 * width)}
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            block.update(_affine(f"self_attn.{name}", width, width))
        shapes.update(_under(f"encoder.layers.{layer}.", block))
    return {**shapes, **_affine("final_layer_norm", width)}


def autoencoder() -> Shapes:
    """The KL autoencoder with four latent channels."""
    return {**_under("encoder.", _encoder()), **_under("decoder.", _decoder()),
            **_affine("quant_conv", 8, 8, 1, 1), **_affine("post_quant_conv", 4, 4, 1, 1)}


WIDTHS = (128, 256, 512, 512)


def _encoder() -> Shapes:
    shapes = _affine("conv_in", 128, 3, 3, 3)
    width = 128
    for level, wider in enumerate(WIDTHS):
        for block in range(2):
            shapes.update(_residual(f"down.{level}.block.{block}", width, wider))
            width = wider
        if level < 3:
            shapes.update(_affine(f"down.{level}.downsample.conv", width, width, 3, 3))
    return {**shapes, **_middle(width), **_affine("norm_out", width), **_affine("conv_out", 8, width, 3, 3)}


def _decoder() -> Shapes:
    width = WIDTHS[-1]
    shapes = {**_affine("conv_in", width, 4, 3, 3), **_middle(width)}
    for level, narrower in reversed(list(enumerate(WIDTHS))):
        for block in range(3):
            shapes.update(_residual(f"up.{level}.block.{block}", width, narrower))
            width = narrower
        if level > 0:
            shapes.update(_affine(f"up.{level}.upsample.conv", width, width, 3, 3))
    return {**shapes, **_affine("norm_out", width), **_affine("conv_out", 3, width, 3, 3)}


def _residual(name: str, before: int, after: int) -> Shapes:
    shapes = {**_affine(f"{name}.norm1", before), **_affine(f"{name}.conv1", after, before, 3, 3),
              **_affine(f"{name}.norm2", after), **_affine(f"{name}.conv2", after, after, 3, 3)}
    return shapes if before == after else {**shapes, **_affine(f"{name}.nin_shortcut", after, before, 1, 1)}


def _middle(width: int) -> Shapes:
    shapes = {**_residual("mid.block_1", width, width), **_residual("mid.block_2", width, width),
              **_affine("mid.attn_1.norm", width)}
    for name in ("q", "k", "v", "proj_out"):
        shapes.update(_affine(f"mid.attn_1.{name}", width, width, 1, 1))
    return shapes
