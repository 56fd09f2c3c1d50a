"""Says what is there, what is missing and what to do next. It changes nothing and fetches nothing.

    python -m caphuman_core.doctor [--comfyui FOLDER] [--models FOLDER ...] [--checksums]

Without --comfyui the folder is the one COMFYUI_PATH names, or the ComfyUI whose custom_nodes this pack lies in.
`extra_model_paths.yaml` is read as ComfyUI reads it. The exit status is 0 when nothing that the main graph needs is missing,
1 when something is, 2 when no ComfyUI was found.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .check import InputError
from .files import host_folders
from .files.doctor import DIRECTORIES, examine, missing, next_line, report


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m caphuman_core.doctor", description="Says what is there and what is missing.")
    parser.add_argument("--comfyui", type=Path, help="ComfyUI's folder (default: COMFYUI_PATH, or the one around this pack)")
    parser.add_argument("--models", type=Path, action="append", default=[], metavar="FOLDER",
                        help="another folder that holds checkpoints, capface, flame, ...; may be given more than once")
    parser.add_argument("--checksums", action="store_true", help="compare files with known originals; reads each whole")
    chosen = parser.parse_args(arguments)
    try:
        comfyui = host_folders.find_comfyui(chosen.comfyui)
        folders = host_folders.find_folders(DIRECTORIES, comfyui, chosen.models)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    known = any(folders.values())
    version = host_folders.host_version(comfyui) if comfyui else "not found around this pack"
    first = "" if known else "name ComfyUI's folder: python -m caphuman_core.doctor --comfyui FOLDER."
    text = report(folders, version, checksums=chosen.checksums, first=first)
    text += f"\n\n{next_line(text)}"      # again at the end, where a terminal's reader looks
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    return (1 if missing(examine(folders)) else 0) if known else 2


if __name__ == "__main__":
    sys.exit(main())
