"""dev.py matrix: the host tests on every supported ComfyUI, the core tests on every Python and on both numpys.

Hosts share .venv. Other Pythons get an environment of their own below .demo/matrix, with torch's wheel but without a second
copy of the CUDA libraries, which are the same for all of them and are linked. What cannot run here is named "not run", and
the exit status is 0 only if everything ran and passed.
"""
from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import host
from .children import guarded, run, tool_environment
from .install import TORCH, prepare
from .places import HOST_VERSION, ROOT, STATE, VENV, Failure, say, venv_python

PLACE = STATE / "matrix"
HOSTS = (*host.OLDER, HOST_VERSION)
UNSUPPORTED = ("0.16.3", "0.18.2")      # MESH without texture coordinates: Render Head cannot work (pyproject: requires-comfyui)
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
NUMPYS = ("numpy==1.26.4", "numpy>=2,<3")
NO_OLD_NUMPY = ("3.13",)                # numpy 1.26 was never built for it
SLOW = ("test_capface_golden.py", "test_demo_e2e.py", "test_miniature.py")    # full-size networks; with --full
ABOUT_NEWEST = "not api_twin_is_the_workflow and not log_has_no_error"     # files written by the newest host, its log
TORCH_NEEDS = ("filelock", "typing-extensions", "sympy", "networkx", "jinja2", "fsspec")
PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `matrix` may be told."""
    parser.add_argument("--full", action="store_true", help="host tests with full-size networks too (an hour on two cores)")
    parser.add_argument("--hosts", nargs="*", choices=HOSTS, default=[name for name in HOSTS if name not in UNSUPPORTED],
                        help="ComfyUI versions (default: all that are supported)")
    parser.add_argument("--pythons", nargs="*", choices=PYTHONS, default=list(PYTHONS), help="Python versions (default: all)")


def run_matrix(hosts: Sequence[str], pythons: Sequence[str], full: bool) -> dict[str, str]:
    """What was run -> passed, failed or not run (with the reason)."""
    prepare(for_tests=True)
    results = {}
    for version in hosts:
        results[f"ComfyUI {version}"] = _told(f"ComfyUI {version}", lambda version=version: _host(version, full))
    for python in pythons:
        for numpy in NUMPYS:
            name = f"Python {python}, {numpy}"
            results[name] = _told(name, lambda python=python, numpy=numpy: _core(python, numpy))
    return results


def run_command(options: argparse.Namespace, _: list[str]) -> int:
    """Run it all and print a table; returns the exit status."""
    results = run_matrix(options.hosts, options.pythons, options.full)
    for name, outcome in results.items():
        say(f"{name:32} {outcome}")
    return 0 if all(outcome.startswith(PASSED) for outcome in results.values()) else 1


def _told(name: str, step) -> str:
    say(f"matrix: {name}")
    start = time.monotonic()
    try:
        outcome = step()
    except Failure as failure:
        outcome = f"{NOT_RUN}: {failure}"
    say(f"matrix: {name} {outcome} after {time.monotonic() - start:.0f} s")
    return outcome


def _host(version: str, full: bool) -> str:
    tree = host.get_version(version)
    PLACE.mkdir(parents=True, exist_ok=True)
    ignored = [] if full else [f"--ignore={ROOT / 'tests' / 'host' / name}" for name in SLOW]
    chosen = [] if version == HOST_VERSION else ["-k", ABOUT_NEWEST]
    command = guarded("-m", "pytest", "-q", "--basetemp", PLACE / f"tmp-{version}", *chosen, *ignored, ROOT / "tests" / "host")
    code = run(command, tool_environment({"COMFYUI_PATH": str(tree)}))
    return FAILED if code else PASSED


def _core(python: str, numpy: str) -> str:
    if python in NO_OLD_NUMPY and numpy == NUMPYS[0]:
        return PASSED + " (nothing to do: numpy 1.26 does not exist for it)"
    program = _environment(python, numpy)
    env = tool_environment({"CAPHUMAN_BLOCK_HOST": "1"})
    code = run([program, Path(__file__).with_name("guarded.py"), "-m", "pytest", "-q", "--basetemp", PLACE / "tmp-core",
                *_core_tests(python)], env)
    return FAILED if code else PASSED


def _core_tests(python: str) -> list[Path]:
    """All in .venv's own Python; elsewhere those that need no optional back end and no development tools."""
    folder = ROOT / "tests" / "core"
    if python == _own():
        return [folder]
    needs = ("mediapipe", "insightface", "dlib", "pytorch3d", "devkit", "demo", "real_photos", "fit_photo")
    return [path for path in sorted(folder.glob("test_*.py"))
            if not any(word in path.name for word in (*needs, "dev.py")) and not _mentions(path, needs)]


def _mentions(path: Path, words: Sequence[str]) -> bool:
    text = path.read_text(encoding="utf-8")
    return any(word in text for word in words)


def _own() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _environment(python: str, numpy: str) -> Path:
    """A Python of that version with torch and that numpy. Failure if there is none on this machine."""
    program = _find(python)
    folder = PLACE / f"python{python}-{'1' if numpy == NUMPYS[0] else '2'}"
    inner = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if (folder / "done").is_file():
        return inner
    shutil.rmtree(folder, ignore_errors=True)
    _call([program, "-m", "venv", folder])
    install = (inner, "-m", "pip", "install", "-q")
    _call([*install, "--upgrade", "pip>=25.1"])
    _call([*install, "--no-deps", *TORCH[:2]])
    _call([*install, *TORCH_NEEDS, numpy, "pyyaml", ".[opencv]", "--group", "test"])
    _call([*install, "--no-deps", "--group", "weights"])
    for libraries in VENV.glob("lib/python*/site-packages/nvidia"):
        (folder / "lib" / f"python{python}" / "site-packages" / "nvidia").symlink_to(libraries, target_is_directory=True)
    _call([inner, "-c", "import torch, numpy"])
    (folder / "done").write_text("", encoding="utf-8")
    return inner


def _find(python: str) -> str:
    """A program of that Python version that really runs (version managers put stubs on PATH)."""
    candidates = [str(venv_python())] if python == _own() else []
    candidates += [found for name in (f"python{python}", "python3") if (found := shutil.which(name))]
    candidates += [str(path) for path in sorted((Path.home() / ".pyenv" / "versions").glob(f"{python}.*/bin/python"))]
    for program in candidates:
        probe = subprocess.run([program, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"],
                               capture_output=True, text=True, check=False)
        if probe.returncode == 0 and probe.stdout.strip() == python:
            return program
    raise Failure(f"Python {python} must be on PATH, but it is not: install it")


def _call(command: Sequence[str | Path]) -> None:
    if run(command, tool_environment()):
        raise Failure(f"'{' '.join(str(part) for part in command[1:5])} ...' must succeed, but it failed: the lines above say why")
