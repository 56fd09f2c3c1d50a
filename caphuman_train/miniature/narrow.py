"""Stable Diffusion 1.5 with a tenth of the channels, on the host's own blocks; and its file, which the trainer takes as a base.

A file holds `model.diffusion_model.` and `first_stage_model.` as a checkpoint does, only narrower; the text encoder follows from a
seed (`text`), which the metadata tells.
"""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from caphuman_core.capface.spec import SPEC
from caphuman_core.check import InputError
from caphuman_core.files.weights import load_strict, read_metadata, read_state_dict, strip_prefix, write_safetensors

from .text import Text, host_tokenizer

if TYPE_CHECKING:
    from ..step.base import Base

FORMAT = "caphuman-narrow-sd15/1"
UNET, VAE = "model.diffusion_model.", "first_stage_model."
FULL_WIDTH, FULL_VAE_WIDTH = 320, 128            # of Stable Diffusion 1.5
COLOURS = 3                                      # of a ControlNet's picture
GROUPS = 32                                      # of Stable Diffusion's norms
VAE_WIDTH = 32                                   # of every miniature's autoencoder
SCALE = 0.18215                                  # latents times this are what the UNet sees
LAST_BLOCK, LAST = "output_blocks.11", "out"
LAST_NORMS = (f"{LAST_BLOCK}.0.out_layers.0", f"{LAST_BLOCK}.1.norm", f"{LAST}.0")
ZERO_AT_START = (".proj_out", ".out_layers.3", "out.2")     # last layers of blocks: each block starts as nothing


def make_unet(width: int, place: str = "cpu") -> nn.Module:
    """The host's UNetModel of Stable Diffusion 1.5, so many channels wide in its first level; weights yet to be set.

    The norms of its last block have fewer groups where they can: at 32 channels each group were one channel by itself, which takes
    away how much of it there is over the whole picture: its colour, just before it is drawn.
    """
    from caphuman_train.host import part
    part()
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    made = UNetModel(**_unet_config(width), device=place, operations=comfy.ops.disable_weight_init)
    for name in LAST_NORMS:
        norm: Any = made.get_submodule(name)
        norm.num_groups = last_groups(width)
    return made


def last_groups(width: int) -> int:
    """Groups of LAST_NORMS: half as many where the wide network's can hold twice the channels of the narrow one's (`widen`)."""
    return GROUPS // 2 if width < FULL_WIDTH and FULL_WIDTH // width % 2 == 0 else GROUPS


def _unet_config(width: int) -> dict[str, Any]:
    return {"image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": width, "num_res_blocks": [2] * 4,
            "channel_mult": [1, 2, 4, 4], "num_heads": 8, "num_head_channels": -1, "use_spatial_transformer": True,
            "transformer_depth": [1] * 6 + [0] * 2, "transformer_depth_output": [1] * 9 + [0] * 3, "transformer_depth_middle": 1,
            "context_dim": 768, "use_linear_in_transformer": False, "legacy": False, "adm_in_channels": None,
            "use_temporal_attention": False, "use_temporal_resblock": False, "dtype": torch.float32}


def make_autoencoder(width: int = VAE_WIDTH) -> Any:
    """The host's AutoencoderKL of Stable Diffusion 1.5; weights yet to be set.

    Narrow ones have fewer groups in their norms, of as many channels as the full one's, for the reason that `make_unet` has.
    """
    from caphuman_train.host import part
    part()
    from comfy.ldm.models.autoencoder import AutoencoderKL
    made = AutoencoderKL(ddconfig={"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3,
                                   "ch": width, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [],
                                   "dropout": 0.0}, embed_dim=4)
    for layer in made.modules():
        if isinstance(layer, nn.GroupNorm):
            layer.num_groups = GROUPS * width // FULL_VAE_WIDTH
    return made


def make_controlnet(width: int, place: str = "cpu") -> Any:
    """The host's SD1.5 ControlNet, so many channels wide in its first level; weights yet to be set."""
    from caphuman_train.host import part
    part()
    import comfy.cldm.cldm
    import comfy.ops
    options = {**SPEC.network(), "hint_channels": COLOURS, "model_channels": width}
    return comfy.cldm.cldm.ControlNet(**options, dtype=torch.float32, device=place, operations=comfy.ops.disable_weight_init)


