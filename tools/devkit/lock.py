"""A lock held by the operating system: it ends with the process that holds it, so it can never be stale."""
from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

if os.name == "nt":
    import msvcrt

    def _try(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def owner(path: Path) -> str:
    """What the holder of the lock wrote beside it, usually its process id."""
    try:
        return Path(f"{path}.owner").read_text(encoding="utf-8").strip() or "unknown"
    except OSError:
        return "unknown"


@contextlib.contextmanager
def held(path: Path, note: str | None = None, wait: bool = True, on_wait=None) -> Iterator[bool]:
    """Hold the lock file `path` for the block; yields whether it is held (always, with `wait`).

    note: kept in <path>.owner for others to read, the process id by default (on Windows a locked file
    cannot be read). on_wait: called once with the owner's note when somebody else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        got = _try(handle)
        if not got and wait:
            if on_wait:
                on_wait(owner(path))
            while not (got := _try(handle)):
                time.sleep(0.5)
        if got:
            Path(f"{path}.owner").write_text(note or f"process {os.getpid()}", encoding="utf-8")
        yield got
    finally:
        os.close(handle)
