"""`python -m caphuman_bench report`: its arguments, and what it prints."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from caphuman_core.check import fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("folder", type=Path, help="run folder")
    parser.add_argument("--compare", type=Path, metavar="FOLDER", help="another run folder to show side by side")
    parser.add_argument("--out", type=Path, help="where to write (default: the folder 'report' in the run folder)")
    parser.add_argument("--reference", type=Path, metavar="FILE",
                        help="published numbers to show beside (see report/reference.json)")


def main(args: argparse.Namespace) -> int:
    """Write the report; prints where it is."""
    from .write import report
    try:
        sys.stdout.write(f"{report(args.folder, args.out, args.compare, args.reference)}\n")
    except OSError as error:
        fail("report", "needs a folder that can be written to", str(error), "name another one with --out")
    return 0
