"""The networks that look at faces, with the golden weights: every value follows from its name."""
from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import torch

from . import GOLDEN, detfill, diffusion_nets

State = dict[str, torch.Tensor]
CLIP_PREFIX = "control_cond_stage_model.transformer."
CLIP_LAYERS, CLIP_WIDTH, CLIP_HIDDEN = 24, 1024, 4096


@cache
def _shapes() -> dict[str, Any]:
    return json.loads((GOLDEN / "face_keys.json").read_text(encoding="utf-8"))


def _filled(prefix: str, shapes: dict[str, list[int]]) -> State:
    return {key: torch.from_numpy(np.asarray(detfill.fill(prefix + key, tuple(shape)))) for key, shape in shapes.items()}


def facenet_state(logits: bool = False) -> State:
    """As the published file names them, with or without its classifier."""
    return _filled("facenet.", _shapes()["20180402-114759-vggface2.pt" if logits else "facenet_without_logits"])


@cache
def facenet() -> Any:
    """caphuman_core's FaceNet."""
    from caphuman_core.identity.facenet import build_facenet
    return build_facenet(facenet_state(), "FaceNet file 'x'")


def bisenet_state() -> State:
    """As 79999_iter.pth names them."""
    return _filled("bisenet.", _shapes()["79999_iter.pth"])


@cache
def bisenet() -> Any:
    """caphuman_core's BiSeNet."""
    from caphuman_core.face.bisenet import build_bisenet
    return build_bisenet(bisenet_state(), "x")


def deca_state() -> State:
    """The encoder of deca_model.tar."""
    return {f"E_flame.{key}": torch.from_numpy(np.asarray(detfill.fill(f"E_flame.{key}", tuple(shape))))
            for key, shape in _shapes()["deca_model.tar"]["E_flame"].items()}


@cache
def deca() -> Any:
    """caphuman_core's DECA encoder."""
    from caphuman_core.head.fit.deca import build_encoder
    return build_encoder(deca_state(), "test")


def clip_state(layers: int = CLIP_LAYERS) -> State:
    """Golden weights of CLIP ViT-L/14's vision tower, or of its first layers, named as the host's loader wants them."""
    wide, hidden = CLIP_WIDTH, CLIP_HIDDEN
    shapes: dict[str, tuple[int, ...]] = {
        "vision_model.embeddings.class_embedding": (wide,),
        "vision_model.embeddings.patch_embedding.weight": (wide, 3, 14, 14),
        "vision_model.embeddings.position_embedding.weight": (257, wide)}
    for norm in ("pre_layrnorm", "post_layernorm"):
        shapes |= {f"vision_model.{norm}.weight": (wide,), f"vision_model.{norm}.bias": (wide,)}
    for layer in range(layers):
        at = f"vision_model.encoder.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= {f"{at}.self_attn.{name}.weight": (wide, wide), f"{at}.self_attn.{name}.bias": (wide,)}
        shapes |= {f"{at}.mlp.fc1.weight": (hidden, wide), f"{at}.mlp.fc1.bias": (hidden,),
                   f"{at}.mlp.fc2.weight": (wide, hidden), f"{at}.mlp.fc2.bias": (wide,)}
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{at}.{norm}.weight": (wide,), f"{at}.{norm}.bias": (wide,)}
    return {key: diffusion_nets.fast_fill(CLIP_PREFIX + key, shape) for key, shape in shapes.items()}


def clip_tower(layers: int = CLIP_LAYERS) -> Any:
    """The host's CLIP vision model with these weights, float32 as with --fp32-text-enc. Fewer layers than 24 are no CLIP, but have
    its inputs and outputs: for runs that must be quick."""
    import comfy.cli_args
    import comfy.clip_vision
    before, comfy.cli_args.args.fp32_text_enc = comfy.cli_args.args.fp32_text_enc, True
    try:
        state = {**clip_state(layers), "visual_projection.weight": torch.zeros(768, CLIP_WIDTH)}
        if layers == CLIP_LAYERS:
            return comfy.clip_vision.load_clipvision_from_sd(state)
        tower = comfy.clip_vision.ClipVisionModel({
            "hidden_size": CLIP_WIDTH, "image_size": 224, "intermediate_size": CLIP_HIDDEN, "num_attention_heads": 16,
            "num_hidden_layers": layers, "num_channels": 3, "model_type": "clip_vision_model", "patch_size": 14,
            "projection_dim": 768, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5})
        tower.model.load_state_dict({key: value for key, value in state.items() if key in tower.model.state_dict()})
        return tower
    finally:
        comfy.cli_args.args.fp32_text_enc = before
