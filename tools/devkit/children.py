"""Child processes that see only this checkout and never outlive dev.py."""
from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from .places import CACHE, ROOT, VENV, venv_python

# What would let the user's other Pythons, or their settings, leak into the private environment, or keep compiled files from it.
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__", "PIP_USER", "PIP_TARGET", "PIP_PREFIX",
           "PIP_REQUIRE_VIRTUALENV", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "CONDA_PREFIX")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every child: the user's, less what reaches into other Pythons, temporary files kept here."""
    env = {key: value for key, value in os.environ.items() if key not in FOREIGN}
    temporary = VENV / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    env.update(TMPDIR=str(temporary), TEMP=str(temporary), TMP=str(temporary), PIP_USER="0", PIP_NO_INPUT="1",
               PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONNOUSERSITE="1", PYTHONUTF8="1", PYTHONUNBUFFERED="1")
    env.update(extra or {})
    return env


def tool_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """For everything but pip: caches of libraries and compiled files stay in the checkout too.

    Threads that wait sleep: those of OpenMP otherwise spin, and two processes on two cores then take five to ten times as long.
    """
    cache = {"XDG_CACHE_HOME": "xdg", "MPLCONFIGDIR": "matplotlib", "TORCH_HOME": "torch", "HF_HOME": "huggingface",
             "TRITON_CACHE_DIR": "triton", "PYTHONPYCACHEPREFIX": "pycache", "NUMBA_CACHE_DIR": "numba",
             "PYRIGHT_PYTHON_CACHE_DIR": "pyright", "npm_config_cache": "npm"}
    env = clean_environment({name: str(CACHE / folder) for name, folder in cache.items()})
    env.update(PYRIGHT_PYTHON_IGNORE_WARNINGS="1", HF_HUB_OFFLINE="1")
    env.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    env.update(extra or {})
    return env


@contextlib.contextmanager
def child(command: Sequence[str | Path], env: Mapping[str, str], output: IO | int | None = None,
          cwd: Path = ROOT) -> Iterator[subprocess.Popen]:
    """A running child, ended with everything it started when the block is left in any way.

    Its standard input is a pipe that closes when this process dies, however it dies: `guarded` commands watch it.
    """
    flags = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}  # type: ignore[attr-defined]
    process = subprocess.Popen([str(part) for part in command], env=dict(env), cwd=str(cwd), stdin=subprocess.PIPE,
                               stdout=output, stderr=subprocess.STDOUT if output is not None else None, **flags)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen, patience: float = 10.0) -> None:
    """End a child and its children: politely, then by force after `patience` seconds."""
    _signal_group(process, force=False)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        _signal_group(process, force=True)
        process.wait()
    _signal_group(process, force=True)          # whatever the child itself left running
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _signal_group(process: subprocess.Popen, force: bool) -> None:
    if os.name == "nt":
        if process.poll() is None:
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL if force else signal.SIGTERM)


def guarded(*arguments: str | Path) -> list[str | Path]:
    """The command `python ARGUMENTS` of the private environment, made to end when we end (guarded.py)."""
    return [venv_python(), Path(__file__).with_name("guarded.py"), *arguments]


def run(command: Sequence[str | Path], env: Mapping[str, str], cwd: Path = ROOT) -> int:
    """Run a child to its end with our own output; returns its exit status."""
    with child(command, env, cwd=cwd) as process:
        return process.wait()
