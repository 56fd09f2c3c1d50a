"""Convert original model files to single .safetensors files.

    python -m caphuman_core.convert [--dry-run] [--out FOLDER] FILE_OR_FOLDER...

Each file is recognised by its keys. A FLAME model takes its companions (landmarks, template, texture) from the same
folder and becomes one file. Output is the same, byte for byte, on every run. Nothing is ever fetched.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .check import InputError
from .files.convert import convert, find_jobs, md5_note


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m caphuman_core.convert",
                                     description="Convert original model files to .safetensors.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE_OR_FOLDER")
    parser.add_argument("--dry-run", action="store_true", help="say what was found and write nothing")
    parser.add_argument("--out", type=Path, help="folder for the converted files (default: beside each original)")
    chosen = parser.parse_args(arguments)
    from tqdm import tqdm
    failures = 0
    found = list(tqdm(find_jobs(chosen.paths), desc="looking", unit="file", disable=None))
    for job in tqdm(found, desc="converting", unit="file", disable=None if not chosen.dry_run else True):
        try:
            if isinstance(job, str):
                raise InputError(job)
            note = f"{job.source.name}: {job.kind}; {md5_note(job.source)}"
            if not chosen.dry_run:
                note += f" -> {convert(job, chosen.out or job.source.parent)}"
            tqdm.write(note)
        except InputError as error:
            failures += 1
            tqdm.write(str(error), file=sys.stderr)
    if not found:
        tqdm.write("nothing to convert was found", file=sys.stderr)
    return 1 if failures or not found else 0


if __name__ == "__main__":
    sys.exit(main())
