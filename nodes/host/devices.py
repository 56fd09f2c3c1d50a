"""Devices and model patchers: a model is moved by the host, never by us."""
from __future__ import annotations

import comfy.model_management
import comfy.model_patcher
import torch


def patcher(module: torch.nn.Module) -> comfy.model_patcher.ModelPatcher:
    """Hand a small network of ours to the host's model management (it decides where the weights live)."""
    module.eval().requires_grad_(False)
    return comfy.model_patcher.ModelPatcher(
        module, load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device())


def load(model: comfy.model_patcher.ModelPatcher) -> torch.device:
    """Bring a patched network to its device for use now; returns that device."""
    comfy.model_management.load_models_gpu([model])
    return model.load_device


def compute_device() -> torch.device:
    """Device for arithmetic without weights (rendering, landmarks)."""
    return comfy.model_management.get_torch_device()


def raster_device() -> torch.device:
    """Device to draw on: a CUDA device where there is one; other accelerators lack operations that drawing needs."""
    device = comfy.model_management.get_torch_device()
    return device if device.type == "cuda" else torch.device("cpu")


def intermediate_device() -> torch.device:
    """Device on which results travel between nodes."""
    return comfy.model_management.intermediate_device()


def onnx_providers() -> list[str]:
    """onnxruntime providers that fit the host's device, best first."""
    device = comfy.model_management.get_torch_device()
    best = {"cuda": ["CUDAExecutionProvider"], "mps": ["CoreMLExecutionProvider"]}.get(device.type, [])
    return [*best, "CPUExecutionProvider"]
