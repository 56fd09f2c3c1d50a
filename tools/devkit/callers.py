"""Which tests call which function of caphuman_core, found by running every test file once as it is.

What was seen is kept for as long as nothing it could depend on changes.
"""
from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .forks import at_once, fork, run_pytest

CORE, TESTS = "caphuman_core", "tests/core"
ALL = "every test of the file"


@dataclass(frozen=True)
class Seen:
    """What the tests of one file ran when there was no bug."""

    file: str                            # below the checkout
    seconds: float
    loaded: frozenset[str]               # files of the core, below the checkout
    direct: frozenset[str]               # those of which the test file names something itself
    calls: dict[str, list[str]]          # "file:first line" of a function -> the tests that called it, quickest first


class Failed(Exception):
    """A test file fails without a bug."""


def look(copies: Sequence[Path], kept: Path, folder: Path) -> list[Seen]:
    """Every test file of the core by itself, as it is; `kept` holds what was seen, each for as long as it holds."""
    files = [path.relative_to(copies[0]).as_posix() for path in sorted((copies[0] / TESTS).glob("test_*.py"))
             if re.search(rf"^\s*(from|import) {CORE}", path.read_text(encoding="utf-8"), re.M)]
    targets = [kept / f"{Path(file).stem}-{_state_of(copies[0], file)}.json" for file in files]
    kept.mkdir(parents=True, exist_ok=True)
    for path in set(kept.glob("*.json")) - set(targets):
        path.unlink()

    def start(number: int, copy: Path) -> tuple[int, float]:
        return fork(lambda: _recorded(files[number], targets[number]), copy, folder / f"look-{number}"), 3600.0
    for number, code in at_once([number for number, target in enumerate(targets) if not target.is_file()], copies, start):
        if code != 0:
            raise Failed(f"{files[number]} does not; the end of what it said:\n"
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
    code = run_pytest(file, recorder)
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
