"""python dev.py mutants: small bugs put into a copy of caphuman_core, one at a time; the core tests must notice each.

First every test file runs once as it is, and it is noted which functions of the core each of its tests calls. Then each
sampled bug (mutations.py) is written into the copy, and the test files that ran its function are run until a test fails: those
that import the file themselves first, and of each file the tests that called the function. A bug outside of functions is shown
to every test file that loads its module. A run that takes far too long counts as noticed.

torch, pytest and the like are imported once; each run is a fork of that warm process, so a bug costs seconds.
"""
from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .mutations import Mutation, mutations, parses

ROOT = Path(__file__).resolve().parents[2]
CORE, TESTS = "caphuman_core", "tests/core"
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".host", ".demo", ".test-output", ".gpu-output", ".*_cache", "demo-output",
                                  "__pycache__", "node_modules")
# Imported before the first fork. Nothing of the pack, and nothing that starts threads, which a fork would not have.
WARM = ("torch", "torch.func", "torchvision.models", "numpy", "PIL.Image", "PIL.ImageDraw", "PIL.ImageFont", "safetensors.torch",
        "scipy.spatial", "hypothesis")
ALL = "every test of the file"
FORGIVEN_SECONDS, SLOWER = 60.0, 5.0     # a run may take this much, and so many times what it took without a bug
MOST_BYTES = 24 << 30                    # of address space: a bug that asks for more memory fails instead of taking the machine's
LINE = 110                               # characters of a survivor's text


@dataclass(frozen=True)
class Seen:
    """What the tests of one file ran when there was no bug."""

    file: str                            # below the checkout
    seconds: float
    loaded: frozenset[str]               # files of the core, below the checkout
    direct: frozenset[str]               # those of which the test file names something itself
    calls: dict[str, list[str]]          # "file:first line" of a function -> the tests that called it, quickest first


@dataclass(frozen=True)
class Mutant:
    """A small bug in a file of the core."""

    path: str                            # below the checkout
    mutation: Mutation

    @property
    def function(self) -> str:
        """The function it lies in, as `Seen.calls` names it."""
        return f"{self.path}:{self.mutation.function}"

    def __str__(self) -> str:
        old, new = (" ".join(text.split())[:LINE] for text in (self.mutation.old, self.mutation.new))
        return f"{self.path}:{self.mutation.line}  {old}  ->  {new}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 0 when the run was whole, however many survived."""
    options = _parser().parse_args(arguments)
    if not hasattr(os, "fork"):
        sys.stderr.write("dev.py mutants needs a system that can fork a process, but this one cannot: run it on Linux or macOS.\n")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        try:
            return _run(options, Path(folder))
        except KeyboardInterrupt:
            sys.stderr.write("\nstopped; the checkout is as it was.\n")
            return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py mutants", description="Puts small bugs into a copy and lets the tests find them.")
    parser.add_argument("--count", type=int, default=150, help="how many bugs (default: 150)")
    parser.add_argument("--seed", type=int, default=0, help="which ones (default: 0)")
    parser.add_argument("--only", default="", help="of files whose path holds this text")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default: 2)")
    parser.add_argument("--list", action="store_true", help="print the sampled bugs and run nothing")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    return parser


