"""What a training step costs: operations, memory, time and data, ours beside the straightforward step.

    python dev.py benchmark train [--size 512] [--batch 8] [--timed 256] [--rounds 2] [--loader 512] [--write]

Straightforward, as common ControlNet training scripts have it: the photo through the VAE, the caption through the text encoder and
the reference through CLIP's vision tower in every step, and the whole UNet in the graph. Operations are counted by torch's
FlopCounterMode and memory from the tensors that are held, both on the meta device: full-size networks, no numbers. --timed runs
both for real on the processor (full size, float32, in turns within one run; 0: not). --write puts the section into RESULTS.md.
"""
from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.clock import seconds
from benchmarks.gpu.machine import matmul_tflops
from benchmarks.gpu.rows import Setting
from caphuman_train.step.compiling import compile_blocks

PACK = Path(__file__).resolve().parents[1]
RESULTS = PACK / "benchmarks" / "RESULTS.md"
TITLE = "## Training"
AIM_SAMPLES = 120                               # a second: what one H200 would ask of the loader
UNET = {"image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320, "num_res_blocks": [2] * 4,
        "channel_mult": [1, 2, 4, 4], "num_heads": 8, "use_spatial_transformer": True, "transformer_depth_middle": 1,
        "context_dim": 768, "legacy": False, "use_linear_in_transformer": False}
DEPTHS = {"transformer_depth": [1] * 6 + [0] * 2, "transformer_depth_output": [1] * 9 + [0] * 3}
VAE = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128, "ch_mult": [1, 2, 4, 4],
       "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
VISION = {"hidden_size": 1024, "image_size": 224, "patch_size": 14, "num_hidden_layers": 24, "num_attention_heads": 16,
          "intermediate_size": 4096, "hidden_act": "quick_gelu", "projection_dim": 768, "num_channels": 3, "layer_norm_eps": 1e-5,
          "model_type": "clip_vision_model"}
TEXT = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "hidden_act": "quick_gelu", "max_position_embeddings": 77, "eos_token_id": 49407, "projection_dim": 768}


@dataclass(frozen=True)
class World:
    """Full-size networks on one device; weights are whatever lies in memory."""

    step: Any                                   # CapFaceStep
    unet: Any
    vae: Any
    vision: Any
    text: Any
    device: Any


def make_world(device_name: str, dtype_name: str, width: int = UNET["model_channels"]) -> World:
    """device_name: meta for counting, cpu or cuda for timing; dtype_name: what is computed in; width: of the networks' first level.

    The VAE and the towers are there at full width only: our step does not use them."""
    import torch

    from caphuman_train.host import part
    network_module = part()("nodes.capface.network")
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    from caphuman_train.step.loss import CapFaceStep, LossSettings
    device, dtype, plain = torch.device(device_name), getattr(torch, dtype_name), comfy.ops.disable_weight_init
    network = network_module.CapFaceNet(torch.float32, device, comfy.ops.manual_cast, width)
    shape = {**UNET, "model_channels": width, **{key: list(value) for key, value in DEPTHS.items()}}
    unet = UNetModel(**shape, dtype=dtype, device=device, operations=plain)
    beside = _beside(device, dtype) if width == UNET["model_channels"] else (None, None, None)
    for module in (unet, *beside):
        if module is not None:
            module.requires_grad_(False)
            _calm(module, device)
    _calm(network, device)
    alphas = torch.linspace(0.999, 0.005, 1000, device=device)
    return World(CapFaceStep(network.requires_grad_(True), unet, alphas, LossSettings(), dtype), unet, *beside, device)


def _beside(device: Any, dtype: Any) -> tuple[Any, Any, Any]:
    """VAE, CLIP's vision tower, CLIP's text tower."""
    import comfy.clip_model
    import comfy.ops
    import torch
    from comfy.ldm.models.autoencoder import AutoencoderKL
    place = {"dtype": dtype, "device": device, "operations": comfy.ops.disable_weight_init}
    with torch.device(device):                  # some layers of the towers are told no device
        vae = AutoencoderKL(ddconfig=dict(VAE), embed_dim=4).to(dtype)
        return vae, comfy.clip_model.CLIPVision(VISION, **place).to(dtype), comfy.clip_model.CLIPTextModel(TEXT, **place).to(dtype)


