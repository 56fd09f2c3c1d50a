"""python dev.py benchmark bench_scale [--busy-only]: the benchmark tool at its full size.

Plans 105,000 images (100 people x 35 prompts x 10 heads x 3), resumes a run that has all but a few, scores with made-up
numbers and reports, each step in a process of its own whose time and largest memory are printed. Then the share of time
that simulated servers (real HTTP and websockets on loopback) work, for 1 to 64 of them.
"""
from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GRAPH = ROOT / "tests" / "bench" / "tiny_graph.json"
LEFT = 200                              # images that the resumed run has still to make


def make_album(folder: Path) -> None:
    """100 small pictures."""
    from simulated import picture
    folder.mkdir()
    for number in range(100):
        (folder / f"person{number:03}.png").write_bytes(picture(number))


def fill(run: Path) -> None:
    """As if all but LEFT images had been made. Their files are links: 105,000 pictures would only measure the disk."""
    from simulated import picture

    from caphuman_bench.store import Store
    with Store.open(run) as store:
        done = [(r.id, f"images/{r.identity}/{r.head}/{r.prompt}_{r.sample}.png", 3.0) for r in store.records()][:-LEFT]
        for number, file, _ in done:
            path = run / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if number % 30000 == 0:                         # a file can have some 65,000 names
                path.write_bytes(picture(1))
                source = path
            else:
                os.link(source, path)
        store.finish(done)


def put_scores(run: Path) -> None:
    """Numbers for every image that is done."""
    from made_runs import random_scores

    from caphuman_bench.plan import load_plan
    from caphuman_bench.store import Store
    plan = load_plan(run)
    with Store.open(run) as store:
        for metric, values in random_scores(plan).items():
            store.put_scores((i, metric, None if v != v else float(v)) for i, v in enumerate(values))


def measured(name: str, *arguments: str | Path) -> None:
    """Run a command of the tool and print its processor and wall seconds and largest memory."""
    code = ("import resource, sys; from caphuman_bench.cli import main; code = main(sys.argv[1:]); "
            "u = resource.getrusage(resource.RUSAGE_SELF); "
            "sys.stderr.write(f'USED {u.ru_maxrss} {u.ru_utime + u.ru_stime}'); sys.exit(code)")
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    peak, seconds = map(float, done.stderr.rsplit("USED ", 1)[1].split())
    sys.stdout.write(f"| {name} | {seconds:.1f} | {time.monotonic() - start:.1f} | {peak / 1024:.0f} |\n")


def full_size(folder: Path) -> None:
    """plan, resume, report of 105,000 images."""
    from threading import Thread

    from simulated import SimulatedServer
    make_album(folder / "album")
    run = folder / "run"
    plan = ("plan", run, "--photos", folder / "album", "--workflow", GRAPH, "--check-faces", "off")
    measured("plan", *plan)
    measured("plan again", *plan)
    fill(run)
    address: list[str] = []

    async def serve() -> None:
        async with SimulatedServer(0.0) as server:
            address.append(server.url)
            await asyncio.sleep(600)
    Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    while not address:
        time.sleep(0.01)
    measured(f"resume, {LEFT} images left", "run", run, "--server", address[0])
    put_scores(run)
    measured("report", "report", run)


async def busy(count: int, latency: float, rounds: int, folder: Path) -> float:
    """The share of time that `count` servers work, from the first start to the last end."""
    from bench_plans import small_plan
    from simulated import SimulatedServer

    from caphuman_bench.runner import Runner
    from caphuman_bench.store import Store
    from caphuman_bench.worker import ServerWorker
    plan = small_plan(folder, 4, 4, max(1, count * rounds // 16), 1)
    async with contextlib.AsyncExitStack() as stack:
        store = stack.enter_context(Store.open(folder))
        servers = [await stack.enter_async_context(SimulatedServer(latency)) for _ in range(count)]
        await Runner(store, [ServerWorker(plan, folder, server.url) for server in servers]).run(list(store.records()))
    wall = max(s.last for s in servers) - min(s.first for s in servers)
    return sum(s.busy_seconds for s in servers) / count / wall


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as name:
        if "--busy-only" not in sys.argv:
            sys.stdout.write("| what | processor seconds | seconds | MB |\n|---|---|---|---|\n")
            full_size(Path(name))
        sys.stdout.write("| servers | busy |\n|---|---|\n")
        for count in (1, 2, 4, 8, 64):
            share = asyncio.run(busy(count, 0.5, 32, Path(name) / f"busy{count}"))
            sys.stdout.write(f"| {count} | {share:.1%} |\n")
    sys.stdout.write(f"largest memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB\n")


if __name__ == "__main__":
    main()
