"""Calling pip in the private environment, and saying in one sentence why it failed."""
from __future__ import annotations

import errno
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import terminal
from .children import child, clean_environment, guarded
from .places import ROOT, STATE, Failure

NETWORK = re.compile(r"NewConnectionError|ConnectionError|Max retries exceeded|name resolution|getaddrinfo|ConnectTimeout|"
                     r"ReadTimeout|ProxyError|Network is unreachable|Connection (refused|reset|aborted)|SSLError", re.I)
DISK = re.compile(r"No space left on device|Errno 28|not enough space|Disk quota exceeded", re.I)


def pip(name: str, arguments: Sequence[str]) -> None:
    """Run pip in the private environment, showing what it is at; Failure with one sentence if it fails."""
    log = STATE / f"pip-{name.replace(' ', '-')}.log"
    command = guarded("-m", "pip", *arguments, "--progress-bar", "off")
    with log.open("w", encoding="utf-8") as kept, child(command, clean_environment(), output=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101  (asked for one line above)
        with terminal.status(f"installing {name}") as status:
            for raw in process.stdout:
                line = raw.decode("utf-8", "replace")
                kept.write(line)
                status(line.strip())
        code = process.wait()
    if code:
        raise _pip_failure(name, log)


def _pip_failure(name: str, log: Path) -> Failure:
    text = log.read_text(encoding="utf-8")
    if DISK.search(text):
        return Failure(f"installing {name} ran out of disk space in {ROOT}: free some space and run the command again.")
    if NETWORK.search(text):
        return Failure(f"installing {name} needs a network connection to PyPI (or the mirror pip is set to), but it could not "
                       "be reached: check the connection or proxy and run the command again.")
    errors = [line for line in text.splitlines() if line.startswith("ERROR:")] or ["pip said nothing"]
    return Failure(f"installing {name} must succeed, but pip stopped with '{errors[-1].removeprefix('ERROR:').strip()}': "
                   f"see {log.relative_to(ROOT)}.")


def disk_failure(error: OSError) -> Failure:
    """The sentence for a file operation that failed."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return Failure(f"there is no space left on the disk of {ROOT}: free some space and run the command again.")
    return Failure(f"a file could not be written or read ({error}): correct that and run the command again.")
