"""The host's model folders: which files are there, where a chosen one lies, and names that must not leave them."""
from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PureWindowsPath

import folder_paths

from ...caphuman_core.check import fail

# Folder keys the pack adds; `detection` and `clip_vision` are the host's own (DESIGN: model files and folders).
FOLDER_KEYS = ("capface", "flame", "face_parsing", "facenet", "insightface")
WEIGHT_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".tar")
NO_FILE = "(no file found)"
MAX_NAME = 255                           # bytes of one part of a file's name: what file systems take


def register_folders() -> None:
    """Register models/<key> for each key, beside whatever extra_model_paths already names."""
    for key in (*FOLDER_KEYS, "detection"):          # ComfyUI before 0.18 has no `detection` of its own
        folder_paths.add_model_folder_path(key, os.path.join(folder_paths.models_dir, key))


def model_files(key: str, suffixes: Sequence[str] = WEIGHT_SUFFIXES) -> list[str]:
    """Names, relative to the folders of `key`, of the files with one of `suffixes` (lower case)."""
    return [name for name in folder_paths.get_filename_list(key) if name.lower().endswith(tuple(suffixes))]


def model_choice(key: str, suffixes: Sequence[str] = WEIGHT_SUFFIXES, first: Sequence[str] = ()) -> list[str]:
    """Options of a model combo: built-ins first, then files; never empty, so that the widget always shows something."""
    return [*first, *model_files(key, suffixes)] or [NO_FILE]


def model_path(key: str, name: str, what: str, where_from: str) -> Path:
    """Full path of a chosen model file, or one sentence that says what to get and where to put it.

    what: "CapFace"; where_from: "download caphuman.ckpt from the CapHuman project page".
    Names that leave the folder are refused like missing ones.
    """
    folders = folder_paths.get_folder_paths(key)
    path = None if name == NO_FILE or leaves_folder(name) else folder_paths.get_full_path(key, name)
    if path is None:
        fail(f"{what} file", f"must be in the models folder '{key}'", repr(name),
             f"{where_from} and put it in {folders[0]}, then press R to refresh the node")
    return Path(path)


def model_folders(key: str) -> list[Path]:
    """Every folder the host searches for `key`."""
    return [Path(folder) for folder in folder_paths.get_folder_paths(key)]


def file_stamp(key: str, name: str) -> str:
    """Changes when the chosen file is replaced on disk: the `fingerprint_inputs` of loader nodes."""
    path = None if leaves_folder(name) else folder_paths.get_full_path(key, name)
    if path is None:
        return f"{name}:missing"
    return stamp_of(Path(path))


def stamp_of(path: Path) -> str:
    """Changes when the file is replaced or written to."""
    stat = path.stat()
    return f"{path}:{stat.st_mtime_ns}:{stat.st_size}"


def leaves_folder(name: object) -> bool:
    """Whether a name is anything but a path below the folder it is looked up in, on this system or another."""
    if not isinstance(name, str):        # prompts of strangers: the host lets any JSON pass
        return True
    parts = name.replace("\\", "/").split("/")
    longest = max(len(part.encode(errors="replace")) for part in parts)
    return (not name or longest > MAX_NAME or not name.isprintable() or os.path.isabs(name) or not parts[0]
            or ".." in parts or PureWindowsPath(name).drive != "")


def inside(path: Path, folders: Iterable[str | Path]) -> bool:
    """Whether a file lies in one of the folders once links inside them are followed."""
    real = path.resolve()
    return any(real.is_relative_to(Path(folder).resolve()) for folder in folders)
