"""Folders of photos: beside photo.jpg may lie photo.txt (the caption) and photo.json (caption, licence, source, person)."""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .photo import PICTURE_SUFFIXES, Item, Photo, photo_of, read_if_there


class Folder:
    """Photos below a folder, by their paths. people: the first folder of a path says whose photo it is."""

    def __init__(self, root: Path, people: bool = True) -> None:
        self.root, self._people = root, people

    def items(self) -> Sequence[Item]:
        """Sorted by path, with forward slashes; hidden files and folders are passed over."""
        found = []
        for folder, inner, names in os.walk(self.root):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            found += [Path(folder, name) for name in names
                      if name.lower().endswith(PICTURE_SUFFIXES) and not name.startswith(".")]
        paths = sorted((path.relative_to(self.root).as_posix(), path) for path in found)
        return [self._item(number, key, path) for number, (key, path) in enumerate(paths)]

    def _item(self, number: int, key: str, path: Path) -> Item:
        person = key.split("/")[0] if self._people and "/" in key else ""
        stat = path.stat()
        return Item(number, key, person, (key,), f"{stat.st_size} {stat.st_mtime_ns}")

    def read(self, item: Item) -> Photo:
        """The photo and what lies beside it."""
        path = self.root / item.where[0]
        try:
            return photo_of(read_if_there(path), read_if_there(path.with_suffix(".txt")), read_if_there(path.with_suffix(".json")))
        except OSError as error:
            return Photo(b"", problem=f"the file cannot be read ({error.strerror})")
