"""CapFace's cost in a sampling run: ours against the straightforward way, and memory over many runs.

    python dev.py benchmark capface [--latent 32] [--steps 4] [--rounds 3] [--runs 20] [--device cpu] [--dtype fp32] [--write]

Straightforward: the whole of CapFace (hint block, mask, identity projections, keys and values, network) for both
branches at every step, as one batch of two. Both are run through the host's sampler at full SD 1.5 size, in turns
within one run, and timed inside `get_control`. --write puts the table into benchmarks/RESULTS.md.
"""
from __future__ import annotations

import argparse
import gc
import importlib
import importlib.util
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from tools.devkit.host import first_on_path
from tools.devkit.places import host_tree

PACK = Path(__file__).resolve().parents[1]
RESULTS = PACK / "benchmarks" / "RESULTS.md"
TITLE = "## CapFace"
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def load_pack(device: str) -> Any:
    """The pack as a package, on the host's modules."""
    first_on_path(host_tree())
    import comfy.cli_args
    comfy.cli_args.args.cpu = device == "cpu"
    spec = importlib.util.spec_from_file_location("caphuman_pack", PACK / "__init__.py", submodule_search_locations=[str(PACK)])
    if spec is None or spec.loader is None:
        raise ImportError(str(PACK))
    module = importlib.util.module_from_spec(spec)
    sys.modules["caphuman_pack"] = module
    spec.loader.exec_module(module)
    return lambda name: importlib.import_module(f"caphuman_pack.{name}")


def straightforward(control_module: Any) -> type:
    """Everything, both branches, every step."""
    class Straightforward(control_module.CapFaceControl):
        def get_control(self, x_noisy, t, cond, batched_number, transformer_options):
            self.identities, self.features = None, {}
            self.steps = control_module.StepCache()
            return super().get_control(x_noisy, t, {}, 1, transformer_options)
    return Straightforward


class Bench:
    """Networks, one person and the two ways to apply it."""

    def __init__(self, options: argparse.Namespace) -> None:
        part = load_pack(options.device)
        import comfy.model_management
        import torch

        from tools.stand_ins import diffusion_nets as nets
        self.torch, self.options = torch, options
        self.device = comfy.model_management.get_torch_device()
        if self.device.type == "cpu":
            torch.set_num_threads(1)            # processor seconds of waiting threads would count too
        dtype = getattr(torch, DTYPES[options.dtype])
        control, flow = part("nodes.capface.control"), part("caphuman_core.flow")
        network = nets.capface(part("nodes.capface.network")).to(dtype)
        network.dtype = dtype
        self.base = nets.base_model()
        self.base.model.diffusion_model.to(dtype).dtype = dtype
        self.base.load_device = self.device
        size, shown = 8 * options.latent, torch.ones(1, dtype=torch.bool)
        unit = torch.nn.functional.normalize(torch.randn(1, 512), dim=-1)
        hint = flow.HeadHint(torch.randn(1, 9, size, size) * 6, torch.ones(1, size, size), shown)
        person = control.Person(flow.Identity(unit, torch.randn(1, 257, 1024), shown, ""), hint)
        capface = control.CapFace(network, part("nodes.host").patcher(network), dtype, "benchmark")
        self.ways = {"ours": control.CapFaceControl(capface, person), "straightforward": straightforward(control)(capface, person)}
        self.text = [torch.randn(1, 77, 768) for _ in range(2)]

    def run(self, way: str | None, steps: int) -> tuple[float, list[float]]:
        """Seconds of a whole run, and those inside get_control for each call."""
        import comfy.sample
        control = self.ways.get(way or "")
        spent: list[float] = []
        if control is not None:
            inner = type(control).get_control

            def timed(*args):
                start = self.now()
                out = inner(control, *args)
                spent.append(self.now() - start)
                return out
            control.get_control = timed
        extra = {"control": control} if control is not None else {}
        pair = [[[text, dict(extra)]] for text in self.text]
        noise = self.torch.randn(1, 4, self.options.latent, self.options.latent, generator=self.torch.Generator().manual_seed(1))
        start = self.now()
        with self.torch.inference_mode():
            comfy.sample.sample(self.base, noise, steps, 7.0, "euler", "normal", *pair, self.torch.zeros_like(noise),
                                disable_pbar=True, seed=1)
        return self.now() - start, spent

    def now(self) -> float:
        """Seconds: of the clock on a GPU, of the processor on a CPU (one thread), which a busy machine does not disturb."""
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def memory(self) -> float:
        """MiB held now."""
        gc.collect()
        if self.device.type == "cuda":
            return self.torch.cuda.memory_allocated() / 2**20
        import psutil
        return psutil.Process().memory_info().rss / 2**20


