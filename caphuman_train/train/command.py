"""`train`: settings from a TOML file, one process, or one of many that torchrun or Ray has started."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .toml_file import example, read_settings


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("file", type=Path, nargs="?", help="settings, a TOML file")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides",
                        help="a setting that counts for more than the file's; may be repeated")
    parser.add_argument("--example", action="store_true", help="write a settings file with every setting and its reason, and end")
    parser.add_argument("--device", default="", help="cpu, cuda or cuda:1 (the graphics card, where there is one)")
    group = parser.add_argument_group("on a cluster (needs ray[train])")
    group.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS",
                       help="use Ray Train: 'auto' or an address; without one, this machine")
    group.add_argument("--workers", type=int, default=1, help="Ray workers, a training process each (1)")
    group.add_argument("--gpus", type=float, default=1.0, help="graphics cards for each worker; 0: none (1)")
    group.add_argument("--losses", type=int, default=3, help="lost machines after which the run gives up (3)")


def run(options: argparse.Namespace) -> int:
    """Status 0: the last step is done; 130: stopped by Ctrl-C, with a checkpoint."""
    if options.example:
        sys.stdout.write(example())
        return 0
    settings = read_settings(options.file, options.overrides)
    if options.ray:
        from .ray_launch import train_on_ray
        outcome = train_on_ray(settings, options.ray, options.workers, options.gpus, options.losses)
    else:
        from .loop import run_training
        from .world import join_world, leave_world
        try:
            world = join_world(options.device)
            outcome = run_training(settings, world)
        finally:
            leave_world()
        if not world.first:
            return 0 if outcome.done else 130
    what = "done" if outcome.done else "stopped; the same command goes on"
    sys.stdout.write(f"{what}: {outcome.step:,} of {settings.run.steps:,} steps, checkpoints in {settings.run.folder}\n")
    return 0 if outcome.done else 130
