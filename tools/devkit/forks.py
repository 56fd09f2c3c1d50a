"""One warm process and its forks: torch, pytest and the like are imported once, so that a run of a test file costs seconds.

Each fork works in a copy of the checkout, and several run at once.
"""
from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Imported before the first fork. Nothing of the pack, and nothing that starts threads, which a fork would not have.
WARM = ("torch", "torch.func", "torchvision.models", "numpy", "PIL.Image", "PIL.ImageDraw", "PIL.ImageFont", "safetensors.torch",
        "scipy.spatial", "hypothesis")


def warm_up() -> None:
    """Make this process what a test run wants to find: its settings and WARM."""
    sys.pycache_prefix = None
    os.environ.pop("PYTHONPYCACHEPREFIX", None)
    os.environ |= {"CAPHUMAN_BLOCK_HOST": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    os.environ.pop("CAPHUMAN_TEST_REPORT", None)
    for name in WARM:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.suppress(ImportError, AttributeError):
        import hypothesis
        import torch
        torch.set_num_threads(1)
        hypothesis.settings.register_profile("mutants", derandomize=True, database=None, deadline=None)
        hypothesis.settings.load_profile("mutants")


def fork(work: Callable[[], int], copy: Path, log: Path) -> int:
    """Start `work` in a child whose folder is the copy and whose output goes to the log; returns its process id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for stream in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        os.chdir(copy)
        sys.path[:] = [place for place in sys.path if place != str(ROOT)]          # pytest puts the copy there
        code = work()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def run_pytest(file: str, plugin: object, *options: str) -> int:
    """The tests of one file, in a fork; returns pytest's exit status."""
    always = ("-q", "-p", "no:cacheprovider", "--rootdir", ".", "--basetemp", "pytest-tmp")
    return int(pytest.main([*always, *options, file], [plugin]))


def at_once(numbers: Sequence[int], copies: Sequence[Path], start: Callable[[int, Path], tuple[int, float]],
            restored: Callable[[int, Path], None] = lambda number, copy: None) -> Iterator[tuple[int, int]]:
    """Run start(number, copy) -> (process, seconds it may take) for each number, one in each copy at a time.

    Yields (number, exit code) as they end, after `restored` was called. One that takes too long is ended: code -9.
    """
    waiting, free = list(numbers)[::-1], list(copies)
    running: dict[int, tuple[int, Path, float]] = {}
    try:
        while waiting or running:
            while waiting and free:
                number, copy = waiting.pop(), free.pop()
                process, seconds = start(number, copy)
                running[process] = (number, copy, time.monotonic() + seconds)
            for process, (number, copy, latest) in list(running.items()):
                if time.monotonic() > latest:
                    os.kill(process, signal.SIGKILL)
                ended, status = os.waitpid(process, 0 if time.monotonic() > latest else os.WNOHANG)
                if ended:
                    del running[process]
                    restored(number, copy)
                    free.append(copy)
                    yield number, os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
    finally:
        for process in running:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
