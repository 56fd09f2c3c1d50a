"""python dev.py mutants: small bugs put into a copy of caphuman_core, one at a time; the core tests must notice each.

First every test file runs once as it is, and it is noted which functions of the core each of its tests calls. Then each
sampled bug (mutations.py) is written into the copy, and the test files that ran its function are run until a test fails: those
that import the file themselves first, and of each file the tests that called the function. A bug outside of functions is shown
to every test file that loads its module. What a cache holds is not called again by later tests: of a module with caches, all tests
of the files that import it themselves are run. A run that takes far too long counts as noticed.

torch, pytest and the like are imported once; each run is a fork of that warm process, so a bug costs seconds.
"""
from __future__ import annotations

import argparse
import itertools
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .callers import ALL, CORE, Failed, Seen, look
from .forks import ROOT, at_once, fork, run_pytest, warm_up
from .mutations import Mutation, mutations, parses

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".host", ".demo", ".test-output", ".gpu-output", ".*_cache", "demo-output",
                                  "__pycache__", "node_modules")
FORGIVEN_SECONDS, SLOWER = 60.0, 5.0     # a run may take this much, and so many times what it took without a bug
MOST_BYTES = 24 << 30                    # of address space: a bug that asks for more memory fails instead of taking the machine's
LINE = 110                               # characters of a survivor's text


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
    warm_up()
    try:
        seen = look(copies, options.root / ".test-output" / "mutants", folder)
    except Failed as failure:
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


def _hunt(chosen: Sequence[Mutant], seen: Sequence[Seen], copies: Sequence[Path], folder: Path) -> Iterator[tuple[Mutant, bool]]:
    """Each bug, and whether it survived, as they are done."""
    originals = folder / "originals"
    shutil.copytree(copies[0] / CORE, originals / CORE, ignore=LEFT_OUT)

    def start(number: int, copy: Path) -> tuple[int, float]:
        able = _able(chosen[number], seen)
        process = fork(lambda: _with_bug(chosen[number], copy, able), copy, folder / f"log-{number}")
        return process, FORGIVEN_SECONDS + SLOWER * sum(one.seconds for one in able)

    def restore(number: int, copy: Path) -> None:
        shutil.copy2(originals / chosen[number].path, copy / chosen[number].path)
    for number, code in at_once(range(len(chosen)), copies, start, restore):
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
    caches = re.search(rb"^\s*@(functools\.)?(lru_)?cache", target.read_bytes(), re.M) is not None
    target.write_bytes(mutant.mutation.applied(target.read_bytes()))
    os.utime(target, (stamp + 1000, stamp + 1000))               # compiled files of the original are known by its time
    for one in able:
        others = [ALL] if caches and mutant.path in one.direct else []
        code = run_pytest(one.file, _Chosen([*one.calls.get(mutant.function, [ALL]), *others]), "-x")
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


if __name__ == "__main__":
    sys.exit(main())
