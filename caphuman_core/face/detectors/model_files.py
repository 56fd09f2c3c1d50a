"""Which model files the back ends find in the host's folders. It imports nothing heavy: node schemas list them."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

AUTO = "auto"                            # the first model there is


def find_bundles(folders: Sequence[Path]) -> list[str]:
    """MediaPipe landmarker bundles, by their names relative to the folders."""
    return sorted({path.relative_to(folder).as_posix() for folder in folders if folder.is_dir()
                   for path in folder.rglob("*.task")})


def find_packs(folders: Sequence[Path]) -> dict[str, Path]:
    """insightface packs: folders that hold .onnx files, by name.

    `models/buffalo_l/*.onnx` is the usual place; a pack unpacked into a folder of its own name
    (`models/antelopev2/antelopev2/*.onnx`) is found too.
    """
    packs: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.onnx")) if folder.is_dir() else ():
            if path.parent != folder:
                packs.setdefault(path.parent.name, path.parent)
    return packs