def _calm(module: Any, device: Any) -> None:
    """Small weights in the place of what lay in memory: NaN and denormals have other speeds."""
    import torch
    if device.type != "meta":
        with torch.no_grad():
            for value in module.parameters():
                value.normal_(0, 0.02)


def inputs_of(world: World, batch: int, size: int) -> Any:
    """What a step is given, of noise."""
    import torch

    from caphuman_train.step.loss import StepInputs
    cells, made = size // 8, {"device": world.device}
    return StepInputs(
        torch.randn(batch, 4, cells, cells, **made), torch.randn(batch, 4, cells, cells, **made),
        torch.randint(0, 1000, (batch,), **made), torch.randn(batch, 9, size, size, **made), torch.randn(batch, 257, 1024, **made),
        torch.randn(batch, 512, **made), torch.ones(batch, **made), torch.randn(batch, 77, 768, **made),
        torch.ones(batch, 1, cells, cells, **made))


def ours(world: World, batch: int, size: int) -> Callable[[], None]:
    """Loss and gradients as the trainer computes them."""
    inputs = inputs_of(world, batch, size)

    def run() -> None:
        noise, mask, _ = world.step(inputs, soft_gate=True)         # an open gate: all of the work
        world.step.total(noise, mask).backward()
        world.step.zero_grad()
    return run


def straightforward(world: World, batch: int, size: int) -> Callable[[], None]:
    """The same loss with everything in every step and the UNet's encoder in the graph."""
    from dataclasses import replace

    import torch

    from caphuman_train.step import loss as loss_module
    inputs, dtype = inputs_of(world, batch, size), world.step.dtype
    photo, face = (torch.randn(batch, 3, side, side, device=world.device, dtype=dtype) for side in (size, 224))
    words = torch.randint(0, 49000, (batch, 77), device=world.device)

    def run() -> None:
        with torch.no_grad():
            latents = world.vae.encode(photo).float()
            text = world.text(words, dtype=dtype)[0].float()
            tokens = world.vision(face)[0].float()
        given = replace(inputs, latents=latents.requires_grad_(True), text=text, local_tokens=tokens)
        kept = loss_module.encode
        loss_module.encode = kept.__wrapped__                       # without its no_grad
        try:
            noise, mask, _ = world.step(given, soft_gate=True)
            world.step.total(noise, mask).backward()
        finally:
            loss_module.encode = kept
        world.step.zero_grad()
    return run


# --- counting

def flash_attention(q: Any, k: Any, v: Any, heads: int, *_: Any, **__: Any) -> Any:
    """The attention a graphics card takes, which exists on the meta device too (torch would choose another there)."""
    import torch
    q, k, v = (value.unflatten(-1, (heads, -1)).transpose(1, 2) for value in (q, k, v))
    if q.device.type != "meta":                 # timing comes after counting
        return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v)[0].transpose(1, 2).flatten(2)


def counting_world() -> World:
    """Networks without numbers, with a graphics card's attention."""
    world = make_world("meta", "bfloat16")
    import comfy.clip_model
    import comfy.ldm.modules.attention as host_attention
    host_attention.optimized_attention = flash_attention
    comfy.clip_model.optimized_attention_for_device = lambda *_, **__: flash_attention
    return world


def count_operations(size: int) -> dict[str, float]:
    """TFLOP of one sample, by way and by part."""
    from torch.utils.flop_counter import FlopCounterMode
    world = counting_world()
    found = {}
    for name, way in (("ours", ours), ("straightforward", straightforward)):
        run = way(world, 1, size)
        with FlopCounterMode(display=False) as counter:
            run()
        found[name] = counter.get_total_flops() / 1e12
    found.update(parts(world, size))
    return found


