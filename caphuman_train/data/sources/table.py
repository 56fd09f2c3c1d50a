"""Parquet files and Hugging Face data sets with a column of pictures. What is not on the disk is never fetched."""
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from caphuman_core.check import fail

from .photo import CAPTIONS, LICENCES, PEOPLE, SOURCES, Item, Photo, first_text

PICTURES = ("image", "jpg", "jpeg", "png", "webp", "picture", "photo")
INSTALL = "run `pip install \".[datasets]\"` in this folder"


class Parquet:
    """The rows of parquet files, file by file."""

    def __init__(self, files: Sequence[Path], columns: Mapping[str, str]) -> None:
        """columns: role (image, text, licence, source, person) -> name, where the names are not the usual ones."""
        self._files, self._columns = tuple(files), dict(columns)

    def items(self) -> Sequence[Item]:
        """In order of files and rows. InputError for files that are no parquet or hold no pictures."""
        found: list[Item] = []
        for number, path in enumerate(self._files):
            file = _open(path)
            image = picture_column(file.schema_arrow.names, self._columns, f"parquet file '{path.name}'")
            size, row = path.stat().st_size, 0
            for group in range(file.num_row_groups):
                for at in range(file.metadata.row_group(group).num_rows):
                    found.append(Item(len(found), f"{path.name}/{row:08}", "", (number, group, at, image), f"{size}"))
                    row += 1
        return found

    def read(self, item: Item) -> Photo:
        """The row's photo."""
        number, group, at, image = item.where
        try:
            row = _rows(self._files[number], group).slice(at, 1).to_pylist()[0]
        except OSError as error:
            return Photo(b"", problem=f"the row cannot be read ({error})")
        return photo_of_row(row, image, self._columns)


class SavedDataset:
    """A data set of the package `datasets`, as its save_to_disk leaves it."""

    def __init__(self, folder: Path, columns: Mapping[str, str]) -> None:
        self._folder, self._columns = folder, dict(columns)

    def items(self) -> Sequence[Item]:
        """In order of rows."""
        data = _saved(self._folder)
        image = picture_column(data.column_names, self._columns, f"data set '{self._folder.name}'")
        return [Item(row, f"{self._folder.name}/{row:08}", "", (row, image), data._fingerprint) for row in range(len(data))]

    def read(self, item: Item) -> Photo:
        """The row's photo."""
        row, image = item.where
        stored = _saved(self._folder).data.slice(row, 1).to_pylist()[0]      # as on the disk: pictures are not decoded
        return photo_of_row(stored, image, self._columns)


def photo_of_row(row: Mapping[str, Any], image: str, columns: Mapping[str, str]) -> Photo:
    """A photo of a row; its picture is bytes, or {"bytes": ..., "path": ...} as Hugging Face has it."""
    def told(role: str, names: Sequence[str]) -> str:
        return first_text(row, (columns[role],) if role in columns else names)
    value = row.get(image)
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        return Photo(b"", problem="the picture is not in the file")
    return Photo(content, told("text", CAPTIONS), told("licence", LICENCES), told("source", SOURCES), told("person", PEOPLE))


def picture_column(names: Sequence[str], columns: Mapping[str, str], what: str) -> str:
    """The column of pictures. InputError where there is none, and for chosen columns that are not there."""
    missing = sorted(set(columns.values()) - set(names))
    if missing:
        fail(what, f"must have the column{'s' * (len(missing) > 1)} {', '.join(missing)}", f"columns {', '.join(names)}",
             "correct --column")
    found = columns.get("image") or next((name for name in PICTURES if name in names), None)
    if found is None:
        fail(what, "must have a column of pictures", f"columns {', '.join(names) or '(none)'}", "name it: --column image=NAME")
    return found


def _open(path: Path) -> Any:
    try:
        import pyarrow  # pyright: ignore[reportMissingImports]
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        fail("parquet files", "need the Python package pyarrow", str(error), INSTALL)
    try:
        return parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        fail(f"parquet file '{path.name}'", "must be whole", f"one that cannot be read ({str(error)[:100]})",
             "copy or download it again")


@lru_cache(maxsize=2)
def _rows(path: Path, group: int) -> Any:
    """A row group; rows are asked for in order."""
    return _open(path).read_row_group(group)


@lru_cache(maxsize=1)
def _saved(folder: Path) -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        fail("Hugging Face data sets", "need the Python package datasets", str(error), INSTALL)
    try:
        data = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        fail(f"data set '{folder.name}'", "must be as save_to_disk leaves it", f"one that cannot be read ({str(error)[:100]})",
             "save it again")
    if not isinstance(data, datasets.Dataset):
        fail(f"data set '{folder.name}'", "must be one split", f"the splits {', '.join(map(str, data))}",
             f"name the folder of one, such as {folder.name}/{next(iter(data), 'train')}")
    return data
