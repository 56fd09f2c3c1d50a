"""The test suite in five parts, each in a pytest process of its own: the core and the benchmark tool with the host blocked,
the nodes inside the host, the trainer on it, and the real frontend in a browser."""
from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import browser
from .children import guarded, tool_environment
from .children import run as run_child
from .places import ROOT, TEST_OUTPUT, Failure, say

NO_TESTS_RAN = 5
PARTS = {"core": {"CAPHUMAN_BLOCK_HOST": "1"}, "bench": {"CAPHUMAN_BLOCK_HOST": "1"}, "host": {}, "train": {}, "browser": {}}


def run(tree: Path, arguments: Sequence[str]) -> int:
    """Run all parts with pytest's `arguments`; paths among them choose the parts. Returns the exit status.

    A required test that is skipped fails the run (tests/conftest.py counts them). The last line is the sum of all parts.
    """
    start = time.monotonic()
    shutil.rmtree(TEST_OUTPUT, ignore_errors=True)
    results = [_part(name, extra, tree, chosen) for name, extra in PARTS.items()
               if (chosen := _chosen(name, arguments)) is not None]
    total = {key: sum(counts.get(key, 0) for _, counts in results) for key in ("passed", "failed", "skipped")}
    codes = [code for code, _ in results if code != NO_TESTS_RAN]
    say(f"{len(results)} part{'s' * (len(results) != 1)} took {time.monotonic() - start:.0f} s")
    say(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return max(codes) if codes else NO_TESTS_RAN


def _chosen(part: str, arguments: Sequence[str]) -> list[str] | None:
    """The arguments for one part, or None where the paths given lie in others."""
    def path_of(text: str) -> Path:
        return (ROOT / text.split("::")[0]).resolve()
    paths = [text for text in arguments if not text.startswith("-") and path_of(text).exists()]
    options = [text for text in arguments if text not in paths]
    folder = ROOT / "tests" / part
    if not paths or any(folder.is_relative_to(path_of(text)) for text in paths):
        return [*options, str(folder)]
    ours = [text for text in paths if path_of(text).is_relative_to(folder)]
    return [*options, *ours] if ours else None


def _part(name: str, extra: dict[str, str], tree: Path, arguments: list[str]) -> tuple[int, dict[str, int]]:
    """Exit status and counts of one part. A browser that cannot be had fails its part, not the others."""
    say(f"{name} tests")
    report = TEST_OUTPUT / f"{name}.json"
    TEST_OUTPUT.mkdir(parents=True, exist_ok=True)
    try:
        chromium = {"CHROMIUM_PATH": str(browser.ready())} if name == "browser" else {}
    except Failure as failure:
        sys.stderr.write(f"dev.py: {failure}\n")
        return 1, {"failed": 1}
    env = tool_environment({**extra, **chromium, "COMFYUI_PATH": str(tree), "CAPHUMAN_TEST_REPORT": str(report)})
    code = run_child(guarded("-m", "pytest", "--basetemp", TEST_OUTPUT / f"tmp-{name}", *arguments), env)
    counts = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {"failed": 1}
    return code, counts
