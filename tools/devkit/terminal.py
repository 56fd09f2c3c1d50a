"""One line that changes in place on a terminal, and plain lines everywhere else."""
from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def status(title: str) -> Iterator[Callable[[str], None]]:
    """A function to call with each line of news; without a terminal only the title is printed, once."""
    live = sys.stdout.isatty()
    if not live:
        sys.stdout.write(f"{title} ...\n")
        sys.stdout.flush()

    def show(news: str) -> None:
        if live:
            rewrite(f"{title}: {news}" if news else title)
    show("")
    try:
        yield show
    finally:
        if live:
            rewrite("")


def rewrite(text: str) -> None:
    """Replace the terminal's current line, cut to its width."""
    width = shutil.get_terminal_size().columns - 1
    sys.stdout.write("\r\x1b[2K" + text[:width])
    sys.stdout.flush()
