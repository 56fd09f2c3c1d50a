"""`manifest.json`: which shards belong together, what is in them, how they were made.

It is written last: a folder without it is not ready. `digest` changes with every byte that training sees.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from caphuman_core.check import fail

MANIFEST_FILE = "manifest.json"
FORMAT = "caphuman-train-shards/1"


@dataclass(frozen=True)
class Entry:
    """Where one record lies in its shard."""

    key: str
    person: str
    offset: int                          # bytes, of the first member's header
    length: int                          # bytes, up to the next record or the tar's end mark
    crc32: int                           # of those bytes


@dataclass(frozen=True)
class Shard:
    """One .tar file."""

    file: str                            # name in the folder
    bytes: int
    sha256: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Manifest:
    """All of a folder's data."""

    shards: tuple[Shard, ...]
    settings: Mapping[str, Any]          # what made them: picture size, head model, encoders, flips, ...
    summary: Mapping[str, Any] = field(default_factory=dict)     # counts by licence, source and reason of refusal; for people

    @cached_property
    def digest(self) -> str:
        """16 hex digits of the data and of how it was made."""
        told = json.dumps([[shard.sha256 for shard in self.shards], dict(self.settings)], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def save_manifest(manifest: Manifest, folder: Path) -> None:
    """Write it; it appears whole or not at all."""
    from caphuman_bench.folder import write_whole
    content = {"format": FORMAT, "digest": manifest.digest, "settings": dict(manifest.settings), "summary": dict(manifest.summary),
               "shards": [{**asdict(shard), "entries": [list(asdict(entry).values()) for entry in shard.entries]}
                          for shard in manifest.shards]}
    write_whole(folder / MANIFEST_FILE, json.dumps(content, ensure_ascii=False, indent=None).encode())


def load_manifest(folder: Path) -> Manifest:
    """Read it; InputError for folders without one and for damaged ones."""
    path, name = folder / MANIFEST_FILE, f"shards folder '{folder}'"
    if not path.is_file():
        fail(name, "must hold a manifest.json", "a folder without one" if folder.is_dir() else "no such folder",
             f"make one with: python -m caphuman_train prepare PHOTOS {folder}, to its end")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            fail(name, f"must be of format {FORMAT}", repr(content["format"]), "prepare it again with this version")
        shards = tuple(Shard(told["file"], int(told["bytes"]), told["sha256"], tuple(Entry(*entry) for entry in told["entries"]))
                       for told in content["shards"])
        manifest = Manifest(shards, content["settings"], content["summary"])
        whole = manifest.digest == content["digest"]
    except (KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
        fail(name, "must hold a readable manifest.json", f"a damaged one ({error})", "prepare it again into a new folder")
    if not whole:
        fail(name, "must hold the manifest that prepare wrote", "one that was changed", "prepare it again into a new folder")
    return manifest
