"""`sample`: pictures of held-out samples with a run's weights, or an exported file's, through the real sampling path."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from caphuman_core.check import require


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("run", type=Path, help="a run folder, or one of its checkpoints: its base, data and weights are used")
    parser.add_argument("picture", type=Path, help="the .png or .jpg to write: a row for each sample (photo, head, mask, picture)")
    parser.add_argument("--capface", type=Path, help="draw with the weights of this CapFace file in their place")
    parser.add_argument("--weights", choices=("best", "mean", "last"), default="best",
                        help="the running mean where there is one (best), or one of the two")
    parser.add_argument("--count", type=int, default=8, help="samples (8)")
    parser.add_argument("--steps", type=int, default=20, help="sampling steps (20)")
    parser.add_argument("--cfg", type=float, default=5.0, help="guidance (5)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")


def run(options: argparse.Namespace) -> int:
    """Status 0: the picture is there."""
    from ..export.file import find_checkpoint
    from ..train import checkpoint
    from ..train.toml_file import settings_of
    require(options.count >= 1 and options.steps >= 1, "--count and --steps", "must be at least 1", (options.count, options.steps),
            "correct them")
    require(options.picture.suffix.lower() in (".png", ".jpg"), "the picture to write", "must end in .png or .jpg",
            f"'{options.picture.name}'", "name it for example samples.jpg")
    state = checkpoint.load(find_checkpoint(options.run))
    grid = draw_run(settings_of(state.about["settings"]), _weights(state, options), options)
    _write(options.picture, grid)
    sys.stdout.write(f"{options.picture}: {options.count} samples after {state.step:,} steps\n")
    return 0


def _weights(state, options: argparse.Namespace):
    """CapFace's weights by their names in the network."""
    from caphuman_core.capface.keys import read_capface

    from ..export.file import chosen_weights
    return read_capface(options.capface) if options.capface else chosen_weights(state, options.weights)[0]


def draw_run(settings, weights, options: argparse.Namespace):
    """The grid [3, H, W] of a run's held-out samples."""
    from ..step import base as bases
    from ..train.data import open_data
    from ..train.held_out import batch_of
    from ..train.network import DTYPES
    from ..train.pictures import Drawing, draw_samples
    data = open_data(settings)
    shards = data.held_out or data.learnt
    base = bases.load_base(settings.start.base, DTYPES[settings.compute.precision], 1 << 26)
    batch = batch_of(shards, 0, min(options.count, len(shards)), data.head_model)
    return draw_samples(base, weights, batch, Drawing(options.steps, options.cfg, options.seed))


def _write(path: Path, grid) -> None:
    import io

    from PIL import Image

    from caphuman_bench.folder import write_whole
    picture = Image.fromarray((grid * 255).round().byte().movedim(0, -1).numpy())
    content = io.BytesIO()
    picture.save(content, "PNG" if path.suffix.lower() == ".png" else "JPEG", quality=92)
    write_whole(path, content.getvalue())
