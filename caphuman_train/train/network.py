"""CapFace to be trained: built on the host's layers, which cast float32 weights to whatever is computed in."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from caphuman_core.check import require

from ..step.initial import initialise, scale_hint_block

if TYPE_CHECKING:
    from ..step.base import Base

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def make_network(base: Base, capface: str, seed: int, device: torch.device, hints: torch.Tensor | None = None) -> Any:
    """A CapFaceNet with float32 weights that take gradients: the reference's start, or the weights of a CapFace file.

    hints: [N, 9, H, W], for a start whose hint block is scaled to them.
    """
    import comfy.ops

    from caphuman_train.host import part
    kind = part()("nodes.capface.network").CapFaceNet
    network = kind(torch.float32, torch.device("cpu"), comfy.ops.manual_cast, width=base.width)
    if capface:
        _load(network, Path(capface))
    else:
        initialise(network, base.unet, seed)
        if hints is not None:
            scale_hint_block(network, hints, seed)
    return network.train().requires_grad_(True).to(device)


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
