"""python guarded.py (-m MODULE | SCRIPT) [ARGUMENTS]: run it, and end it when standard input closes.

The parent holds the other end of that pipe, so a parent that is killed outright takes this process
and everything it started along.
"""
from __future__ import annotations

import contextlib
import os
import runpy
import signal
import sys
import threading


def end_with_parent() -> None:
    """Watch the pipe on a copy of its descriptor: pytest and others replace standard input itself."""
    pipe = os.dup(0)

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(pipe, 1024):
                pass
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)
    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def main() -> None:
    """Become the module or script that the arguments name."""
    end_with_parent()
    arguments = sys.argv[1:]
    # As Python itself would have it: for -m the working folder, for a script its own, and never this file's.
    sys.path[0] = os.getcwd() if arguments[0] == "-m" else os.path.dirname(os.path.abspath(arguments[0]))
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
