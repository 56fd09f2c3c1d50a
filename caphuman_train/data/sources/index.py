"""Which kind of data set a path is, told from what lies there."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from caphuman_core.check import fail, require

from .folder import Folder
from .photo import Source
from .table import Parquet, SavedDataset
from .webdataset import WebDataset

ROLES = ("image", "text", "licence", "source", "person")


def open_source(path: Path, people: bool = True, columns: Mapping[str, str] | None = None) -> Source:
    """The data set at a path: a folder of photos, a tar or a folder of tars, a parquet file or a folder of them, or what
    `datasets` has saved. InputError for anything else.

    people: in a folder of photos, sub-folders are people. columns: role -> column name, for parquet and data sets.
    """
    columns = columns or {}
    unknown = sorted(set(columns) - set(ROLES))
    require(not unknown, "--column", f"must name one of {', '.join(ROLES)}", ", ".join(unknown), "write --column image=NAME")
    if path.is_file():
        return _of_file(path, columns)
    if not path.is_dir():
        fail(f"data '{path}'", "must be a folder or a file", "nothing there", "name a folder of photos, tars or parquet files")
    if {"state.json", "dataset_info.json"} <= {entry.name for entry in path.iterdir()} or (path / "dataset_dict.json").is_file():
        return SavedDataset(path, columns)
    for suffix in (".tar", ".parquet"):
        files = sorted(path.rglob(f"*{suffix}"))
        if files:
            return WebDataset(files) if suffix == ".tar" else Parquet(files, columns)
    return Folder(path, people)


def _of_file(path: Path, columns: Mapping[str, str]) -> Source:
    if path.suffix == ".tar":
        return WebDataset([path])
    if path.suffix == ".parquet":
        return Parquet([path], columns)
    fail(f"data '{path.name}'", "must be a folder, a .tar or a .parquet file", f"a {path.suffix or 'nameless'} file",
         "name a folder of photos, or a file of those kinds")
