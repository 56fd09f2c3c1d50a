"""python dev.py gpu [--minutes 9] [--device cuda|cpu] [--out FOLDER] [--size full|narrow] [--only right fast ...]

Checks and measures everything that a graphics card can tell, in the time given: right (the same numbers as the reference and as the
processor), fast, roomy (little memory, the host's ways to save it), training. FOLDER gets rows.jsonl, one line a result as it
comes, tables.md for benchmarks/RESULTS.md, and a log for each part. Without a card the same runs on narrow networks.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.devkit.places import GPU_OUTPUT, host_tree, say

from . import card, report, run
from .parts import GROUPS, PARTS
from .rows import Setting


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="dev.py gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="all of it takes no longer (9)")
    parser.add_argument("--device", choices=["cuda", "cpu"], help="where (the card, where torch sees one)")
    parser.add_argument("--out", type=Path, default=GPU_OUTPUT, help="folder of the results (.gpu-output)")
    parser.add_argument("--size", choices=["full", "narrow"], help="of networks and pictures (full on a card)")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), help="some of the parts")
    options = parser.parse_args(arguments)
    if options.minutes <= 0:
        parser.error(f"--minutes must be above 0, but got {options.minutes:g}")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run; the status is 0 where no row failed."""
    options = options_of(arguments)
    found = card.look(options.device)
    if found.said:
        say(found.said)
    host_tree()                          # a COMFYUI_PATH that is none is told now
    setting = Setting(found.device, options.size or ("full" if found.device == "cuda" else "narrow"), found.maker,
                      found.free_bytes, options.out.expanduser().resolve())
    outcomes = run.run([part for part in PARTS if part.group in options.only], setting, options.minutes * 60)
    say(report.summary(outcomes))
    say(f"tables: {setting.out / report.TABLES}")
    return int(any(outcome.state == "failed" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