def parts(world: World, size: int) -> dict[str, float]:
    """Forwards alone, TFLOP."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from caphuman_train.step.loss import SampleContext
    given, dtype = inputs_of(world, 1, size), world.step.dtype
    latents, text = given.latents.to(dtype), given.text.to(dtype)

    def capface() -> None:
        guided, _ = world.step.network.encode_hint(given.hint)
        tokens = world.step.network.project(given.local_tokens, given.global_embedding).to(dtype)
        world.step.network(latents, guided.to(dtype), given.timesteps, SampleContext(tokens, given.heard))
    found = {}
    for name, run in (("UNet forward", lambda: world.unet(latents, given.timesteps, text)), ("CapFace forward", capface),
                      ("VAE encoder", lambda: world.vae.encode(torch.randn(1, 3, size, size, device="meta", dtype=dtype)))):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            run()
        found[name] = counter.get_total_flops() / 1e12
    return found


def count_memory(size: int, batch: int, checkpointing: bool) -> float:
    """GB at the peak of one step: everything that is alive, from the weights to the last gradient; optimizer moments included."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    from caphuman_train.step.saving_memory import checkpoint_blocks

    class Alive(TorchDispatchMode):
        """Bytes of all storages that exist."""

        def __init__(self) -> None:
            super().__init__()
            self.now = self.peak = 0
            self.known: set[int] = set()

        def add(self, value: torch.Tensor) -> None:
            storage = value.untyped_storage()
            if storage._cdata not in self.known:
                self.known.add(storage._cdata)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self.drop, storage._cdata, storage.nbytes())

        def drop(self, key: int, size: int) -> None:
            self.known.discard(key)
            self.now -= size

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for value in tree_leaves(out):
                if isinstance(value, torch.Tensor):
                    self.add(value)
            return out
    world = counting_world()
    if checkpointing:
        checkpoint_blocks(world.step.network, world.unet)
    run, moments = ours(world, batch, size), 2 * sum(value.nbytes for value in world.step.parameters())
    with Alive() as alive:
        for value in (*world.step.parameters(), *world.unet.parameters()):
            alive.add(value)
        run()
    return (alive.peak + moments) / 1e9


# --- timing

def timed(size: int, rounds: int) -> dict[str, float]:
    """Processor seconds of a step with one sample, full size in float32; median, both ways in turns."""
    import torch
    torch.set_num_threads(1)                    # processor seconds of waiting threads would count too
    world = make_world("cpu", "float32")
    runs = {"ours": ours(world, 1, size), "straightforward": straightforward(world, 1, size)}
    seen: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):                 # the first round warms up
        for name, run in runs.items():
            start = time.process_time()
            run()
            seen[name].append(time.process_time() - start)
    return {name: statistics.median(values[1:]) for name, values in seen.items()}


def loader(size: int, count: int = 8) -> float:
    """Processor seconds of one sample: reading, checking, drawing the hint."""
    import torch

    from caphuman_core.head.model.head_model import load_builtin
    from caphuman_train.data.drawn import Drawing, write_drawn_shards
    from caphuman_train.data.loader import Shards, batch_at
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_drawn_shards(Path(folder), Drawing(count=count, people=2, size=size, per_shard=4, flips=False))
        shards, head_model = Shards.open(Path(folder)), load_builtin()
        batch_at(shards, 0, 2, 0, 0, 1, 0.0, head_model)
        start = time.process_time()
        batch_at(shards, 0, count, 0, 0, 1, 0.0, head_model)
        return (time.process_time() - start) / count


def on_card(size: int, batch: int, rounds: int) -> dict[str, float]:
    """Samples a second of the step on the graphics card, bf16, compiled and channels last; and its matmul rate in the same run."""
    world = compile_world(make_world("cuda", "bfloat16"))
    step_seconds = seconds("cuda", ours(world, batch, size), rounds, warm=3)
    card = Setting("cuda", "full", "", 0, PACK)
    return {"samples a second": batch / step_seconds, "matmul TFLOP/s": matmul_tflops(card, world.step.dtype)}


def compile_world(world: World, backend: str = "inductor") -> World:
    """The same networks in channels-last order, block by block compiled when they are first used."""
    import torch
    network, unet = world.step.network, world.unet
    for module in (network, unet):
        module.to(memory_format=torch.channels_last)
    blocks = (*network.input_blocks, network.middle_block, *unet.input_blocks, unet.middle_block, *unet.output_blocks)
    compile_blocks(blocks, backend)
    return world


# --- the section

