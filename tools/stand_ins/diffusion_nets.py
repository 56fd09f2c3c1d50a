"""Full-size networks with the golden weights, and the inputs of the golden diffusion cases.

`fast_draws` computes `detfill.draws` with torch, which uses every core, or a card where a `device` is named: 860 million values
take seconds.
Each network is made at most once in a test session.
"""
import json
import zlib
from functools import cache
from typing import Any

import numpy as np
import torch

from . import GOLDEN, detfill

CHUNK = 1 << 20


def _signed(value):
    return value - (1 << 64) if value >= 1 << 63 else value


def _xor_shift(x, bits):
    """x ^ (x >> bits) with a logical shift, in place."""
    return x.bitwise_xor_((x >> bits).bitwise_and_((1 << (64 - bits)) - 1))


def fast_draws(name, count, out):
    """Fill the flat float32 tensor `out` as detfill.draws(name, count)."""
    base = (zlib.crc32(name.encode()) << 32) + 0x9E3779B97F4A7C15
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        x = torch.arange(start, stop, dtype=torch.int64, device=out.device).add_(_signed(base & (1 << 64) - 1))
        _xor_shift(x, 30).mul_(_signed(0xBF58476D1CE4E5B9))
        _xor_shift(x, 27).mul_(_signed(0x94D049BB133111EB))
        x = _xor_shift(x, 31).bitwise_right_shift_(40).bitwise_and_((1 << 24) - 1)
        u = x.to(torch.float32).mul_(2.0 ** -24)
        out[start:stop] = u.mul_(2).sub_(1).mul_(float(np.float32(1.7320508)))
    return out


def fast_fill(key, shape, device="cpu"):
    """detfill.fill(key, shape) for weights, as a torch tensor."""
    count = int(np.prod(shape)) if shape else 1
    values = fast_draws(key, count, torch.empty(count, device=device)).view(shape)
    if len(shape) >= 2:                 # a tensor divides exactly on a card too; a number would become its reciprocal there
        return values.div_(torch.tensor(float(np.float32(np.sqrt(np.prod(shape[1:])))), device=device))
    return values.mul_(float(np.float32(0.1))).add_(1) if key.endswith("weight") else values.mul_(float(np.float32(0.05)))


def fill_module(module, prefix, device="cpu"):
    """Fill every parameter of a module in place, computing on `device`; `prefix` stands before its names in a full checkpoint."""
    with torch.no_grad():
        for key, tensor in module.state_dict().items():
            tensor.copy_(fast_fill(prefix + key, tuple(tensor.shape), device))
    return module


@cache
def index():
    return json.loads((GOLDEN / "diffusion.json").read_text())


def tensor(entry):
    """An input of the index as a torch tensor."""
    if "concat" in entry:
        return torch.cat([tensor(part) for part in entry["concat"]])
    values = detfill.tensor_input(entry["name"], tuple(entry.get("draw_shape", entry["shape"])), entry["scale"], entry["offset"])
    if "repeat" in entry:
        values = values.repeat(entry["repeat"], axis=-1).repeat(entry["repeat"], axis=-2)
    if entry.get("post") == "l2norm":
        values = values / np.linalg.norm(values, axis=-1, keepdims=True)
    return torch.from_numpy(np.ascontiguousarray(values * np.float32(entry.get("gain", 1.0)), dtype=np.float32))


@cache
def capface(network_module, device="cpu"):
    """CapFaceNet with golden weights, float32, on the processor. network_module: the pack's nodes.capface.network."""
    import comfy.ops
    net = network_module.CapFaceNet(torch.float32, torch.device("cpu"), comfy.ops.disable_weight_init)
    with torch.no_grad():
        for key, value in net.state_dict().items():
            prefix = "" if key.startswith(("id_linear.", "img_linear.")) else "control_model."
            value.copy_(fast_fill(prefix + key, tuple(value.shape), device))
    return net.eval().requires_grad_(False)


@cache
def base_model(device="cpu"):
    """The host's SD 1.5 model, detected by the host from the checkpoint's keys, with golden weights, as a patcher."""
    import comfy.model_detection
    import comfy.model_patcher
    keys = json.loads((GOLDEN / "diffusion_keys.json").read_text())["parts"]["model.diffusion_model"]["keys"]
    shapes = {key: torch.empty(shape, device="meta") for key, shape in keys.items()}
    config: Any = comfy.model_detection.model_config_from_unet(shapes, "model.diffusion_model.")
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model(shapes, "model.diffusion_model.", device="cpu")
    fill_module(model.diffusion_model, "model.diffusion_model.", device)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model.eval().requires_grad_(False), load_device=cpu, offload_device=cpu)


@cache
def pose_controlnet(spec_module, device="cpu"):
    """The host's control object around an ordinary ControlNet with golden weights."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops
    options = {**spec_module.SPEC.network(), "hint_channels": 3}
    net = comfy.cldm.cldm.ControlNet(**options, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init)
    fill_module(net, "pose_control_model.", device)
    return comfy.controlnet.ControlNet(net.eval().requires_grad_(False), load_device=torch.device("cpu"))


def forget():
    """Free the networks; some seven gigabytes."""
    for made in (capface, base_model, pose_controlnet):
        made.cache_clear()
