"""The Chromium that the browser tests drive: found on this machine, or installed by its package manager."""
from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .children import child
from .packages import DISK
from .places import ROOT, STATE, Failure, say

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
          Path("/Applications/Chromium.app/Contents/MacOS/Chromium"))
START_SECONDS = 120
ADVICE = "install Chromium or Google Chrome (on Debian: apt install chromium), or set CHROMIUM_PATH to its program"


def find() -> Path | None:
    """The program to run: CHROMIUM_PATH, else the first known name on PATH or known place that answers; None where none does.

    Failure if CHROMIUM_PATH is set to something else than a browser that starts.
    """
    chosen = os.environ.get("CHROMIUM_PATH", "").strip()
    if chosen:
        if not _answers(Path(chosen)):
            raise Failure(f"CHROMIUM_PATH must name a Chromium program that starts, but got {chosen}: correct it or unset it.")
        return Path(chosen)
    named = [Path(path) for name in NAMES if (path := shutil.which(name))]
    return next((path for path in (*named, *PLACES) if _answers(path)), None)


def ready() -> Path:
    """The browser, installed by apt where it is missing and we may; Failure with what to do where it stays missing."""
    found = find()
    if found is None and (prefix := _apt_prefix()) is not None:
        _install(prefix)
        found = find()
    if found is None:
        raise Failure(f"the browser tests need a Chromium, but none was found: {ADVICE}.")
    return found


def _answers(program: Path) -> bool:
    """Whether it tells a version: Ubuntu's chromium-browser is a script that only asks for another package."""
    try:
        done = subprocess.run([str(program), "--version"], capture_output=True, timeout=START_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _apt_prefix() -> list[str] | None:
    """What to put before apt-get ([] for root), or None where there is no apt-get or no right to use it without a password."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None or subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode:
        return None
    return ["sudo", "-n"]


def _install(prefix: Sequence[str]) -> None:
    say("installing Chromium with apt-get, for the browser tests")
    _apt([*prefix, "apt-get", "-q", "update"])
    _apt([*prefix, "apt-get", "-q", "install", "-y", "--no-install-recommends", "chromium"])


def _apt(command: Sequence[str]) -> None:
    """One apt-get call, its words kept in a log; Failure if it ends badly."""
    log = STATE / "apt.log"
    STATE.mkdir(parents=True, exist_ok=True)
    # Not our children's environment: apt's own user could not write into a TMPDIR inside the checkout.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with log.open("wb") as output, child(command, env, output=output) as process:
        code = process.wait()
    if code:
        said = log.read_text(encoding="utf-8", errors="replace")
        why = "the disk is full" if DISK.search(said) else f"'{_last(said)}' (see {log.relative_to(ROOT)})"
        raise Failure(f"apt-get must install Chromium for the browser tests, but it stopped with {why}: {ADVICE}.")


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("E:")), lines[-1] if lines else "no word")
