"""CapFace's cost in a sampling run: ours against the straightforward way, and memory over many runs.

    python dev.py benchmark capface [--latent 32] [--steps 4] [--rounds 3] [--runs 20] [--device cpu] [--dtype fp32] [--write]

Straightforward: the whole of CapFace (hint block, mask, identity projections, keys and values, network) for both
branches at every step, as one batch of two. Both are run through the host's sampler at full SD 1.5 size, in turns
within one run, and timed inside `get_control`. --write puts the table into benchmarks/RESULTS.md.
"""
from __future__ import annotations

import argparse
import platform
import statistics
import sys
from pathlib import Path

from benchmarks.gpu import clock
from benchmarks.gpu import world as worlds
from benchmarks.gpu.rows import Setting
from tools.devkit.places import GPU_OUTPUT

PACK = Path(__file__).resolve().parents[1]
RESULTS = PACK / "benchmarks" / "RESULTS.md"
TITLE = "## CapFace"
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


class Bench:
    """Networks, one person and the two ways to apply it."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch
        self.torch, self.options, self.device = torch, options, options.device
        if self.device == "cpu":
            torch.set_num_threads(1)            # processor seconds of waiting threads would count too
        setting = Setting(self.device, "full", "", 0, GPU_OUTPUT)
        self.world = worlds.make(setting, DTYPES[options.dtype], cells=options.latent)
        self.pairs = {"plain": worlds.plain(self.world), "ours": worlds.with_capface(self.world),
                      "straightforward": worlds.straightforwardly(self.world)}

    def run(self, way: str, steps: int) -> tuple[float, list[float]]:
        """Seconds of a whole run, and those inside get_control for each call."""
        pair = self.pairs[way]
        control = pair[0][0][1].get("control")
        start = self.now()
        if control is None:
            self.world.sample(pair, steps)
            return self.now() - start, []
        with worlds.timed_control(control, self.now) as spent:
            self.world.sample(pair, steps)
        return self.now() - start, spent

    def now(self) -> float:
        """Seconds, as the clock of benchmarks.gpu counts them."""
        return clock.now(self.device)

    def memory(self) -> float:
        """MB held now."""
        return clock.held(self.device)


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
    return (f"Memory held after each of {len(held)} runs: first {held[0]:.0f} MB, median of the first half "
            f"{statistics.median(held[:half]):.0f} MB, of the second half {statistics.median(held[half:]):.0f} MB.")


def vram(bench: Bench) -> str:
    """On a GPU: what CapFace holds over the plain checkpoint at its peak, weights apart."""
    import comfy.model_management
    peaks = {}
    for way in ("plain", "ours"):
        comfy.model_management.unload_all_models()
        peaks[way] = clock.peak(bench.device, lambda way=way: bench.run(way, 2))[0] or 0.0
    return (f"Peak VRAM over the plain checkpoint: {peaks['ours'] - peaks['plain']:.0f} MB, of which weights "
            f"{bench.world.weights_mb:.0f} MB.")


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
    where = (bench.torch.cuda.get_device_name() if bench.device == "cuda"
             else f"CPU {platform.machine()}, processor seconds")
    command = f"python dev.py benchmark capface --latent {chosen.latent} --steps {chosen.steps} --rounds {chosen.rounds}"
    notes = [watch_memory(bench), *([vram(bench)] if bench.device == "cuda" else [])]
    about = (f"`{command}`, {where}, {chosen.dtype}, torch {bench.torch.__version__}; medians, ways run in turns. "
             "Straightforward: all of CapFace for both branches, every step, as one batch of two.")
    section = "\n".join([TITLE, "", about, "", *rows, "", *notes])
    sys.stdout.write(section + "\n")
    if chosen.write:
        write(section)


if __name__ == "__main__":
    main()
