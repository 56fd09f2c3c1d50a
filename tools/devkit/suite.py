"""The test suite: core tests with the host blocked, then host tests, each in a pytest process of its own."""
from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from .children import guarded, tool_environment
from .children import run as run_child
from .places import ROOT, TEST_OUTPUT, say

NO_TESTS_RAN = 5
HALVES = {"core": {"CAPHUMAN_BLOCK_HOST": "1"}, "host": {}}


def run(tree: Path, arguments: Sequence[str]) -> int:
    """Run both halves with pytest's `arguments`; paths among them choose the half. Returns the exit status.

    A required test that is skipped fails the run (tests/conftest.py counts them). The last line is the sum of both.
    """
    start = time.monotonic()
    shutil.rmtree(TEST_OUTPUT, ignore_errors=True)
    results = [_half(name, extra, tree, chosen) for name, extra in HALVES.items()
               if (chosen := _chosen(name, arguments)) is not None]
    total = {key: sum(counts.get(key, 0) for _, counts in results) for key in ("passed", "failed", "skipped")}
    codes = [code for code, _ in results if code != NO_TESTS_RAN]
    say(f"both halves took {time.monotonic() - start:.0f} s")
    say(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return max(codes) if codes else NO_TESTS_RAN


def _chosen(half: str, arguments: Sequence[str]) -> list[str] | None:
    """The arguments for one half, or None where the paths given lie in the other."""
    def is_path(text: str) -> bool:
        return not text.startswith("-") and (ROOT / text.split("::")[0]).exists()
    paths = [text for text in arguments if is_path(text)]
    options = [text for text in arguments if not is_path(text)]
    if not paths:
        return [*options, str(ROOT / "tests" / half)]
    ours = [text for text in paths if f"tests/{half}" in (ROOT / text).as_posix()]
    return [*options, *ours] if ours else None


def _half(name: str, extra: dict[str, str], tree: Path, arguments: list[str]) -> tuple[int, dict[str, int]]:
    say(f"{name} tests")
    report = TEST_OUTPUT / f"{name}.json"
    TEST_OUTPUT.mkdir(parents=True, exist_ok=True)
    env = tool_environment({**extra, "COMFYUI_PATH": str(tree), "CAPHUMAN_TEST_REPORT": str(report)})
    code = run_child(guarded("-m", "pytest", "--basetemp", TEST_OUTPUT / f"tmp-{name}", *arguments), env)
    counts = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {"failed": 1}
    return code, counts
