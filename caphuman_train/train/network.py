"""CapFace to be trained: built on the host's layers, which cast float32 weights to whatever is computed in."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from caphuman_core.check import require

from ..step.initial import initialise, scale_hint_block, scale_projections

if TYPE_CHECKING:
    from ..data.batch import Batch
    from ..step.base import Base
    from .settings import Start

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def make_network(base: Base, start: Start, seed: int, device: torch.device, examples: Batch | None = None) -> Any:
    """A CapFaceNet with float32 weights that take gradients: the reference's start, or the weights of a CapFace file.

    examples: what a start is scaled to, where `start` asks for it; None where weights of a checkpoint will take its place.
    """
    import comfy.ops

    from caphuman_train.host import part
    kind = part()("nodes.capface.network").CapFaceNet
    network = kind(torch.float32, torch.device("cpu"), comfy.ops.manual_cast, width=base.width)
    if start.capface:
        _load(network, Path(start.capface))
    else:
        initialise(network, base.unet, seed)
        if examples is not None:
            _scale(network, base, start, seed, examples)
    return network.train().requires_grad_(True).to(device)


def _scale(network: Any, base: Base, start: Start, seed: int, examples: Batch) -> None:
    if start.scale_hint:
        scale_hint_block(network, examples.hint, seed)
    if start.scale_identity:
        text = torch.stack([base.encode_text(text) for text in examples.texts])
        scale_projections(network, examples.local_tokens, examples.global_embedding, text)


def _load(network: Any, path: Path) -> None:
    from caphuman_core.capface.keys import read_capface
    from caphuman_core.files.weights import load_strict
    load_strict(network, read_capface(path), f"CapFace file '{path.name}'")


def require_device_takes(precision: str, device: torch.device) -> None:
    """fp16 gradients need a graphics card; on a CPU bf16 works, slowly."""
    require(precision != "fp16" or device.type != "cpu", "setting compute.precision", "must be fp32 or bf16 on a CPU", "fp16",
            "add --set compute.precision=fp32")
    fits = device.type != "cuda" or precision != "bf16" or torch.cuda.is_bf16_supported()
    require(fits, "setting compute.precision", "must be one that the graphics card has", "bf16", "choose fp16")
