"""What tells who a person is: FaceNet's and CLIP's shapes with weights that follow from a seed; the real ones cannot be shipped.

A random network keeps what it is shown, if nothing in it drowns it. CLIP's tower is left with what cuts the picture into patches
and tells their places: its 24 layers add nothing, so that a token is its patch's colours. FaceNet's normalisations are measured on
drawn faces, so that what all faces have in common is taken away and what differs remains; those numbers alone are stored.
"""
from __future__ import annotations

import zlib
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caphuman_core.flow import CLIP_TOKENS, CLIP_WIDTH
from caphuman_core.identity.facenet import FaceNet

CLIP_LAYERS, CLIP_HIDDEN, PATCH, PROJECTED = 24, 4096, 14, 768
PLACE_LOUDNESS = 0.7                             # of where a patch is beside what is in it
LEAST_VARIANCE = 1e-4                            # measured ones below it say that a channel is dead
MEASURES = ("running_mean", "running_var")


def clip_weights(seed: int, layers: int = CLIP_LAYERS) -> dict[str, Tensor]:
    """A vision tower as Load CLIP Vision takes it, float16."""
    place = torch.Generator().manual_seed(seed + 1)
    state = {"embeddings.class_embedding": torch.randn(CLIP_WIDTH, generator=place),
             "embeddings.patch_embedding.weight": torch.randn(CLIP_WIDTH, 3, PATCH, PATCH, generator=place) / (3 * PATCH**2) ** 0.5,
             "embeddings.position_embedding.weight": torch.randn(CLIP_TOKENS, CLIP_WIDTH, generator=place) * PLACE_LOUDNESS,
             **_norm("pre_layrnorm"), **_norm("post_layernorm")}
    for layer in range(layers):
        state |= {f"encoder.layers.{layer}.{name}": value for name, value in _silent_layer().items()}
    made = {f"vision_model.{name}": value.half() for name, value in state.items()}
    return made | {"visual_projection.weight": torch.zeros(PROJECTED, CLIP_WIDTH).half()}


def _norm(name: str) -> dict[str, Tensor]:
    return {f"{name}.weight": torch.ones(CLIP_WIDTH), f"{name}.bias": torch.zeros(CLIP_WIDTH)}


def _silent_layer() -> dict[str, Tensor]:
    state = {**_norm("layer_norm1"), **_norm("layer_norm2")}
    shapes = {f"self_attn.{name}": (CLIP_WIDTH, CLIP_WIDTH) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
    shapes |= {"mlp.fc1": (CLIP_HIDDEN, CLIP_WIDTH), "mlp.fc2": (CLIP_WIDTH, CLIP_HIDDEN)}
    for name, (out, inner) in shapes.items():
        state |= {f"{name}.weight": torch.zeros(out, inner), f"{name}.bias": torch.zeros(out)}
    return state


class Tokens:
    """The same tower, quickly: its last hidden state, without its silent layers."""

    def __init__(self, seed: int) -> None:
        state = clip_weights(seed, layers=0)
        self._class, self._patches, self._places = (state[f"vision_model.embeddings.{name}"].float() for name in (
            "class_embedding", "patch_embedding.weight", "position_embedding.weight"))

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Tensor:
        """CLIP's pixel values [n, 3, 224, 224] -> [n, 257, 1024]."""
        patches = F.conv2d(pixels, self._patches, stride=PATCH).flatten(2).transpose(1, 2)
        rows = torch.cat([self._class.expand(len(pixels), 1, -1), patches], 1) + self._places
        return F.layer_norm(rows, (CLIP_WIDTH,))


def facenet_weights(seed: int, measures: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """FaceNet's state, float32 numbers that float16 holds. measures: what `measured` found; None: not measured yet."""
    state = {}
    for name, value in FaceNet().state_dict().items():
        if value.dim() >= 2:
            source = torch.Generator().manual_seed(zlib.crc32(f"{name} {seed}".encode()))
            value = torch.randn(value.shape, generator=source) * (2 / value[0].numel()) ** 0.5
        elif name.endswith(("bn.weight", "last_bn.weight", "running_var")):
            value = torch.ones_like(value)
        else:
            value = torch.zeros_like(value)
        state[name] = value.half().float() if value.is_floating_point() else value
    return state | {name: value.float() for name, value in (measures or {}).items()}


@torch.no_grad()
def measured(seed: int, crops: Tensor) -> dict[str, Tensor]:
    """Means and variances of all normalisations over FaceNet inputs [N, 3, 160, 160], float16, by their names."""
    network = FaceNet()
    network.load_state_dict(facenet_weights(seed))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            layer.momentum = 1.0                 # what the batch shows, whole
    network.train()(crops)
    found = {name: value for name, value in network.state_dict().items() if name.endswith(MEASURES)}
    return {name: (value.clamp(min=LEAST_VARIANCE) if name.endswith("var") else value).half() for name, value in found.items()}


def facenet_of(seed: int, measures: Mapping[str, Tensor]) -> FaceNet:
    """Ready to look at faces."""
    network = FaceNet()
    network.load_state_dict(facenet_weights(seed, measures))
    return network.eval().requires_grad_(False)
