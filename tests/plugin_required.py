"""Part of tests/conftest.py: what makes a run of the suite count.

A skipped test (or one expected to fail) fails the run, unless its reason starts with "optional:", as for a graphics
device. With CAPHUMAN_BLOCK_HOST=1 nothing of ComfyUI can be imported. CAPHUMAN_TEST_REPORT names a file for the counts.
"""
from __future__ import annotations

import importlib.abc
import json
import os
import sys
from pathlib import Path

HOST_MODULES = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "nodes", "execution", "server"}


class HostBlocker(importlib.abc.MetaPathFinder):
    """Makes every import of the host fail."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.split(".")[0] in HOST_MODULES:
            raise ImportError(f"{fullname} belongs to the host, which core code must not import")
        return None


def block_host() -> None:
    """Refuse imports of the host from here on, if the environment asks for it."""
    if os.environ.get("CAPHUMAN_BLOCK_HOST") == "1":
        sys.meta_path.insert(0, HostBlocker())


class Required:
    """Counts outcomes and turns a skip without an optional reason into a failed run."""

    def __init__(self) -> None:
        self.counts = {"passed": 0, "failed": 0, "skipped": 0, "left out": 0}
        self.refused: list[str] = []

    def pytest_deselected(self, items) -> None:
        self.counts["left out"] += len(items)

    def pytest_runtest_logreport(self, report) -> None:
        if report.skipped:
            self._skipped(report)
        elif report.failed:
            self.counts["failed"] += 1
        elif report.when == "call":
            self.counts["passed"] += 1

    def pytest_collectreport(self, report) -> None:
        if report.skipped:
            self._skipped(report)
        elif report.failed:
            self.counts["failed"] += 1

    def _skipped(self, report) -> None:
        self.counts["skipped"] += 1
        reason = getattr(report, "wasxfail", None) or (report.longrepr[2] if isinstance(report.longrepr, tuple) else "")
        if not str(reason).removeprefix("Skipped: ").startswith("optional:"):
            self.refused.append(f"{report.nodeid}: {reason}")

    def pytest_sessionfinish(self, session) -> None:
        self.counts["failed"] += len(self.refused)
        if self.refused and session.exitstatus in (0, 5):
            session.exitstatus = 1
        target = os.environ.get("CAPHUMAN_TEST_REPORT")
        if target:
            Path(target).write_text(json.dumps(self.counts), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter) -> None:
        for line in self.refused:
            terminalreporter.write_line(f"REQUIRED TEST DID NOT RUN {line}", red=True)
