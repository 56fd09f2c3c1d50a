"""The base model that CapFace is trained for: Stable Diffusion 1.5, loaded by the host."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from caphuman_core.check import InputError, fail
from caphuman_core.files.recognising import peek

FIX = "name an ordinary Stable Diffusion 1.5 checkpoint (merges of one are fine)"
MARKING = ("model.diffusion_model.time_embed.", "model.diffusion_model.middle_block.0.", "model.diffusion_model.out.")
TOKENS = 77                                     # CLIP's; longer captions are cut, as the reference cuts them


@dataclass(frozen=True)
class Base:
    """A base model with the two networks around it. Nothing of it is trained."""

    patcher: Any                                # the host's ModelPatcher, for sampling
    unet: Any                                   # its UNetModel
    alphas: Tensor                              # [1000] float32, cumulative products of the schedule
    name: str                                   # of the file
    fingerprint: str
    encode_text: Callable[[str], Tensor]        # a caption as [77, 768] float32 on the CPU
    decode: Callable[[Tensor], Tensor]          # latents [B, 4, h, w], as the sampler leaves them -> pictures [B, 8h, 8w, 3] 0..1

    @property
    def width(self) -> int:
        """Channels of the first level; CapFace has as many."""
        return self.unet.model_channels


def load_base(path: str | Path, dtype: torch.dtype, cache_bytes: int = 0) -> Base:
    """Load a checkpoint on the host's device, in `dtype`. InputError for anything but Stable Diffusion 1.5, or a narrow one.

    cache_bytes: encoded captions that are kept in memory.
    """
    from caphuman_train.host import part
    from caphuman_train.miniature.narrow import base_of, is_narrow
    path = Path(path)
    if is_narrow(path):
        return base_of(path, fingerprint_of(path), cache_bytes)
    _require_sd15_file(path)
    base_model = part()("nodes.capface.base_model")
    import comfy.sd
    patcher: Any
    vae: Any
    clip: Any
    try:
        patcher, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(str(path), model_options={"dtype": dtype})
    except RuntimeError as error:
        fail(f"base checkpoint '{path.name}'", "must be one that ComfyUI loads", str(error).splitlines()[0], FIX)
    try:
        base_model.require_sd15(patcher.model, f"base checkpoint '{path.name}'")
    except InputError as error:                 # its advice is for a graph
        raise InputError(f"{str(error).rsplit(': ', 1)[0]}: {FIX}.") from None
    patcher.model.diffusion_model.requires_grad_(False)
    clip.cond_stage_model.to(patcher.load_device)        # for good: were it managed, the host might make room by moving the UNet
    return Base(patcher, patcher.model.diffusion_model, alphas_of(patcher.model), path.name, fingerprint_of(path),
                CaptionCache(lambda text: encode_caption(clip, patcher.load_device, text), cache_bytes),
                torch.no_grad()(vae.decode))


def place(base: Base) -> None:
    """Bring the UNet to the device (drawing pictures may have moved it away)."""
    import comfy.model_management
    comfy.model_management.load_models_gpu([base.patcher], force_full_load=True)


def alphas_of(model: Any) -> Tensor:
    """[1000] float32 from the host's sigmas: sigma^2 = (1 - alpha) / alpha."""
    return 1 / (1 + model.model_sampling.sigmas.float()**2)


def fingerprint_of(path: Path) -> str:
    """16 hex digits that tell one checkpoint's UNet from another's."""
    from caphuman_core.files.weights import fingerprint, read_state_dict
    found = read_state_dict(path, "base checkpoint", keep=lambda key: key.startswith(MARKING))
    return fingerprint({key: value.float() for key, value in found.items()})


def _require_sd15_file(path: Path) -> None:
    """By the file's table of contents alone, before gigabytes are read."""
    found = peek(path)
    if found.problem:
        fail(f"base checkpoint '{path.name}'", "must be a whole file", found.problem, "download it again")
    if "sd15" not in found.keys:
        fail(f"base checkpoint '{path.name}'", "must be Stable Diffusion 1.5", found.what, FIX)


@torch.no_grad()
def encode_caption(clip: Any, device: torch.device, text: str) -> Tensor:
    """[77, 768] float32 as CLIP Text Encode gives it. A caption is plain text: its brackets are no weights.

    device: where the text encoder lies.
    """
    plain = text.replace("\\", " ").replace("(", "\\(").replace(")", "\\)")
    first = {key: chunks[:1] for key, chunks in clip.tokenize(plain).items()}
    model = clip.cond_stage_model
    model.reset_clip_options()
    model.set_clip_options({"execution_device": device})
    return model.encode_token_weights(first)[0][0, :TOKENS].float().cpu()


class CaptionCache:
    """Each caption is encoded once, as long as there is room; the one used longest ago goes first."""

    def __init__(self, encode: Callable[[str], Tensor], most_bytes: int) -> None:
        self._encode, self._most_bytes, self._bytes = encode, most_bytes, 0
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self.encoded = 0                        # counted for tests

    def __call__(self, text: str) -> Tensor:
        if text in self._kept:
            self._kept.move_to_end(text)
            return self._kept[text]
        found = self._encode(text)
        self.encoded += 1
        self._kept[text] = found
        self._bytes += found.nbytes
        while self._bytes > self._most_bytes and self._kept:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return found