def _run(options: argparse.Namespace, folder: Path) -> int:
    chosen = sample(options.root, options.count, options.seed, options.only)
    if options.list:
        sys.stdout.write("".join(f"{mutant}\n" for mutant in chosen))
        return 0
    start = time.monotonic()
    copies = [folder / str(job) for job in range(max(1, options.jobs))]
    for copy in copies:
        shutil.copytree(options.root, copy, ignore=LEFT_OUT)
    _warm_up()
    try:
        seen = _look(copies, options.root / ".test-output" / "mutants", folder)
    except _Failed as failure:
        sys.stderr.write(f"the tests must pass before bugs are put in, but {failure}\n")
        return 1
    survivors: list[Mutant] = []
    done = 0
    try:
        for mutant, survived in _hunt(chosen, seen, copies, folder):
            done += 1
            survivors += [mutant] * survived
            _say(f"{done}/{len(chosen)} {'SURVIVED' if survived else 'noticed '} {mutant}")
    finally:
        _say(f"\n{done - len(survivors)} of {done} bugs were noticed ({100 * (done - len(survivors)) / max(done, 1):.0f} %), seed "
             f"{options.seed}, {time.monotonic() - start:.0f} s. Survivors:")
        _say("\n".join(f"  {mutant}" for mutant in sorted(survivors, key=str)) or "  none")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def sample(root: Path, count: int, seed: int, only: str = "") -> list[Mutant]:
    """Bugs of the core, every line that can have one as likely as any other; the same for a seed and a text."""
    found = [Mutant(path.relative_to(root).as_posix(), mutation) for path in sorted((root / CORE).rglob("*.py"))
             if only in path.relative_to(root).as_posix() for mutation in mutations(path.read_bytes())]
    random.Random(seed).shuffle(found)  # noqa: S311  (a sample, no secret)
    turn: Counter[tuple[str, int]] = Counter()
    turns = []
    for mutant in found:
        turn[mutant.path, mutant.mutation.line] += 1
        turns.append(turn[mutant.path, mutant.mutation.line])
    order = sorted(range(len(found)), key=turns.__getitem__)             # a second one of a line only after a first one of all
    good = (found[index] for index in order if parses(found[index].mutation.applied((root / found[index].path).read_bytes())))
    return list(itertools.islice(good, count))


# --- runs in forks of the warm process

class _Failed(Exception):
    """A test file fails without a bug."""


def _warm_up() -> None:
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


def _fork(work: Callable[[], int], copy: Path, log: Path) -> int:
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


def _pytest(file: str, plugin: object, *options: str) -> int:
    always = ("-q", "-p", "no:cacheprovider", "--rootdir", ".", "--basetemp", "pytest-tmp")
    return int(pytest.main([*always, *options, file], [plugin]))


# --- without a bug

def _look(copies: Sequence[Path], kept: Path, folder: Path) -> list[Seen]:
    """Every test file of the core by itself, as it is; what was seen is kept for as long as nothing it could depend on changes."""
    files = [path.relative_to(copies[0]).as_posix() for path in sorted((copies[0] / TESTS).glob("test_*.py"))
             if re.search(rf"^\s*(from|import) {CORE}", path.read_text(encoding="utf-8"), re.M)]
    targets = [kept / f"{Path(file).stem}-{_state_of(copies[0], file)}.json" for file in files]
    kept.mkdir(parents=True, exist_ok=True)
    for path in set(kept.glob("*.json")) - set(targets):
        path.unlink()

    def start(number: int, copy: Path) -> tuple[int, float]:
        return _fork(lambda: _recorded(files[number], targets[number]), copy, folder / f"look-{number}"), 3600.0
    for number, code in _at_once([number for number, target in enumerate(targets) if not target.is_file()], copies, start):
        if code != 0:
            raise _Failed(f"{files[number]} does not; the end of what it said:\n"
                          + (folder / f"look-{number}").read_text(encoding="utf-8", errors="replace")[-3000:])
    seen = [json.loads(target.read_text(encoding="utf-8")) for target in targets]
    return [Seen(file, one["seconds"], frozenset(one["loaded"]), frozenset(one["direct"]), one["calls"])
            for file, one in zip(files, seen, strict=True)]


