"""Says what is there, what is missing and what to do next. It changes nothing and fetches nothing.

    python -m caphuman_core.doctor [--comfyui FOLDER] [--models FOLDER ...] [--checksums]

Without --comfyui the folder is the one COMFYUI_PATH names, or the ComfyUI whose custom_nodes this pack lies in.
`extra_model_paths.yaml` is read as ComfyUI reads it. The exit status is 0 when nothing that the main graph needs is missing.
"""
from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .check import InputError, fail
from .model_catalogue import CATALOGUE, ModelFile, advice, by_key, known_checksum, plain
from .model_peek import Peek, model_files, peek

DIRECTORIES = tuple(dict.fromkeys(entry.directory for entry in CATALOGUE))
PACKAGES = ("torch", "numpy", "pillow", "safetensors", "tqdm")
OPTIONAL_PACKAGES = (                    # distribution names, what for, install line
    (("facenet-pytorch",), "MTCNN's weights", "pip install --no-deps facenet-pytorch"),
    (("mediapipe",), "face detector back end mediapipe", "pip install mediapipe"),
    (("insightface",), "face detector back end insightface", "pip install insightface onnxruntime"),
    (("onnxruntime", "onnxruntime-gpu"), "face detector back end insightface", "pip install onnxruntime"),
    (("pytorch3d", "easypytorch3d"), "rasterizer pytorch3d",
     "pip install --no-deps easypytorch3d iopath portalocker (Linux, Python 3.11), or build pytorch3d for your torch"),
)
Folders = Mapping[str, Sequence[Path]]


@dataclass(frozen=True)
class Found:
    """A file and what it was recognised as."""

    path: Path
    peek: Peek


def report(folders: Folders, host_version: str = "", device: str = "", checksums: bool = False) -> str:
    """The whole text. folders: model folders by catalogue directory ("capface": [...]).

    host_version, device: as the host tells them; found out here where empty. checksums: read every recognised file whole
    (a minute for several GB) and say whether it is a known original.
    """
    found = examine(folders)
    lines = ["CapHuman doctor", "", "Model files (recognised by content, not by name)"]
    for entry in CATALOGUE:
        lines += [f"  {line}" for line in _entry_lines(entry, found, folders, checksums)]
    broken = [item for item in found if item.peek.problem]
    if broken:
        lines += ["", "Files that could not be read"]
        lines += [f"  {_shown(item.path, folders)}: {item.peek.problem}" for item in broken]
    lines += ["", "Packages", *(f"  {line}" for line in _package_lines())]
    lines += ["", f"ComfyUI: {host_version or 'version not known'}", f"Python: {sys.version.split()[0]}",
              f"Device: {device or _device()}", "", f"Next: {next_step(found)}"]
    return "\n".join(lines)


def examine(folders: Folders) -> list[Found]:
    """Every possible model file of the folders, each looked at once."""
    seen: dict[Path, Found] = {}
    for directory in DIRECTORIES:
        for folder in folders.get(directory, ()):
            for path in model_files(folder) if folder.is_dir() else ():
                if path not in seen:
                    seen[path] = Found(path, peek(path))
    for path in _mtcnn_of_package():
        seen.setdefault(path, Found(path, peek(path)))
    return list(seen.values())


def missing(found: Sequence[Found], needed_only: bool = True) -> list[ModelFile]:
    """Catalogue entries that no file fills."""
    return [entry for entry in CATALOGUE if (entry.needed or not needed_only) and not _filled(entry, found)]


def next_step(found: Sequence[Found]) -> str:
    """One sentence: what to do now."""
    needed = missing(found)
    if needed:
        return f"{advice(needed[0])}; then run this again." + (f" {len(needed) - 1} more after that." if needed[1:] else "")
    broken = next((item for item in found if item.peek.problem), None)
    if broken is not None:
        return f"{broken.path.name} cannot be read: download it again or remove it."
    if not _filled(by_key("flame"), found):
        return ("all that the main graph needs is there: open the template portrait_from_photo. For CapHuman's full quality "
                "get FLAME's files after registration at flame.is.tue.mpg.de.")
    return "all that the main graph needs is there: open the template portrait_from_photo."


def summary(folders: Folders) -> str:
    """One line for a server's log: how many of the needed files are there, and the next step. Reads tables of contents only."""
    found = examine({entry.directory: folders.get(entry.directory, ()) for entry in CATALOGUE if entry.needed})
    needed = [entry for entry in CATALOGUE if entry.needed]
    lacking = missing(found)
    there = f"CapHuman: {len(needed) - len(lacking)} of {len(needed)} needed model files found"
    return f"{there}; next: {advice(lacking[0])} (the node CapHuman Doctor tells more)" if lacking else f"{there}; ready"


def _filled(entry: ModelFile, found: Sequence[Found]) -> bool:
    fills = {item.path.name for item in found if entry.key in item.peek.keys}
    return set(entry.names) <= fills if entry.key == "mtcnn" else bool(fills)


def _entry_lines(entry: ModelFile, found: Sequence[Found], folders: Folders, checksums: bool) -> list[str]:
    fills = [item for item in found if entry.key in item.peek.keys]
    if _filled(entry, found):
        return [f"[x] {entry.title}: {_shown(item.path, folders)}, recognised as {item.peek.what}, "
                f"{_size(item.path)}, checksum {_checksum(item.path) if checksums else 'not looked at'}" for item in fills[:6]]
    places = folders.get(entry.directory) or [Path("models", entry.directory)]
    mark, rank = ("[ ]", "missing, needed") if entry.needed else ("[-]", "not there, optional")
    source = plain(entry.where) + (f" ({entry.download.url})" if entry.download else "")
    return [f"{mark} {entry.title}: {rank} ({entry.use})",
            f"      get {' or '.join(entry.names[:1]) if entry.key != 'mtcnn' else ', '.join(entry.names)} from {source}"
            + ("; its owners ask you to register" if entry.registration else ""),
            f"      licence: {entry.licence}; put it into {places[0]}"]


