"""A packed miniature as the output of its stages, so that it is gone on from on any machine, without the hours they took.

    python -m caphuman_train.miniature.unpack miniature/miniature.safetensors OUTPUT
    python -m caphuman_train.miniature --output OUTPUT --recipe MY.toml

The second command then draws the pictures (those of the recipe that it was made by) and trains CapFace beside the unpacked base:
from nothing, or on from `OUTPUT/capface/unpacked.safetensors`, where the recipe's `capface.start` names it.
"""
from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from caphuman_core.check import require
from caphuman_core.files.weights import write_safetensors

from ..train import checkpoint
from .autoencoder import FILE
from .capface import FACENET
from .narrow import write_narrow
from .pack import Packed, load_packed
from .recipe import DEFAULT, read_recipe
from .stages import NARROW_BASE
from .work import Work

UNPACKED = "unpacked.safetensors"                # CapFace's file, of the stage's folder


def unpack(packed_file: Path, work: Work) -> Path:
    """Write what the stages autoencoder, base, style, points and decoder leave, and CapFace's file, whose path is returned.
    InputError for a damaged file, and for a folder in which a stage has begun."""
    packed = load_packed(packed_file)
    for stage in ("autoencoder", "base", "capface", "style", "points", "decoder"):
        require(not work.place(stage).exists(), f"output folder '{work.folder}'", "must be a new one", f"one with '{stage}'",
                "name another folder")
    for stage in ("autoencoder", "decoder"):
        write_safetensors(work.place(stage) / FILE, packed.autoencoder, {})
    for stage, weights in (("base", packed.base), ("style", packed.styled), ("points", packed.points)):
        checkpoint.save(work.place(stage), checkpoint.State(0, {}, {"state": {}}, weights, {}, {}, {}), 1)
        if stage != "points":
            write_narrow(work.place(stage) / NARROW_BASE, weights, packed.autoencoder, packed.seed, stage)
    for stage in ("autoencoder", "base", "style", "points", "decoder"):
        work.done(stage, unpacked=packed_file.name)
    return _write_capface(work.place("capface"), packed)


def _write_capface(place: Path, packed: Packed) -> Path:
    write_safetensors(place / UNPACKED, packed.capface, json.loads(packed.told["capface"]))
    write_safetensors(place / FACENET, {name: value.half() for name, value in packed.facenet.items()}, {})
    return place / UNPACKED


def main(arguments: Sequence[str]) -> int:
    """Status 0: it is done; 1: something is wrong, in one sentence."""
    from ..cli import carried_out
    parser = argparse.ArgumentParser(prog="python -m caphuman_train.miniature.unpack",
                                     description="A packed miniature as the output of its stages, to go on from.")
    parser.add_argument("packed", type=Path, help="miniature.safetensors")
    parser.add_argument("output", type=Path, help="a new folder")
    given = parser.parse_args(arguments)

    def done() -> int:
        written = unpack(given.packed, Work(given.output, read_recipe(DEFAULT), print))
        sys.stdout.write(f"unpacked; `capface.start` of a recipe may name {written}\n")
        return 0
    return carried_out("miniature", done)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
