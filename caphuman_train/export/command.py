"""`export`: a run folder or checkpoint -> capface.safetensors and its model card."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from caphuman_core.check import require

from .file import DTYPES


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("run", type=Path, help="a run folder, or one of its checkpoints")
    parser.add_argument("file", type=Path, help="the .safetensors file to write, for ComfyUI's models/capface; a .md beside it")
    parser.add_argument("--weights", choices=("best", "mean", "last"), default="best",
                        help="the running mean where there is one (best), or one of the two")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32",
                        help="fp32 is what training measured, bit for bit (1.4 GB); fp16 halves it")
    parser.add_argument("--title", default="", help="of the model card (the file's name)")
    parser.add_argument("--author", default="", help="who trained it")
    parser.add_argument("--licence", default="", help="under which others may use the weights")
    parser.add_argument("--notes", default="", help="a text for the model card")


def run(options: argparse.Namespace) -> int:
    """Status 0: both files are there."""
    from caphuman_bench.folder import write_whole

    from ..train import checkpoint
    from .card import Owner, model_card
    from .file import about_state, chosen_weights, find_checkpoint, write_capface
    require(options.file.suffix == ".safetensors", "the file to write", "must end in .safetensors", f"'{options.file.name}'",
            "name it for example capface.safetensors")
    state = checkpoint.load(find_checkpoint(options.run))
    weights, which = chosen_weights(state, options.weights)
    about = about_state(state, which)
    write_capface(options.file, weights, about, options.dtype)
    card = options.file.with_suffix(".md")
    owner = Owner(options.title or options.file.stem, options.author, options.licence, options.notes)
    write_whole(card, model_card(about, owner, options.file.name).encode())
    sys.stdout.write(f"{options.file}: {which} weights after {state.step:,} steps\n{card}: the model card\n")
    return 0
