"""CapFace's network, from the host's ControlNet blocks (they bring dtype casting, offloading and fast attention)."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import comfy.ldm.modules.attention as host_attention
import comfy.model_management
import comfy.ops
import torch
from comfy.cldm.cldm import ControlNet
from comfy.ldm.modules.diffusionmodules.util import timestep_embedding
from torch import Tensor, nn

from ...caphuman_core.capface.spec import SPEC
from ...caphuman_core.files.weights import load_strict
from ...caphuman_core.flow import CLIP_WIDTH, IDENTITY_WIDTH

GROUPS = 32                                     # of the host's normalisations: a level's channels are a multiple of them
COMPUTE_TYPES = [torch.float16, torch.bfloat16, torch.float32]


class IdentityContext:
    """Identity tokens of a sampling run, with the keys and values that cross-attention makes of them, made once."""

    def __init__(self, tokens: Tensor) -> None:
        self.tokens = tokens                    # [N, 258, 768] projected, before any silencing
        self._made: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def keys_values(self, attention: host_attention.CrossAttention) -> tuple[Tensor, Tensor]:
        """[N, 258, C] twice, for one attention layer."""
        if attention not in self._made:
            self._made[attention] = attention.to_k(self.tokens), attention.to_v(self.tokens)
        return self._made[attention]


class FrameContext:
    """What one call attends to: the identity entry of each row of the batch, and how loudly it speaks."""

    def __init__(self, identities: IdentityContext, entries: Tensor, loudness: Tensor | None) -> None:
        self.identities = identities
        self.entries = entries                  # [B] row of `identities` for each row of the batch
        self.loudness = loudness                # [B, 1, 1] factor on the values, or None for 1: 0 is a silenced identity

    def keys_values(self, attention: host_attention.CrossAttention) -> tuple[Tensor, Tensor]:
        """[B, 258, C] twice. The layers have no bias, so zeroed tokens and zeroed values attend to the same nothing."""
        k, v = self.identities.keys_values(attention)
        if k.shape[0] == 1:
            k, v = k.expand(len(self.entries), -1, -1), v.expand(len(self.entries), -1, -1)
        else:
            k, v = k[self.entries], v[self.entries]
        return k, v if self.loudness is None else v * self.loudness.to(v)


class IdentityAttention(host_attention.CrossAttention):
    """The host's cross-attention over keys and values that are already there.

    The host's blocks take no attention class, so each is given another layer in the place of the one it made.
    """

    @classmethod
    def like(cls, made: host_attention.CrossAttention, **place: Any) -> IdentityAttention:
        """An attention of the same shape as one that the host made; its weights are yet to be loaded."""
        return cls(query_dim=made.to_q.in_features, context_dim=made.to_k.in_features, heads=made.heads, dim_head=made.dim_head,
                   attn_precision=made.attn_precision, **place)

    def forward(self, x: Tensor, context: FrameContext, value=None, mask=None, transformer_options=None) -> Tensor:
        keys, values = context.keys_values(self)
        out = host_attention.optimized_attention(self.to_q(x), keys, values, self.heads, attn_precision=self.attn_precision,
                                                 transformer_options=transformer_options or {})
        return self.to_out(out)


class CapFaceNet(ControlNet):
    """The host's SD1.5 ControlNet with a nine-channel hint, a face mask and identity in the place of text."""

    def __init__(self, dtype: torch.dtype, device: torch.device, operations: type, width: int = SPEC.width) -> None:
        """width: channels of the first level; tests make narrow networks."""
        spec = replace(SPEC, width=width)
        super().__init__(**spec.network(), dtype=dtype, device=device, operations=operations)
        place = {"dtype": dtype, "device": device}
        self.mask_predict = nn.Sequential(operations.Conv2d(width, 1, 3, padding=1, **place))
        self.id_linear = operations.Linear(IDENTITY_WIDTH, spec.context, **place)
        self.img_linear = operations.Linear(CLIP_WIDTH, spec.context, **place)
        for block in self.modules():
            if isinstance(block, host_attention.BasicTransformerBlock) and block.attn2 is not None:
                block.attn2 = IdentityAttention.like(block.attn2, operations=operations, **place)
        self._compute_once_in_float32()

    def _compute_once_in_float32(self) -> None:
        """What runs once per sampling run casts its weights to its input's type, so that it can run in
        float32 whatever the weights' type: a mask that is thresholded must not depend on it."""
        for part in (self.input_hint_block, self.mask_predict, self.id_linear, self.img_linear):
            for layer in part.modules():
                if isinstance(layer, comfy.ops.CastWeightBiasOp):
                    layer.comfy_cast_weights = True

    def encode_hint(self, hint: Tensor) -> tuple[Tensor, Tensor]:
        """hint: [B, 9, 8h, 8w] float32. Returns features [B, 320, h, w] and the face mask [B, 1, h, w], 0..1."""
        guided = self.input_hint_block(hint, None, None)
        return guided, torch.sigmoid(self.mask_predict(guided))

    def project(self, local_tokens: Tensor, global_embedding: Tensor) -> Tensor:
        """local_tokens: [N, 257, 1024]; global_embedding: [N, 512]. Returns context tokens [N, 258, 768], image first."""
        return torch.cat([self.img_linear(local_tokens), self.id_linear(global_embedding[:, None])], dim=1)

    def embed_time(self, timesteps: Tensor, dtype: torch.dtype) -> Tensor:
        """timesteps: [B], 0..999. Returns [B, 1280]."""
        return self.time_embed(timestep_embedding(timesteps, self.model_channels, repeat_only=False).to(dtype))

    def forward(self, x: Tensor, guided: Tensor, timesteps: Tensor, context: FrameContext) -> list[Tensor]:
        """x: [B, 4, h, w] latents; guided: [B, 320, h, w]; timesteps: [B]. Returns 13 residuals, unscaled and
        unmasked: those of the 12 input blocks, then the middle block's."""
        embedding = self.embed_time(timesteps, x.dtype)
        residuals = []
        hidden = x
        for index, (block, out) in enumerate(zip(self.input_blocks, self.zero_convs, strict=True)):
            hidden = block(hidden, embedding, context, {})
            if index == 0:
                hidden = hidden + guided
            residuals.append(out(hidden, embedding))
        residuals.append(self.middle_block_out(self.middle_block(hidden, embedding, context, {}), embedding))
        return residuals


def width_of(state: Mapping[str, Tensor]) -> int:
    """Channels of the first level of a network with these weights; the released width where they do not tell."""
    first = state.get("input_blocks.0.0.weight")
    return first.shape[0] if first is not None and first.dim() == 4 and first.shape[0] % GROUPS == 0 else SPEC.width


def build(state: Mapping[str, Tensor], name: str) -> tuple[CapFaceNet, torch.dtype]:
    """The network with its weights, on the host's offload device, and the type it computes in.

    state: tensors by their names in the network, any float type; name: the file, for errors. The
    host's rules and start-up flags choose the types, as for its own ControlNets; the file says how wide the network is.
    """
    weight_dtype = max((value.dtype for value in state.values()), default=torch.float32, key=lambda dtype: dtype.itemsize)
    dtype = comfy.model_management.unet_dtype(model_params=-1, supported_dtypes=COMPUTE_TYPES, weight_dtype=weight_dtype)
    cast = comfy.model_management.unet_manual_cast(dtype, comfy.model_management.get_torch_device(), COMPUTE_TYPES)
    operations = comfy.ops.pick_operations(dtype, cast)
    network = CapFaceNet(dtype, comfy.model_management.unet_offload_device(), operations, width_of(state))
    load_strict(network, state, name)
    return network, cast or dtype
