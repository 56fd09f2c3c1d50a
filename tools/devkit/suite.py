"""The test suite in parts, each in a pytest process of its own, several at a time: the nodes inside the host, the real frontend
in a browser, the trainer on the host's blocks, the core and the benchmark tool with the host blocked.
"""
from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import browser
from .children import child, guarded, tool_environment
from .children import run as run_child
from .places import ROOT, TEST_OUTPUT, Failure, say

NO_TESTS_RAN = 5
THOROUGH = "--thorough"
LEAVE_THOROUGH = ("-m", "not thorough")
BLOCKED = {"CAPHUMAN_BLOCK_HOST": "1"}
PARTS = {"browser": {}, "host": {}, "train": {}, "core": BLOCKED, "bench": BLOCKED}
# Parts of a lane run one after the other, the lanes at the same time: the browser and children that start leave the cores free for
# long. Full-size networks of host and trainer do not meet: the host's golden cases come before the core's tests have ended, the
# trainer's last of all. The browser has narrow ones.
LANES = (("browser",), ("host",), ("core", "train"), ("bench",))
# Of each process in lanes: one thread, as there are more processes than cores; and glibc keeps what a tensor leaves for the next
# one, whose pages the kernel would otherwise clear anew.
IN_LANES = {"OMP_NUM_THREADS": "1", "MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}


@dataclass(frozen=True)
class Outcome:
    """Of one part: pytest's exit status, and how many tests did what."""

    code: int
    counts: dict[str, int]


def run(tree: Path, arguments: Sequence[str]) -> int:
    """Run all parts with pytest's `arguments`; paths among them choose the parts. Returns the exit status.

    Without a path, tests marked `thorough` are left out, unless `--thorough` is among the arguments. A required test that is
    skipped fails the run (tests/plugin_required.py counts them). The last line is the sum of all parts.
    """
    start = time.monotonic()
    if THOROUGH in arguments:
        arguments = [text for text in arguments if text != THOROUGH]
    elif not _paths(arguments):
        arguments = [*LEAVE_THOROUGH, *arguments]
    shutil.rmtree(TEST_OUTPUT, ignore_errors=True)
    TEST_OUTPUT.mkdir(parents=True)
    chosen = {name: given for name in PARTS if (given := _chosen(name, arguments)) is not None}
    outcomes = [_part(tree, *part) for part in chosen.items()] if len(chosen) == 1 else list(_in_lanes(tree, chosen))
    total = {key: sum(outcome.counts.get(key, 0) for outcome in outcomes) for key in ("passed", "failed", "skipped", "left out")}
    codes = [outcome.code for outcome in outcomes if outcome.code != NO_TESTS_RAN]
    say(f"{len(outcomes)} part{'s' * (len(outcomes) != 1)} took {time.monotonic() - start:.0f} s")
    if total["left out"]:
        say(f"{total['left out']} tests were left out (python dev.py test {THOROUGH} leaves out none)")
    say(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return max(codes) if codes else NO_TESTS_RAN


def _chosen(part: str, arguments: Sequence[str]) -> list[str] | None:
    """The arguments for one part, or None where the paths given lie in others."""
    paths = _paths(arguments)
    options = [text for text in arguments if text not in paths]
    folder = ROOT / "tests" / part
    if not folder.is_dir():
        return None
    if not paths or any(folder.is_relative_to(_path_of(text)) for text in paths):
        return [*options, str(folder)]
    ours = [text for text in paths if _path_of(text).is_relative_to(folder)]
    return [*options, *ours] if ours else None


def _paths(arguments: Sequence[str]) -> list[str]:
    return [text for text in arguments if not text.startswith("-") and _path_of(text).exists()]


def _path_of(text: str) -> Path:
    return (ROOT / text.split("::")[0]).resolve()


def _part(tree: Path, name: str, arguments: Sequence[str]) -> Outcome:
    """One part from beginning to end, with its output here. A browser that cannot be had fails its part, not the others."""
    say(f"{name} tests")
    try:
        command, env = _call(name, tree, arguments)
    except Failure as failure:
        return _failed(failure)
    return _outcome(name, run_child(command, env))


@dataclass(frozen=True)
class Running:
    """A part at work; what it says goes to `log`."""

    name: str
    process: subprocess.Popen
    log: Path

    def outcome(self) -> Outcome:
        """Of a part that has ended, whose output is shown whole."""
        say(f"{self.name} tests\n{self.log.read_text(encoding='utf-8', errors='replace').rstrip()}")
        return _outcome(self.name, self.process.wait())


def _in_lanes(tree: Path, chosen: Mapping[str, Sequence[str]]) -> Iterator[Outcome]:
    """Run the parts, the next of a lane as soon as the one before has ended; Outcomes come as the parts end."""
    lanes = [[name for name in lane if name in chosen] for lane in LANES]
    running: dict[int, Running] = {}
    with contextlib.ExitStack() as children:
        while running or any(lanes):
            for number, lane in enumerate(lanes):
                if number in running and running[number].process.poll() is not None:
                    yield running.pop(number).outcome()
                if lane and number not in running:
                    name = lane.pop(0)
                    try:
                        running[number] = children.enter_context(_begun(tree, name, chosen[name]))
                    except Failure as failure:
                        yield _failed(failure)
            time.sleep(0.1)


@contextlib.contextmanager
def _begun(tree: Path, name: str, arguments: Sequence[str]) -> Iterator[Running]:
    """A part that runs by itself as long as the block lasts. Failure if its browser cannot be had."""
    command, env = _call(name, tree, arguments)
    env = {**IN_LANES, **env}
    log = TEST_OUTPUT / f"{name}.log"
    say(f"{name} tests begin (what they say: {log.relative_to(ROOT)})")
    with log.open("wb") as output, child(command, env, output=output) as process:
        yield Running(name, process, log)


def _call(name: str, tree: Path, arguments: Sequence[str]) -> tuple[list[str | Path], dict[str, str]]:
    """pytest's command and environment for one part. Failure if the browser cannot be had."""
    chromium = {"CHROMIUM_PATH": str(browser.ready())} if name == "browser" else {}
    env = tool_environment({**PARTS[name], **chromium, "COMFYUI_PATH": str(tree), "CAPHUMAN_TEST_REPORT": str(_report(name))})
    own = ("--basetemp", TEST_OUTPUT / f"tmp-{name}", "-o", f"cache_dir=.pytest_cache/{name}")
    return guarded("-m", "pytest", *own, *arguments), env


def _report(name: str) -> Path:
    return TEST_OUTPUT / f"{name}.json"


def _outcome(name: str, code: int) -> Outcome:
    report = _report(name)
    return Outcome(code, json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {"failed": 1})


def _failed(failure: Failure) -> Outcome:
    sys.stderr.write(f"dev.py: {failure}\n")
    return Outcome(1, {"failed": 1})