def section(options: argparse.Namespace) -> str:
    """Of RESULTS.md."""
    command = " ".join(["python dev.py benchmark train", *sys.argv[1:]])
    lines = [f"{TITLE} (`{command}`)", "", *_operations(options), *_memory(options)]
    if options.timed:
        found = timed(options.timed, options.rounds)
        ours_seconds, theirs = found["ours"], found["straightforward"]
        lines += [f"Time of a step with one sample at {options.timed}x{options.timed}, full size, float32, one thread, processor "
                  f"seconds, median, in turns: straightforward {theirs:.1f} s, ours {ours_seconds:.1f} s: "
                  f"{ours_seconds / theirs:.2f} of it (asked for: at most 0.6).", ""]
    if options.loader:
        one = loader(options.loader)
        lines += [f"Loader: reading a sample and drawing its hint at {options.loader}x{options.loader} takes {one * 1000:.0f} ms "
                  f"of a processor, {1 / one:.0f} samples a second each. Two cores give {2 / one / AIM_SAMPLES:.2f} of the "
                  f"{AIM_SAMPLES} a second that one H200 would ask; {AIM_SAMPLES * one:.1f} loader processes give all.", ""]
    return "\n".join(lines + _card(options))


def _operations(options: argparse.Namespace) -> list[str]:
    found, size = count_operations(options.size), f"{options.size}x{options.size}"
    forwards = ", ".join(f"{name} {found[name]:.2f}" for name in ("UNet forward", "CapFace forward", "VAE encoder"))
    mine, theirs = found["ours"], found["straightforward"]
    return [f"Operations of a sample at {size}, forward and backward, counted (FlopCounterMode): straightforward {theirs:.2f} "
            f"TFLOP, ours {mine:.2f} ({mine / theirs:.2f} of it). In it: {forwards}.", ""]


def _memory(options: argparse.Namespace) -> list[str]:
    rows = ["| batch | as it is, GB | with gradient checkpointing, GB |", "|---|---|---|"]
    for batch in sorted({1, options.batch // 2 or 1, options.batch, 2 * options.batch}):
        plain, saved = (count_memory(options.size, batch, checkpointing) for checkpointing in (False, True))
        rows.append(f"| {batch} | {plain:.1f} | {saved:.1f} |")
    return [f"Memory of a {options.size}x{options.size} step in bf16 at its peak, counted from the tensors that are held: CapFace "
            "in float32 with gradients and AdamW's moments, the UNet in bf16, flash attention. The text encoder, the VAE and the "
            "allocator's waste come on top.", "", *rows, ""]


def _card(options: argparse.Namespace) -> list[str]:
    import torch
    if not torch.cuda.is_available():
        return ["No graphics card was at hand: samples a second on one are not measured (`on_card` in the script measures them, "
                "with the card's matmul rate in the same run).", ""]
    seen = on_card(options.size, options.batch, 10)
    samples, rate = seen["samples a second"], seen["matmul TFLOP/s"]
    share = samples * count_operations(options.size)["ours"] / rate
    return [f"{torch.cuda.get_device_name()}, bf16, compiled, channels last, batch {options.batch}: {samples:.1f} samples a "
            f"second, {share:.0%} of the {rate:.0f} TFLOP/s that matmul reaches in the same run.", ""]


def write(text: str) -> None:
    """Put the section in the place of the old one, or at the end."""
    old = RESULTS.read_text(encoding="utf-8")
    start = old.find(TITLE)
    if start < 0:
        RESULTS.write_text(old.rstrip() + "\n\n" + text, encoding="utf-8")
        return
    end = old.find("\n## ", start + 1)
    RESULTS.write_text(old[:start] + text + (old[end + 1:] if end >= 0 else ""), encoding="utf-8")


def main() -> None:
    """Measure, say, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="picture side for counting (512)")
    parser.add_argument("--batch", type=int, default=8, help="for the memory table (8)")
    parser.add_argument("--timed", type=int, default=256, help="picture side for timing on the processor; 0: no timing (256)")
    parser.add_argument("--rounds", type=int, default=2, help="timed rounds (2)")
    parser.add_argument("--loader", type=int, default=512, help="picture side for the loader; 0: no loader (512)")
    parser.add_argument("--write", action="store_true", help="into benchmarks/RESULTS.md")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    text = section(options)
    sys.stdout.write(text)
    if options.write:
        write(text)


if __name__ == "__main__":
    main()
