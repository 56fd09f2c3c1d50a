"""Full-size networks with the golden weights, and the inputs of the golden diffusion cases.

`fast_draws` computes `detfill.draws` with torch, which uses every core: 860 million values take seconds.
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
        x = torch.arange(start, stop, dtype=torch.int64).add_(_signed(base & (1 << 64) - 1))
        _xor_shift(x, 30).mul_(_signed(0xBF58476D1CE4E5B9))
        _xor_shift(x, 27).mul_(_signed(0x94D049BB133111EB))
        x = _xor_shift(x, 31).bitwise_right_shift_(40).bitwise_and_((1 << 24) - 1)
        u = x.to(torch.float32).mul_(2.0 ** -24)
        out[start:stop] = u.mul_(2).sub_(1).mul_(float(np.float32(1.7320508)))
    return out


def fast_fill(key, shape):
    """detfill.fill(key, shape) for weights, as a torch tensor."""
    count = int(np.prod(shape)) if shape else 1
    values = fast_draws(key, count, torch.empty(count)).view(shape)
    if len(shape) >= 2:
        return values.div_(float(np.float32(np.sqrt(np.prod(shape[1:])))))
    return values.mul_(float(np.float32(0.1))).add_(1) if key.endswith("weight") else values.mul_(float(np.float32(0.05)))


def fill_module(module, prefix):
    """Fill every parameter of a module in place; `prefix` stands before its names in a full checkpoint."""
    with torch.no_grad():
        for key, tensor in module.state_dict().items():
            tensor.copy_(fast_fill(prefix + key, tuple(tensor.shape)))
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
def capface(network_module):
    """CapFaceNet with golden weights, float32. network_module: the pack's nodes.capface_network."""
    import comfy.ops
    net = network_module.CapFaceNet(torch.float32, torch.device("cpu"), comfy.ops.disable_weight_init)
    with torch.no_grad():
        for key, value in net.state_dict().items():
            prefix = "" if key.startswith(("id_linear.", "img_linear.")) else "control_model."
            value.copy_(fast_fill(prefix + key, tuple(value.shape)))
    return net.eval().requires_grad_(False)


@cache
def base_model():
    """The host's SD 1.5 model, detected by the host from the checkpoint's keys, with golden weights, as a patcher."""
    import comfy.model_detection
    import comfy.model_patcher
    keys = json.loads((GOLDEN / "diffusion_keys.json").read_text())["parts"]["model.diffusion_model"]["keys"]
    shapes = {key: torch.empty(shape, device="meta") for key, shape in keys.items()}
    config: Any = comfy.model_detection.model_config_from_unet(shapes, "model.diffusion_model.")
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model(shapes, "model.diffusion_model.", device="cpu")
    fill_module(model.diffusion_model, "model.diffusion_model.")
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model.eval().requires_grad_(False), load_device=cpu, offload_device=cpu)


@cache
def pose_controlnet(spec_module):
    """The host's control object around an ordinary ControlNet with golden weights."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops
    options = {**spec_module.SPEC.network(), "hint_channels": 3}
    net = comfy.cldm.cldm.ControlNet(**options, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init)
    fill_module(net, "pose_control_model.")
    return comfy.controlnet.ControlNet(net.eval().requires_grad_(False), load_device=torch.device("cpu"))


def forget():
    """Free the networks; some seven gigabytes."""
    for made in (capface, base_model, pose_controlnet):
        made.cache_clear()


def assert_close(got, want, max_abs, rel_rms, what):
    """Both tolerances of DIFFUSION.md's table."""
    got, want = torch.as_tensor(got).double(), torch.as_tensor(want).double()
    if got.shape != want.shape:
        raise AssertionError(f"{what}: {tuple(got.shape)} for {tuple(want.shape)}")
    worst = float((got - want).abs().max())
    relative = float((got - want).pow(2).mean().sqrt() / want.pow(2).mean().sqrt())
    if not (worst <= max_abs and relative <= rel_rms):          # NaN is not close
        raise AssertionError(f"{what}: max abs {worst:.3g} (at most {max_abs}), rel rms {relative:.3g} (at most {rel_rms})")
