"""`python -m caphuman_train.miniature`: the command line."""
from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..cli import carried_out
from .recipe import DEFAULT, read_recipe


def main(arguments: Sequence[str] | None = None) -> int:
    """Status 0: the asked stages are done; 130: stopped, the same command goes on; 1: something is wrong, in one sentence."""
    options = _parse(arguments)
    return carried_out("miniature", lambda: _carry_out(options))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    from .stages import STAGES
    parser = argparse.ArgumentParser(prog="python -m caphuman_train.miniature", description="Makes the miniature: a small trained "
                                     "Stable Diffusion 1.5 and CapFace, from nothing but drawn pictures. The same command goes on "
                                     "where it was stopped or killed.")
    parser.add_argument("--output", type=Path, required=True, help="the folder everything goes into; some gigabytes")
    parser.add_argument("--recipe", type=Path, default=DEFAULT, help="a TOML file (the one beside the code)")
    parser.add_argument("--until", choices=list(STAGES), default=list(STAGES)[-1], help="the last stage to carry out")
    parser.add_argument("--status", action="store_true", help="only say how far it is")
    parser.add_argument("--threads", type=int, default=0, help="processor cores to use (torch's choice)")
    return parser.parse_args(arguments)


def _carry_out(options: argparse.Namespace) -> int:
    import torch

    from .stages import STAGES, carry_out
    from .status import status
    from .work import Work
    recipe = read_recipe(options.recipe)
    work = Work(options.output, recipe, _say)
    if options.status:
        sys.stdout.write(status(work, list(STAGES)))
        return 0
    if options.threads or "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(options.threads or int(os.environ["OMP_NUM_THREADS"]))
    names = list(STAGES)[:list(STAGES).index(options.until) + 1]
    return 0 if carry_out(work, names) else 130


def _say(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()
