"""python -m benchmarks.miniature lists FOLDER | report FOLDER | ceiling FOLDER

lists writes people, head conditions, captions and graphs, and FOLDER/commands.sh with caphuman_bench's ordinary commands for them.
report judges what they made, beside the same pictures drawn, and writes docs/MINIATURE.md. ceiling judges drawn pictures alone.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from caphuman_core.check import InputError
from tools.devkit.places import MINIATURE, ROOT, say


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.miniature", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("lists", "write what the bench's commands take"), ("report", "judge the runs, write the page"),
                       ("ceiling", "judge drawn pictures alone: no server, no weights")):
        command = commands.add_parser(name, help=text)
        command.add_argument("folder", type=Path, help="of all runs")
        command.add_argument("--packed", type=Path, default=MINIATURE, help="the miniature's weights")
        command.add_argument("--few", action="store_true", help="two pictures of each run, to try it")
        command.add_argument("--share", type=float, default=1.0, help="of people and captions: a look before the whole")
        command.add_argument("--steps", type=int, help="of the sampler")
        command.add_argument("--docs", type=Path, default=ROOT / "docs", help="where the page goes")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Failures are one sentence."""
    options = _options(arguments)
    try:
        if options.command == "lists":
            from .runs import write_lists
            sampling = {"steps": options.steps} if options.steps else None
            write_lists(options.folder, options.packed, sampling, options.few, options.share)
            say(f"now run {options.folder}/commands.sh")
        else:
            from . import report
            judged = report.judge(options.folder, say, sampled=options.command == "report")
            report.write(judged, options.folder, options.docs, say)
        return 0
    except InputError as error:
        sys.stderr.write(f"miniature: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