def _shown(path: Path, folders: Folders) -> str:
    """The path from the folder above a model folder on: reports are shared, home folders need not be."""
    for directory, places in folders.items():
        for place in places:
            if path.is_relative_to(place):
                return f"{directory}/{path.relative_to(place).as_posix()}"
    return f"(installed package) {path.name}"


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _checksum(path: Path) -> str:
    digests = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            for digest in digests.values():
                digest.update(block)
    named = [f"{name}:{digest.hexdigest()}" for name, digest in digests.items()]
    known = next((entry for text in named if (entry := known_checksum(text))), None)
    return f"known (an original of {known.title})" if known else f"not known ({named[0]})"


def _package_lines() -> list[str]:
    lines = [f"[x] {name} {version}" if (version := _version(name)) else f"[ ] {name}: missing, needed; pip install {name}"
             for name in PACKAGES]
    for names, use, install in OPTIONAL_PACKAGES:
        have = next((f"{name} {version}" for name in names if (version := _version(name))), None)
        lines.append(f"[x] {have}" if have else f"[-] {names[0]}: not there, optional ({use}); {install}")
    return lines


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _mtcnn_of_package() -> list[Path]:
    import importlib.util
    package = importlib.util.find_spec("facenet_pytorch")
    roots = (package.submodule_search_locations or ()) if package else ()
    return [path for root in roots for name in by_key("mtcnn").names if (path := Path(root, "data", name)).is_file()]


def _device() -> str:
    try:
        import torch
    except ImportError:
        return "not known (torch is not installed)"
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA device: networks run on the processor"


def find_comfyui(given: Path | None) -> Path | None:
    """The ComfyUI folder: `given`, else COMFYUI_PATH, else the one around this pack; None where there is none.

    Raises InputError if a folder that was named holds no ComfyUI.
    """
    named = given or (Path(text) if (text := os.environ.get("COMFYUI_PATH", "").strip()) else None)
    if named is not None:
        if not (named / "folder_paths.py").is_file():
            fail("the ComfyUI folder", "must hold folder_paths.py", str(named), "name the folder that holds ComfyUI's main.py")
        return named
    here = Path(__file__)
    around = [*here.absolute().parents, *here.resolve().parents, *Path.cwd().parents]
    return next((folder for folder in around if (folder / "folder_paths.py").is_file()), None)


def find_folders(comfyui: Path | None, extra: Sequence[Path] = ()) -> dict[str, list[Path]]:
    """Model folders by catalogue directory: models/<directory> of each root, then what extra_model_paths.yaml adds."""
    roots = [*extra, *([comfyui / "models"] if comfyui else [])]
    folders = {directory: [root / directory for root in roots] for directory in DIRECTORIES}
    config = comfyui / "extra_model_paths.yaml" if comfyui else None
    if config is not None and config.is_file():
        for directory, path in _extra_paths(config):
            if directory in folders and path not in folders[directory]:
                folders[directory].append(path)
    return folders


def _extra_paths(config: Path) -> list[tuple[str, Path]]:
    """(directory, folder) of ComfyUI's extra_model_paths.yaml, by its rules. InputError if it cannot be read."""
    import yaml
    try:
        sections = yaml.safe_load(config.read_text(encoding="utf-8"))
        found = []
        for section in (sections or {}).values():
            entries = dict(section or {})
            base = Path(os.path.expandvars(os.path.expanduser(str(entries.pop("base_path", "") or ""))))
            entries.pop("is_default", None)
            found += [(key, config.parent / base / line.strip()) for key, text in entries.items()
                      for line in str(text).split("\n") if line.strip()]
        return found
    except (yaml.YAMLError, OSError, AttributeError, ValueError, TypeError) as error:
        fail("extra_model_paths.yaml", "must be readable", str(error).splitlines()[0][:100], "compare it with ComfyUI's example")


def host_version(comfyui: Path | None) -> str:
    """Of comfyui_version.py, read as text; "" if there is none."""
    path = comfyui / "comfyui_version.py" if comfyui else None
    text = path.read_text(encoding="utf-8") if path and path.is_file() else ""
    return text.partition('__version__ = "')[2].partition('"')[0]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m caphuman_core.doctor", description="Says what is there and what is missing.")
    parser.add_argument("--comfyui", type=Path, help="ComfyUI's folder (default: COMFYUI_PATH, or the one around this pack)")
    parser.add_argument("--models", type=Path, action="append", default=[], metavar="FOLDER",
                        help="another folder that holds checkpoints, capface, flame, ...; may be given more than once")
    parser.add_argument("--checksums", action="store_true", help="compare files with known originals; reads each whole")
    chosen = parser.parse_args(arguments)
    try:
        comfyui = find_comfyui(chosen.comfyui)
        folders = find_folders(comfyui, chosen.models)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not any(folders.values()):
        sys.stderr.write("no ComfyUI was found around this pack: name its folder with --comfyui.\n")
        return 2
    text = report(folders, host_version(comfyui), checksums=chosen.checksums)
    sys.stdout.write(text + "\n")
    return 1 if missing(examine(folders)) else 0


if __name__ == "__main__":
    sys.exit(main())
