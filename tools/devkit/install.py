"""Making the private environment, in steps that leave a mark only when they are finished.

An interrupted install goes on where it stopped; a finished one costs a few file reads.
"""
from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from . import host, lock
from .packages import disk_failure, pip
from .places import ROOT, STATE, VENV, Failure, say, venv_python

TORCH = ("torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0")
GROUPS, EXTRAS = "dependency-groups", "project.optional-dependencies"       # tables of pyproject.toml, which pip reads by itself
OWN_EXTRAS = ".[bench,cluster,train,datasets]"
NEEDED_BYTES = {"torch": 9 << 30, "host requirements": 2 << 30}


@dataclass(frozen=True)
class Step:
    """One pip call, done again when its inputs change."""

    name: str
    arguments: tuple[str, ...]
    inputs: str

    @property
    def stamp(self) -> Path:
        return VENV / ".done" / self.name.replace(" ", "-")

    @property
    def digest(self) -> str:
        text = "\n".join((*self.arguments, self.inputs, sys.version))
        return hashlib.sha256(text.encode()).hexdigest()

    def is_done(self) -> bool:
        try:
            return self.stamp.read_text(encoding="utf-8") == self.digest
        except OSError:
            return False

    def mark(self) -> None:
        self.stamp.parent.mkdir(parents=True, exist_ok=True)
        self.stamp.write_text(self.digest, encoding="utf-8")


def prepare(for_tests: bool = False) -> Path:
    """Everything a command needs, installed once; returns the ComfyUI tree. Raises Failure with one sentence.

    for_tests: optional packages too, which do not exist for every system and so must not stop the demo.
    """
    def waiting(owner: str) -> None:
        say(f"waiting for another dev.py that is preparing this checkout ({owner})")
    try:
        with lock.held(STATE / "prepare.lock", on_wait=waiting):
            make_environment()
            _install(Step("pip", ("--upgrade", "pip>=25.1"), ""))      # the first that knows --group
            tree = host.get()
            _install_torch(Step("torch", TORCH, ""))
            for step in _requirement_steps(tree, for_tests):
                _install(step)
            _forget_old(VENV / "tmp")
            return tree
    except OSError as error:
        raise disk_failure(error) from error


def _forget_old(temporary: Path) -> None:
    """Temporary files of a day ago and before: younger ones may belong to another dev.py at work."""
    if not temporary.is_dir():
        return
    for path in temporary.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > 86400:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def make_environment() -> None:
    """A virtual environment with a working pip in .venv; a broken or half-made one is made anew."""
    if _works("import pip") and (VENV / "pyvenv.cfg").is_file():
        return
    try:
        import ensurepip  # noqa: F401
        import venv
    except ImportError as error:
        raise Failure("making .venv needs Python's own venv and ensurepip modules, but this Python was installed without "
                      f"({error}): install them (on Debian and Ubuntu: apt install python3-venv).") from error
    say("making .venv")
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        venv.EnvBuilder(with_pip=True, symlinks=sys.platform != "win32").create(VENV)
    except subprocess.CalledProcessError as error:
        raise Failure(f"making .venv must end with a working pip, but {error}: install Python's venv package or another "
                      "Python 3.10 to 3.13.") from error


def _works(code: str) -> bool:
    if not venv_python().is_file():
        return False
    try:
        done = subprocess.run([str(venv_python()), "-I", "-c", code], capture_output=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _install_torch(step: Step) -> None:
    """A torch that somebody chose and put into .venv is kept, whatever its version."""
    if not step.is_done() and _works("import torch, torchvision, torchaudio; torch.zeros(2).sum().item()"):
        step.mark()
    _install(step)


def _requirement_steps(tree: Path, for_tests: bool) -> list[Step]:
    needed = tree / "requirements.txt"
    steps = [Step("host requirements", ("-r", str(needed)), needed.read_text(encoding="utf-8")),
             Step("pack requirements", (".[opencv]", *_groups("demo")), _table("project") + _table(EXTRAS) + _table(GROUPS)),
             Step("weights of the face detector", ("--no-deps", *_groups("weights")), _table(GROUPS))]
    if for_tests:
        steps += [Step("test requirements", _groups("test", "browser", "check"), _table(GROUPS)),
                  Step("optional back ends", ("--no-deps", *_groups("backends")), _table(GROUPS)),
                  Step("benchmark and training requirements", (OWN_EXTRAS,), _table(EXTRAS))]
    return steps


def _groups(*names: str) -> tuple[str, ...]:
    return tuple(part for name in names for part in ("--group", name))


def _table(title: str) -> str:
    """The text of one table of pyproject.toml: what a step depends on. Python 3.10 has no reader for it, and pip brings its own."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return text.partition(f"\n[{title}]\n")[2].partition("\n[")[0]


def _install(step: Step) -> None:
    if step.is_done():
        return
    _check_disk(step.name)
    _drop_half_installed()
    start = time.monotonic()
    pip(step.name, ("install", *step.arguments))
    step.mark()
    say(f"installed {step.name} in {time.monotonic() - start:.0f} s")


def _check_disk(name: str) -> None:
    needed, free = NEEDED_BYTES.get(name, 0), shutil.disk_usage(ROOT).free
    if free < needed:
        raise Failure(f"the disk must have {needed >> 30} GB free to install {name}, but it has {free / (1 << 30):.1f} GB: "
                      "free some space and run the command again.")


def _drop_half_installed() -> None:
    """Forget packages whose installation was cut off before its last file, so that pip installs them again."""
    for folder in (*VENV.glob("lib/python*/site-packages"), VENV / "Lib" / "site-packages"):
        for info in folder.glob("*.dist-info"):
            if not (info / "RECORD").is_file():
                shutil.rmtree(info, ignore_errors=True)
