"""webdataset: tars in which members with one base name are one sample (000.jpg, 000.txt, 000.json)."""
from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

from caphuman_core.check import fail

from .photo import PICTURE_SUFFIXES, Item, Photo, photo_of

BLOCK = 512                              # bytes of a tar's unit
Place = tuple[int, int]                  # offset and size in the tar


class WebDataset:
    """The tars of a folder, by name, or one tar."""

    def __init__(self, tars: Sequence[Path]) -> None:
        self._tars = tuple(tars)

    def items(self) -> Sequence[Item]:
        """In the order of the tars and of their members. InputError for a tar that is cut short."""
        found: list[Item] = []
        for number, path in enumerate(self._tars):
            for base, places in _samples(path).items():
                picture = next((places[suffix] for suffix in PICTURE_SUFFIXES if suffix in places), None)
                if picture is not None:
                    where = (number, picture, places.get(".txt"), places.get(".json"))
                    found.append(Item(len(found), f"{path.name}/{base}", "", where, f"{path.stat().st_size} {picture}"))
        return found

    def read(self, item: Item) -> Photo:
        """The photo and its companions, by their places."""
        number, *places = item.where
        try:
            with self._tars[number].open("rb") as file:
                parts: list[bytes | None] = []
                for place in places:
                    if place is not None:
                        file.seek(place[0])
                    parts.append(None if place is None else file.read(place[1]))
        except OSError as error:
            return Photo(b"", problem=f"the tar cannot be read ({error.strerror})")
        return photo_of(*parts)


def _samples(path: Path) -> dict[str, dict[str, Place]]:
    """base name -> suffix -> place, of every plain file in a tar."""
    found: dict[str, dict[str, Place]] = {}
    count, end = 0, 0
    try:
        with tarfile.open(path, mode="r:") as tar:
            for info in tar:
                count, end = count + 1, tar.offset
                folder, _, name = info.name.rpartition("/")
                base, _, suffix = name.partition(".")            # webdataset's rule: up to the first point
                if info.isfile() and base:
                    found.setdefault(f"{folder}/{base}".lstrip("/"), {})[f".{suffix.lower()}"] = (info.offset_data, info.size)
    except (tarfile.TarError, OSError, EOFError) as error:
        _cut(path, f"one that cannot be read on behind {count} members ({error})")
    with path.open("rb") as file:
        file.seek(end)
        if len(file.read(BLOCK)) < BLOCK:
            _cut(path, f"one that ends behind {count} members without an end mark")
    return found


def _cut(path: Path, got: str) -> None:
    fail(f"tar '{path.name}'", "must be whole", got,
         "copy or download it again; a file cut short by a broken download reads like this")