def compare(bench: Bench) -> list[str]:
    """Rows of the table: seconds a step, medians over rounds run in turns."""
    options = bench.options
    whole: dict[str, list[float]] = {"plain": [], "ours": [], "straightforward": []}
    capface: dict[str, list[float]] = {"ours": [], "straightforward": []}
    bench.run("ours", 1)
    for _ in range(options.rounds):
        for way in whole:
            seconds, spent = bench.run(way, options.steps)
            whole[way].append(seconds / options.steps)
            if way in capface:
                capface[way].append(sum(spent) / options.steps)
    plain = statistics.median(whole["plain"])
    rows = ["| way | CapFace, s a step | of the straightforward way | whole CFG step, s | of the step without CapFace |",
            "|---|---|---|---|---|", f"| no CapFace | 0 | 0 | {plain:.3f} | 1 |"]
    baseline = statistics.median(capface["straightforward"])
    for way in capface:
        inside, step = statistics.median(capface[way]), statistics.median(whole[way])
        rows.append(f"| {way} | {inside:.3f} | {inside / baseline:.2f} | {step:.3f} | {step / plain:.2f} |")
    return rows


def watch_memory(bench: Bench) -> str:
    """One line on memory over many runs."""
    held = []
    for _ in range(bench.options.runs):
        bench.run("ours", 1)
        held.append(bench.memory())
    half = len(held) // 2
    return (f"Memory held after each of {len(held)} runs: first {held[0]:.0f} MiB, median of the first half "
            f"{statistics.median(held[:half]):.0f} MiB, of the second half {statistics.median(held[half:]):.0f} MiB.")


def vram(bench: Bench) -> str:
    """On a GPU: what CapFace holds over the plain checkpoint at its peak, weights apart."""
    cuda, peak = bench.torch.cuda, {}
    for way in (None, "ours"):
        cuda.reset_peak_memory_stats()
        bench.run(way, 2)
        peak[way] = cuda.max_memory_allocated() / 2**20
    weights = sum(p.nbytes for p in bench.ways["ours"].capface.network.parameters()) / 2**20
    return f"Peak VRAM over the plain checkpoint: {peak['ours'] - peak[None]:.0f} MiB, of which weights {weights:.0f} MiB."


def write(section: str) -> None:
    """Replace this benchmark's section of RESULTS.md, or add it."""
    text = RESULTS.read_text() if RESULTS.exists() else "# Benchmarks\n"
    before, found, after = text.partition(TITLE + "\n")
    rest = after.find("\n## ") if found else -1
    RESULTS.write_text(before.rstrip() + "\n\n" + section.strip() + "\n" + (after[rest:] if rest >= 0 else ""))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("latent", 32), ("steps", 4), ("rounds", 3), ("runs", 20)):
        options.add_argument(f"--{name}", type=int, default=default)
    options.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options.add_argument("--dtype", choices=list(DTYPES), default="fp32")
    options.add_argument("--write", action="store_true")
    bench = Bench(options.parse_args())
    rows = compare(bench)
    chosen = bench.options
    where = (bench.torch.cuda.get_device_name() if bench.device.type == "cuda"
             else f"CPU {platform.machine()}, processor seconds")
    command = f"python dev.py benchmark capface --latent {chosen.latent} --steps {chosen.steps} --rounds {chosen.rounds}"
    notes = [watch_memory(bench), *([vram(bench)] if bench.device.type == "cuda" else [])]
    about = (f"`{command}`, {where}, {chosen.dtype}, torch {bench.torch.__version__}; medians, ways run in turns. "
             "Straightforward: all of CapFace for both branches, every step, as one batch of two.")
    section = "\n".join([TITLE, "", about, "", *rows, "", *notes])
    sys.stdout.write(section + "\n")
    if chosen.write:
        write(section)


if __name__ == "__main__":
    main()
