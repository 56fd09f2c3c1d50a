"""Does the loader keep up with training? Processor seconds a sample of reading and of drawing the hint, and what that means.

    python dev.py benchmark train_loader [--samples 24] [--size 512]

Shards of drawn heads with everything that real ones hold, at their real sizes. Processor seconds, one thread, median over
batches: they hold on a busy machine too. The row's last columns: samples a second of two cores, as a ratio to the aim of 120 (one
H200), and how many loader processes the aim needs.
"""
from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

AIM, CORES = 120.0, 2                    # samples a second that one H200 may ask for; cores that the ratio is told for


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Median processor seconds."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return statistics.median(times)


def measure(samples: int, size: int) -> dict[str, float]:
    """Seconds a sample of each part, and bytes of a sample on the disk."""
    import torch

    from caphuman_core.head.model.head_model import load_builtin
    from caphuman_train.data.batch import collate, hint_of
    from caphuman_train.data.drawn import Drawing, write_drawn_shards
    from caphuman_train.data.loader import batch_at
    from caphuman_train.data.shards import Shards
    torch.set_num_threads(1)
    model = load_builtin()
    with tempfile.TemporaryDirectory() as folder:
        write_drawn_shards(Path(folder), Drawing(count=samples, people=samples // 2, size=size, per_shard=samples))
        shards = Shards.open(Path(folder))
        numbers = iter(range(10 ** 9))
        whole = seconds(lambda: batch_at(shards, next(numbers), 4, 0, 0, 1, 0.5, model), 12) / 4
        read = seconds(lambda: shards.sample(next(numbers) % samples), 24)
        alone = seconds(lambda: shards.sample(i := next(numbers) % samples, i), 24)
        one = shards.sample(0)
        drawn = seconds(lambda: hint_of(one, model), 24)
        collated = seconds(lambda: collate([one], model), 24)
        size_on_disk = sum(shard.bytes for shard in shards.manifest.shards) / samples
    return {"whole": whole, "read": read, "read, one photo": alone, "hint": drawn, "collate": collated, "bytes": size_on_disk}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    found = measure(options.samples, options.size)
    rate = CORES / found["whole"]
    print(f"| {options.size} x {options.size}, one thread | processor ms a sample |\n|---|---|")
    print(f"| batch_at, everything | {found['whole'] * 1e3:.1f} |")
    print(f"| reading target and reference ({found['bytes'] / 1e6:.2f} MB each), checksums, decoding | {found['read'] * 1e3:.1f} |")
    print(f"| reading where they are one photo | {found['read, one photo'] * 1e3:.1f} |")
    print(f"| drawing the hint | {found['hint'] * 1e3:.1f} |")
    processes, disk = math.ceil(AIM * found["whole"]), AIM * found["bytes"] * 2 / 1e6
    print(f"\n{CORES} cores: {rate:.1f} samples a second, {rate / AIM:.2f} of the {AIM:.0f} that are the aim on one H200. That "
          f"needs {processes} loader processes on cores like these, and {disk:.0f} MB/s from the disk.")


if __name__ == "__main__":
    main()
