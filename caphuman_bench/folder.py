"""A run folder: one writer at a time, and files that are there whole or not at all."""
from __future__ import annotations

import contextlib
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from caphuman_core.check import fail

LOCK_FILE = "run.lock"


@contextlib.contextmanager
def locked(folder: Path, what: str, called: str = "run folder") -> Iterator[None]:
    """Be the folder's only writer for the block; InputError that names the other one.

    what: a word for the owner's note ("run", "score"). called: what messages call the folder. The lock is the operating
    system's: it ends with its process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / f"{LOCK_FILE}.owner"
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        owner = note.read_text(encoding="utf-8").strip() if note.is_file() else "another process"
        fail(f"{called} '{folder}'", "must be free", f"a folder in use by {owner}",
             "wait until it is done, or stop it with Ctrl-C: nothing is lost")
    try:
        note.write_text(f"'{what}' on {socket.gethostname()}, process {os.getpid()}", encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            note.unlink()
        lock.release()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, to the disk, and move it there: after a crash it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{uuid.uuid4().hex[:12]}.part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def drop_parts(folder: Path) -> None:
    """Remove what a killed process left beside the images."""
    for path in folder.rglob(".*.part"):
        with contextlib.suppress(OSError):
            path.unlink()
