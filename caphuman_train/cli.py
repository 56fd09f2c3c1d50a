"""The commands: each is a module of `commands` with `add_arguments(parser)` and `main(options) -> int`, imported when asked for."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from caphuman_core.check import InputError

COMMANDS = {
    "prepare": "photos -> shards: faces, identity, head, parsing map, latents",
    "check": "look at shards before training: contact sheet, counts, histograms, warnings",
    "train": "train CapFace as a TOML file says; the same command goes on where it stopped",
    "sample": "pictures of held-out samples through the real sampling path",
    "export": "a CapFace file that the pack loads, and its model card",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line; returns the exit status. What goes wrong is one sentence on standard error."""
    options = _parse(list(sys.argv[1:] if arguments is None else arguments))
    return carried_out("caphuman_train", lambda: options.command(options))


def carried_out(program: str, work: Callable[[], int]) -> int:
    """The exit status of `work`; what goes wrong in it is one sentence of `program` on standard error."""
    try:
        return work()
    except InputError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return 1
    except OSError as error:             # a full or read-only disk, a folder that is not ours
        sys.stderr.write(f"{program}: files must be readable and the disk must take what is written, but got '{error}': free "
                         "some space or correct the permissions and give the same command again; nothing is lost.\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{program}: stopped by Ctrl-C; nothing is lost, the same command goes on.\n")
        return 130


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m caphuman_train", description="Trains CapFace, from a folder of portraits to a "
                                     "file that the pack loads.", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="\n".join(f"{name:9} {text}" for name, text in COMMANDS.items()))
    parser.add_argument("name", choices=list(COMMANDS), metavar=" | ".join(COMMANDS))
    name = parser.parse_args(arguments[:1]).name
    module = import_module(f".commands.{name}", __package__)
    command = argparse.ArgumentParser(prog=f"python -m caphuman_train {name}", description=COMMANDS[name])
    module.add_arguments(command)
    command.set_defaults(command=module.main)
    return command.parse_args(arguments[1:])
