"""`python -m caphuman_bench score`: its arguments, and what it prints."""
from __future__ import annotations

import argparse
import sqlite3
import sys
from pathlib import Path

from caphuman_core.check import fail

from .faces import DETECTORS
from .metrics import GROUPS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("folder", type=Path, help="run folder")
    parser.add_argument("--models", type=Path, help="folder laid out like ComfyUI's models: facenet, insightface, detection, flame")
    parser.add_argument("--clip", type=Path, help="folder with CLIP ViT-L/14 as published (config.json, model.safetensors, ...)")
    parser.add_argument("--detector", choices=("auto", *DETECTORS), default="auto",
                        help="who finds faces (default: the best that is there)")
    parser.add_argument("--device", default="cpu", help="where networks run: cpu, cuda, cuda:1, mps (default: cpu)")
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS), help="what to score (default: everything)")
    parser.add_argument("--again", action="store_true", help="drop the scores of judges that have changed, and make them anew")
    parser.add_argument("--batch", type=int, default=16, help="images looked at together (default: 16)")


def main(args: argparse.Namespace) -> int:
    """Score, with a progress bar; says which judges are missing and how to get them."""
    from tqdm import tqdm

    from .run import Options, score
    options = Options(args.models, args.clip, args.detector, args.device, tuple(args.groups), max(1, args.batch), args.again)
    with tqdm(unit="image", desc="score") as bar:
        def step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
        try:
            bench = score(args.folder, options, step)
        except (OSError, sqlite3.OperationalError) as error:
            fail("score", "needs a run folder that can be written to", str(error),
                 "free some space there and give the same command again; nothing is lost")
    for group, version in bench.versions.items():
        sys.stdout.write(f"{group}: {version}\n")
    for name, sentence in bench.missing.items():
        sys.stdout.write(f"without {name}: {sentence}\n")
    if bench.unreadable:
        sys.stdout.write(f"{bench.unreadable:,} images could not be read and were not scored (`run` makes those that are gone)\n")
    for note in bench.notes:
        sys.stdout.write(f"note: {note}\n")
    return 0
