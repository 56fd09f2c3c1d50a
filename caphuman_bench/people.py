"""Reading a folder of identity photos: a sub-folder for each person, or single files, each a person of its own.

What is no picture is skipped with a note. Photos are copied into the run folder, turned upright as their EXIF says, so
that every graph and every judge sees the same pixels and a resumed run meets the files it began with.
"""
from __future__ import annotations

import hashlib
import io
import re
import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

from caphuman_core.check import InputError, fail

from .folder import write_whole
from .plan import IdentityEntry

if TYPE_CHECKING:
    from caphuman_core.face.detection import Detector

ORIENTATION = 274               # EXIF tag
KEPT_AS_THEY_ARE = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
PHOTOS_PER_PERSON = 10          # more add little to a score
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
# What Pillow raises for damaged files and EXIF data; UnidentifiedImageError is an OSError.
UNREADABLE = (OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, EOFError, SyntaxError, struct.error,
              MemoryError, Image.DecompressionBombError)
PICTURE_FILES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
DETECT_SIDE = 1024              # pixels; larger photos are reduced before faces are counted


@dataclass
class People:
    """What a folder gave."""

    entries: list[IdentityEntry] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_people(source: Path, run: Path, most: int = PHOTOS_PER_PERSON, detector: Detector | None = None) -> People:
    """Copy the photos of every person below `source` into `run`/inputs; InputError if there is nobody.

    most: photos of one person that are taken; the first by name is the reference. detector: photos without exactly one face
    are noted, and not taken as the reference where another photo of the person has one.
    """
    if not source.is_dir():
        fail(f"photos '{source}'", "must be a folder", "a file" if source.exists() else "nothing there",
             "give a folder with a picture, or a sub-folder of pictures, for each person")
    people, taken = People(), set()
    for path in sorted(source.iterdir(), key=lambda entry: entry.name):
        if path.name.startswith("."):
            continue
        photos = _photos(_files(path, people.notes), source, most, people.notes)
        if not photos:
            if path.is_dir():
                people.notes.append(f"{path.name}: a folder without pictures, skipped")
            continue
        name = free_name(path.name if path.is_dir() else path.stem, taken)
        _add(people, name, photos, run, detector)
    if not people.entries:
        fail(f"photos '{source}'", "must hold pictures of people", f"none ({'; '.join(people.notes[:3]) or 'an empty folder'})",
             "put a picture, or a sub-folder of pictures, there for each person")
    return people


def free_name(text: str, taken: set[str]) -> str:
    """A name that is a folder name on any system, unlike all taken ones without regard to case; added to `taken`."""
    text = unicodedata.normalize("NFC", text)           # some systems take both spellings of a letter for one name
    plain = re.sub(r'[\x00-\x1f<>:"/\\|?*\s]+', "_", text).strip("._ ")[:80] or "person"
    plain = f"_{plain}" if RESERVED.fullmatch(plain) else plain
    name, number = plain, 2
    while name.casefold() in taken:
        name, number = f"{plain}~{number}", number + 1
    taken.add(name.casefold())
    return name


def upright(path: Path) -> tuple[bytes, str] | None:
    """A picture's bytes, as they are or turned as EXIF says, and their suffix; None if the file is no whole picture."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            kept = KEPT_AS_THEY_ARE.get(picture.format or "")
            if kept and picture.getexif().get(ORIENTATION, 1) == 1:
                return content, kept
            turned = ImageOps.exif_transpose(picture).convert("RGB")
    except UNREADABLE:
        return None
    buffer = io.BytesIO()
    turned.save(buffer, "PNG")
    return buffer.getvalue(), ".png"


def count_faces(detector: Detector, content: bytes) -> int:
    """Faces in an encoded picture."""
    from caphuman_core.face.detection import detect
    from caphuman_core.pixels import photo_of
    with Image.open(io.BytesIO(content)) as picture:
        rgb = picture.convert("RGB")
    rgb.thumbnail((DETECT_SIDE, DETECT_SIDE))
    pixels = photo_of(rgb)[None]
    return detect(detector, pixels, if_none="skip").count


def _files(path: Path, notes: list[str]) -> list[Path]:
    """What may be a person's photos: the file itself, or the files of a folder."""
    if not path.is_dir():
        return [path]
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    notes.extend(f"{path.name}/{entry.name}: a folder within a person's folder, not looked into" for entry in entries
                 if entry.is_dir())
    return [entry for entry in entries if not entry.is_dir()]


def _photos(files: Sequence[Path], source: Path, most: int, notes: list[str]) -> list[tuple[str, bytes, str]]:
    """The first `most` that can be read; the others are not, for a person may have thousands."""
    photos = []
    for number, file in enumerate(files):
        if len(photos) == most:
            notes.append(f"{files[0].parent.name}: {len(files)} files, the first {most} photos are taken and the last "
                         f"{len(files) - number} files left out")
            break
        photo = _photo(file, source, notes)
        if photo is not None:
            photos.append(photo)
    return photos


def _photo(path: Path, source: Path, notes: list[str]) -> tuple[str, bytes, str] | None:
    found = upright(path) if path.is_file() else None
    if found is None:
        notes.append(f"{path.relative_to(source).as_posix()}: no picture that can be read, skipped")
        return None
    return path.relative_to(source).as_posix(), *found


def _add(people: People, name: str, photos: Sequence[tuple[str, bytes, str]], run: Path,
         detector: Detector | None) -> None:
    faces = _faces(photos, people.notes, detector)
    ordered = sorted(range(len(faces)), key=lambda i: faces[i] != 1)        # stable: the first with one face leads
    paths = []
    for place, index in enumerate(ordered):
        _, content, suffix = photos[index]
        path = f"inputs/people/{name}/{place}{suffix}"
        write_whole(run / path, content)
        people.hashes[path] = hashlib.sha256(content).hexdigest()
        paths.append(path)
    if ordered[0] != 0:
        people.notes.append(f"{name}: {photos[ordered[0]][0]} is the reference, as the first photo with one face")
    people.entries.append(IdentityEntry(name, paths[0], tuple(paths)))


def _faces(photos: Sequence[tuple[str, bytes, str]], notes: list[str], detector: Detector | None) -> list[int]:
    if detector is None:
        return [1] * len(photos)
    counts = [count_faces(detector, content) for _, content, _ in photos]
    for (name, _, _), count in zip(photos, counts, strict=True):
        if count != 1:
            notes.append(f"{name}: {count or 'no'} face{'s' * (count != 1)} found")
    return counts


def face_counter(wanted: str, models: Path | None) -> tuple[Any, list[str]]:
    """(detector or None, notes). wanted: "on", "off", or "auto": where a detector's files are there."""
    if wanted == "off":
        return None, []
    from .score.faces import choose_detector
    try:
        return choose_detector("mtcnn", models), []
    except InputError as error:
        if wanted == "on":
            raise
        return None, [f"faces were not looked for: {error}"]