def _state_of(copy: Path, file: str) -> str:
    """Changes with the core, what tests share, and the file."""
    tests = [path for path in sorted((copy / "tests").rglob("*.py")) if not path.name.startswith("test_")]
    digest = hashlib.sha256()
    for path in (*sorted((copy / CORE).rglob("*.py")), *tests, copy / file, Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _recorded(file: str, target: Path) -> int:
    root = Path.cwd().resolve()                                  # a test may change to another folder
    recorder, start = _Recorder(root), time.monotonic()
    code = _pytest(file, recorder)
    loaded = {name: _below(root, module.__file__) for name, module in sys.modules.items()
              if name.startswith(CORE) and module.__file__}
    seen = {"seconds": time.monotonic() - start, "loaded": sorted(loaded.values()),
            "direct": sorted({loaded[name] for name in recorder.named if name in loaded}),
            "calls": {function: sorted(tests, key=recorder.seconds.__getitem__) for function, tests in recorder.calls.items()}}
    if code == 0:
        target.write_text(json.dumps(seen), encoding="utf-8")
    return code


def _below(root: Path, file: str) -> str:
    return Path(file).resolve().relative_to(root).as_posix()


class _Recorder:
    """A pytest plugin that notes which functions of the core each test calls, and which modules its file names.

    What is called while fixtures are made serves later tests too: it counts for every test of the file (ALL).
    """

    def __init__(self, root: Path) -> None:
        self.calls: dict[str, set[str]] = {}
        self.seconds: Counter[str] = Counter()
        self.named: set[str] = set()
        self._test = ""
        self._root = root
        self._known: set[tuple[int, str]] = set()               # (code, test): most calls are not the first

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        for module in {item.module for item in items}:
            for value in list(vars(module).values()):
                self.named.add(value.__name__ if isinstance(value, type(sys)) else str(getattr(value, "__module__", "")))

    def pytest_runtest_setup(self) -> None:
        self._test = ALL
        sys.setprofile(self._called)

    def pytest_runtest_call(self, item: Any) -> None:
        self._test = item.nodeid

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration

    def pytest_runtest_logfinish(self) -> None:
        sys.setprofile(None)

    def _called(self, frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or (id(code), self._test) in self._known:
            return
        self._known.add((id(code), self._test))
        if code.co_filename.startswith(str(self._root / CORE)):
            self.calls.setdefault(f"{_below(self._root, code.co_filename)}:{code.co_firstlineno}", set()).add(self._test)


# --- with one

def _hunt(chosen: Sequence[Mutant], seen: Sequence[Seen], copies: Sequence[Path], folder: Path) -> Iterator[tuple[Mutant, bool]]:
    """Each bug, and whether it survived, as they are done."""
    originals = folder / "originals"
    shutil.copytree(copies[0] / CORE, originals / CORE, ignore=LEFT_OUT)

    def start(number: int, copy: Path) -> tuple[int, float]:
        able = _able(chosen[number], seen)
        process = _fork(lambda: _with_bug(chosen[number], copy, able), copy, folder / f"log-{number}")
        return process, FORGIVEN_SECONDS + SLOWER * sum(one.seconds for one in able)

    def restore(number: int, copy: Path) -> None:
        shutil.copy2(originals / chosen[number].path, copy / chosen[number].path)
    for number, code in _at_once(range(len(chosen)), copies, start, restore):
        yield chosen[number], code == 0


def _able(mutant: Mutant, seen: Sequence[Seen]) -> list[Seen]:
    """The test files that could notice, the likeliest first."""
    inside = mutant.mutation.function
    able = [one for one in seen if (mutant.function in one.calls if inside else mutant.path in one.loaded and one.calls)]
    return sorted(able, key=lambda one: (mutant.path not in one.direct, one.seconds))


def _with_bug(mutant: Mutant, copy: Path, able: Sequence[Seen]) -> int:
    """Run the test files one after another until one fails; 0 if none does."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    _bound_memory()
    target = copy / mutant.path
    stamp = target.stat().st_mtime
    target.write_bytes(mutant.mutation.applied(target.read_bytes()))
    os.utime(target, (stamp + 1000, stamp + 1000))               # compiled files of the original are known by its time
    for one in able:
        code = _pytest(one.file, _Chosen(one.calls.get(mutant.function, [ALL])), "-x")
        if code not in (0, 5):                                   # 5: pytest found no test to run
            return code
    return 0


class _Chosen:
    """A pytest plugin: of a file, only these tests, in this order; all the others after them if ALL is one of them."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.place = {test: place for place, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if ALL in self.place or item.nodeid in self.place]
        items.sort(key=lambda item: self.place.get(item.nodeid, len(self.place)))


def _bound_memory() -> None:
    import resource
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, hard))


# --- several at once

def _at_once(numbers: Sequence[int], copies: Sequence[Path], start: Callable[[int, Path], tuple[int, float]],
             restored: Callable[[int, Path], None] = lambda number, copy: None) -> Iterator[tuple[int, int]]:
    """Run start(number, copy) -> (process, seconds it may take) for each number, one in each copy at a time; (number, exit code)
    as they end, with `restored` called before. One that takes too long is ended: code -9."""
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


if __name__ == "__main__":
    sys.exit(main())
