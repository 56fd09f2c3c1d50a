"""python dev.py benchmark import_time [RUNS]: what this pack adds to ComfyUI's start-up.

Prints the time the host takes to load the pack (its own measure, by its own loader, with torch already imported), the
modules that come with it, and the costliest of them as `-X importtime` sees them.
"""
from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

from tools.devkit.places import host_tree

ROOT = Path(__file__).resolve().parents[1]
HOST = host_tree()
MARK = "the pack from here on"
# What must load on first use, not at start-up, unless the host itself has loaded it.
HEAVY = ("insightface", "pytorch3d", "cv2", "scipy", "skimage", "mediapipe", "matplotlib", "onnxruntime", "PIL.ImageDraw",
         "facenet_pytorch", "pandas", "sklearn")

CHILD = f"""
import asyncio, json, sys, time
import comfy.cli_args
comfy.cli_args.args.cpu = True
import utils.install_util       # as main.py does; older hosts put comfy/ first on the path afterwards
import nodes
import gc, logging
from comfy_config import config_parser      # the host imports it for the first pack of any kind
logging.disable(logging.WARNING)
async def load():
    await nodes.init_public_apis()
    before = set(sys.modules)
    sys.stderr.write({MARK!r} + chr(10))
    gc.collect()            # a collection that the host's own objects are due must not fall into the pack's time
    start = time.perf_counter()
    loaded = await nodes.load_custom_node({str(ROOT)!r}, module_parent="custom_nodes")
    seconds = time.perf_counter() - start
    print(json.dumps({{"loaded": loaded, "seconds": seconds, "modules": sorted(set(sys.modules) - before)}}))
asyncio.run(load())
"""


def load_once(*options: str) -> tuple[dict, str]:
    """Load the pack in a fresh host; returns {loaded, seconds, modules (new ones)} and what Python wrote to stderr after
    the mark."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    env.update(PYTHONNOUSERSITE="1", PYTHONPYCACHEPREFIX=str(ROOT / ".demo" / "cache" / "pycache"))
    done = subprocess.run([sys.executable, *options, "-c", CHILD], capture_output=True, text=True, check=True, cwd=HOST, env=env)
    return json.loads(done.stdout.splitlines()[-1]), done.stderr.split(MARK)[-1]


def heavy_modules(modules: list[str]) -> list[str]:
    """Those of `modules` that belong to a HEAVY package."""
    return [name for name in modules if any(name == heavy or name.startswith(f"{heavy}.") for heavy in HEAVY)]


def costliest(trace: str, count: int = 12) -> list[tuple[float, float, str]]:
    """(own milliseconds, milliseconds with what it imports, module) from -X importtime's lines, costliest first."""
    rows = re.findall(r"import time:\s+(\d+) \|\s+(\d+) \|\s*(\S+)", trace)
    return sorted(((int(own) / 1000, int(all_) / 1000, name) for own, all_, name in rows), reverse=True)[:count]


def main(runs: int = 5) -> None:
    """Print the report."""
    load_once()                                 # compiles; not measured
    results = [load_once()[0] for _ in range(runs)]
    seconds = [result["seconds"] for result in results]
    out = sys.stdout.write
    out(f"host's loader, {runs} fresh processes: median {statistics.median(seconds) * 1000:.1f} ms, "
        f"{min(seconds) * 1000:.1f} to {max(seconds) * 1000:.1f} ms; promised: under 50 ms\n")
    modules = results[0]["modules"]
    out(f"modules that come with the pack: {len(modules)}; heavy ones: {', '.join(heavy_modules(modules)) or 'none'}\n")
    out("costliest by -X importtime (own ms, with imports ms):\n")
    for own, total, name in costliest(load_once("-X", "importtime")[1]):
        out(f"  {own:7.2f} {total:7.2f}  {name}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
