"""The commands of dev.py: demo, test, check, generate, matrix, benchmark, gpu, mutants."""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from . import lock, matrix, serve, server, suite
from .children import guarded, tool_environment
from .children import run as run_child
from .install import prepare
from .packages import disk_failure
from .places import MODELS, OUTPUT, ROOT, SERVER, STATE, Failure, say, venv_program

WEIGHTS_BYTES = 7 << 30
BENCHMARKS = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))


def run(arguments: list[str]) -> int:
    """Carry out the command line; returns the exit status. A failure is one sentence on standard error."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))         # so that children are ended on the way out
    options, rest = _parser().parse_known_args(arguments)
    if rest and options.command not in ("test", "benchmark", "gpu", "mutants"):
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        commands = {"demo": demo, "test": test, "check": check, "generate": generate, "matrix": matrix.run_command,
                    "benchmark": benchmark, "gpu": gpu, "mutants": mutants}
        return commands[options.command](options, rest)
    except Failure as failure:
        sys.stderr.write(f"dev.py: {failure}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ndev.py: stopped by Ctrl-C; nothing was left running.\n")
        return 130
    except OSError as error:
        sys.stderr.write(f"dev.py: {disk_failure(error)}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py", description="Prepares everything inside this checkout, then runs a command.")
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("demo", help="one photo through the whole graph in a real ComfyUI; pictures in demo-output/")
    shown.add_argument("--photo", type=Path, help="a picture with one face (default: scikit-image's astronaut)")
    shown.add_argument("--serve", action="store_true", help="leave the server up and print its address, until Ctrl-C")
    shown.add_argument("--port", type=int, help="loopback port of the server (default: any free one)")
    commands.add_parser("test", help="the test suite, --thorough: all of it; further arguments go to pytest")
    commands.add_parser("check", help="ruff, pyright and oxlint")
    commands.add_parser("generate", help="rewrite workflows/api and locales/en from the workflows and the nodes")
    measured = commands.add_parser("benchmark", help="one of benchmarks/; further arguments go to it")
    measured.add_argument("name", choices=BENCHMARKS)
    commands.add_parser("gpu", help="all that a graphics card can tell, in minutes: right, fast, roomy, training",
                        add_help=False)                                         # benchmarks/gpu says the rest
    matrix.add_options(commands.add_parser("matrix", help="host tests on every supported ComfyUI, core tests on every Python"))
    commands.add_parser("mutants", help="small bugs put into a copy of caphuman_core, one at a time: which do the core tests miss?",
                        add_help=False)                                         # tools/devkit/mutants.py says the rest
    return parser


def demo(options: argparse.Namespace, _: list[str]) -> int:
    """Run the graph of workflows/portrait_from_photo.json on a photo, or serve it."""
    photo = options.photo.expanduser().resolve() if options.photo else None
    if photo and not photo.is_file():
        raise Failure(f"--photo must name a picture file, but {options.photo} is not there: check the path.")
    port = server.free_port(options.port)
    tree = prepare()
    with lock.held(STATE / "server.lock", wait=False) as free:
        if not free:
            raise Failure(f"one demo runs at a time, but another is running ({lock.owner(STATE / 'server.lock')}): stop it first.")
        weights = find_weights(tree)
        say(f"starting ComfyUI on port {port}" + (" (no graphics device found: on the processor)" if weights["cpu"] else ""))
        with server.serving(tree, SERVER, port, weights["cpu"]) as url:
            if options.serve:
                name = serve.lay_out(SERVER, photo, weights)
                return _serve(url, name)
            return _submit(url, photo, weights)


def find_weights(tree: Path) -> dict:
    """Ask tools.demo.models which model files the graph will use; it writes those that are missing."""
    free = shutil.disk_usage(ROOT).free
    if not MODELS.is_dir() and free < WEIGHTS_BYTES:
        raise Failure(f"the disk must have {WEIGHTS_BYTES >> 30} GB free for the demo's model files, but it has "
                      f"{free / (1 << 30):.1f} GB: free some space and run the command again.")
    server.make_base(SERVER, tree)
    report = STATE / "weights.json"
    report.unlink(missing_ok=True)
    code = run_child(guarded("-m", "tools.demo.models", tree, report), tool_environment())
    if code or not report.is_file():
        raise Failure("the demo's model files must be found or written, but that failed: the lines above say why.")
    return json.loads(report.read_text(encoding="utf-8"))


def _submit(url: str, photo: Path | None, weights: dict) -> int:
    request = STATE / "request.json"
    request.write_text(json.dumps({"url": url, "photo": str(photo) if photo else None, "weights": weights,
                                   "output": str(OUTPUT)}), encoding="utf-8")
    return run_child(guarded("-m", "tools.demo", request), tool_environment())


def _serve(url: str, workflow: str) -> int:
    say(f"ComfyUI with this pack is at {url} - open the sidebar's Workflows and choose {workflow}. Ctrl-C stops it.")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
    say("stopped")
    return 0


def test(_: argparse.Namespace, rest: list[str]) -> int:
    """The test suite, its parts in separate processes."""
    return suite.run(prepare(for_tests=True), rest)


def check(_: argparse.Namespace, __: list[str]) -> int:
    """ruff and pyright for the Python, oxlint for the JavaScript."""
    prepare(for_tests=True)
    codes = [run_child(guarded("-m", *command), tool_environment()) for command in (("ruff", "check", "."), ("pyright",))]
    return max(*codes, run_child([venv_program("oxlint"), "--deny-warnings", ROOT / "web"], tool_environment()))


def generate(_: argparse.Namespace, __: list[str]) -> int:
    """Rewrite the files that follow from others, as a real server sees the nodes."""
    tree = prepare()
    with server.serving(tree, STATE / "generate", server.free_port(), cpu=True) as url:
        return run_child(guarded("-m", "tools.make_workflows", url), tool_environment())


def benchmark(options: argparse.Namespace, rest: list[str]) -> int:
    """One of benchmarks/, with what the tests of the same thing share."""
    tree = prepare(for_tests=True)
    shared = os.pathsep.join(str(ROOT / "tests" / part) for part in ("bench", "browser"))
    return run_child(guarded("-m", f"benchmarks.{options.name}", *rest),
                     tool_environment({"COMFYUI_PATH": str(tree), "PYTHONPATH": shared}))


def gpu(_: argparse.Namespace, rest: list[str]) -> int:
    """Check and measure what a graphics card can tell, or the same on narrow networks where none is."""
    tree = prepare(for_tests=True)
    return run_child(guarded("-m", "benchmarks.gpu", *rest), tool_environment({"COMFYUI_PATH": str(tree)}))


def mutants(_: argparse.Namespace, rest: list[str]) -> int:
    """Put small bugs into a copy of the core and let its tests find them."""
    prepare(for_tests=True)
    return run_child(guarded("-m", "tools.devkit.mutants", *rest), tool_environment())