@torch.no_grad()
def initialise(network: nn.Module, seed: int, zero: tuple[str, ...] = ()) -> None:
    """torch's default initialisation, which the host's layers skip; `zero`: ends of names of layers that start at nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d):
                nn.Conv2d.reset_parameters(layer)
            elif isinstance(layer, nn.Linear):
                nn.Linear.reset_parameters(layer)
            elif isinstance(layer, nn.GroupNorm | nn.LayerNorm):
                nn.init.ones_(layer.weight)
                nn.init.zeros_(layer.bias)
            if zero and f".{name}".endswith(zero):
                for value in layer.parameters(recurse=False):
                    value.zero_()


def posterior(autoencoder: Any, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures [B, 3, H, W] 0..1 -> mean and log variance of latents, [B, 4, H/8, W/8] each, before SCALE."""
    mean, log_variance = autoencoder.quant_conv(autoencoder.encoder(pictures * 2 - 1)).chunk(2, 1)
    return mean, log_variance.clamp(-30, 20)


def decoded(autoencoder: Any, latents: Tensor) -> Tensor:
    """Latents before SCALE [B, 4, h, w] -> pictures [B, 3, 8h, 8w], about 0..1."""
    return autoencoder.decoder(autoencoder.post_quant_conv(latents)) / 2 + 0.5


@torch.no_grad()
def encoded(autoencoder: Any, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures [B, 3, H, W] 0..1 -> mean and deviation of latents as the UNet sees them."""
    mean, log_variance = posterior(autoencoder, pictures)
    return mean * SCALE, torch.exp(log_variance / 2) * SCALE


def is_narrow(path: Path) -> bool:
    """Whether a file is one of `write_narrow`; False for damaged files too, of which others say what is wrong."""
    try:
        return path.is_file() and read_metadata(path, "base checkpoint").get("format") == FORMAT
    except InputError:
        return False


def write_narrow(path: Path, unet: Mapping[str, Tensor], autoencoder: Mapping[str, Tensor], text_seed: int, about: str) -> None:
    """A narrow checkpoint; it appears whole or not at all."""
    tensors = {UNET + name: value for name, value in unet.items()} | {VAE + name: value for name, value in autoencoder.items()}
    write_safetensors(path, tensors, {"format": FORMAT, "text_seed": str(text_seed), "about": about})


def load_narrow(path: Path) -> tuple[nn.Module, Any, int]:
    """UNet, autoencoder and the text encoder's seed of a file. InputError for files that do not fit."""
    state, name = read_state_dict(path, "narrow checkpoint"), f"narrow checkpoint '{path.name}'"
    unet_state, vae_state = strip_prefix(state, UNET), strip_prefix(state, VAE)
    unet = make_unet(unet_state["input_blocks.0.0.weight"].shape[0])
    autoencoder = make_autoencoder(vae_state["encoder.conv_in.weight"].shape[0])
    load_strict(unet, unet_state, name)
    load_strict(autoencoder, vae_state, name)
    return unet, autoencoder, int(read_metadata(path, name)["text_seed"])


def base_of(path: Path, fingerprint: str, cache_bytes: int) -> Base:
    """A narrow checkpoint as the trainer takes a base model: trained and drawn with on the host's own sampling, in float32."""
    from ..step.base import Base, CaptionCache, alphas_of
    unet, autoencoder, seed = load_narrow(path)
    patcher = patcher_of(unet.eval().requires_grad_(False))
    text, tokens = Text(seed), host_tokenizer()
    captions = CaptionCache(lambda caption: text(tokens([caption]))[0], cache_bytes)
    return Base(patcher, patcher.model.diffusion_model, alphas_of(patcher.model), path.name, fingerprint, captions,
                lambda latents: pictures_of(autoencoder, latents))


@torch.no_grad()
def pictures_of(autoencoder: Any, latents: Tensor) -> Tensor:
    """Latents as the host's sampler leaves them [B, 4, h, w] -> pictures [B, 8h, 8w, 3] 0..1."""
    return decoded(autoencoder, latents.float()).clamp(0, 1).movedim(1, -1)


def patcher_of(unet: nn.Module) -> Any:
    """The host's model patcher around a narrow UNet, on the processor. Its configuration tells the width that it will be widened
    to, so that whoever asks (Apply CapFace does) finds Stable Diffusion 1.5."""
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models
    config: Any = comfy.supported_models.SD15({**_unet_config(FULL_WIDTH), "disable_unet_model_creation": True})
    model: Any = comfy.model_base.BaseModel(config, device=torch.device("cpu"))
    model.diffusion_model = unet
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)
