"""A shards folder in the making: what was asked for, and what is done. Every file is there whole or not at all.

    prepare.json              settings, and a digest of the data set: a resumed run must have the same
    work/survey-000000.json   some photos at first sight
    work/shard-000000.json    written when shard-000000.tar lies beside it: what the manifest will say of it, and who was refused
    shard-000000.tar
    refused.tsv, manifest.json      written at the end; then work/ goes
"""
from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from caphuman_bench.folder import LOCK_FILE, drop_parts, write_whole
from caphuman_core.check import fail

from ..data.manifest import MANIFEST_FILE, Entry, Manifest, Shard, save_manifest
from ..data.sources import Item
from .settings import Settings
from .work import Made, Surveyed, outcome_of

PLAN_FILE, REFUSED_FILE, WORK = "prepare.json", "refused.tsv", "work"
FORMAT = "caphuman-train-prepare/1"
OURS = (PLAN_FILE, REFUSED_FILE, WORK, MANIFEST_FILE, LOCK_FILE, f"{LOCK_FILE}.owner", "check")


class Journal:
    """Of one folder; the caller holds its lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, settings: Settings, items: Sequence[Item], tools: Mapping[str, Any]) -> None:
        """Note what is asked for, or check that it is what was asked for before. InputError names what differs."""
        foreign = sorted(path.name for path in self.folder.iterdir() if path.name not in OURS and not _is_shard(path)
                         and not path.name.endswith(".part"))
        if foreign:
            fail(f"shards folder '{self.folder}'", "must be new or hold shards", f"one with {', '.join(foreign[:3])}",
                 "name another folder")
        asked = {"format": FORMAT, "settings": json.loads(json.dumps(asdict(settings))), "tools": dict(tools), "photos": len(items),
                 "data": hashlib.sha256("\n".join(f"{item.key} {item.person} {item.mark}" for item in items).encode()).hexdigest()}
        before = self._read(self.folder / PLAN_FILE)
        if before is None:
            write_whole(self.folder / PLAN_FILE, json.dumps(asked, indent=1, ensure_ascii=False).encode())
        elif before != asked:
            fail(f"shards folder '{self.folder}'", "must be gone on with as it was begun", _difference(before, asked),
                 "give the same command as then, or name another folder")
        drop_parts(self.folder)

    def survey(self, name: str) -> list[Surveyed] | None:
        """What is known of some photos."""
        told = self._read(self.folder / WORK / f"{name}.json")
        return None if told is None else [Surveyed(*row) for row in told]

    def keep_survey(self, name: str, survey: Sequence[Surveyed]) -> None:
        """Some photos were looked at."""
        write_whole(self.folder / WORK / f"{name}.json", json.dumps(outcome_of(survey)).encode())

    def made(self, name: str) -> Made | None:
        """A shard that is done, without its content."""
        told = self._read(self.folder / WORK / f"{name}.json")
        if told is None:
            return None
        shard = told["shard"]
        if shard is not None:
            path = self.folder / shard["file"]
            if not path.is_file() or path.stat().st_size != shard["bytes"]:
                return None              # somebody took it away: it is made again
            shard = Shard(shard["file"], shard["bytes"], shard["sha256"], tuple(Entry(*entry) for entry in shard["entries"]))
        return Made(shard, b"", tuple((number, reason) for number, reason in told["refused"]), told["versions"],
                    told["licences"])

    def keep_made(self, name: str, made: Made) -> None:
        """A shard is done: first the shard, then the note that it is."""
        if made.shard is not None:
            write_whole(self.folder / made.shard.file, made.content)
        shard = None if made.shard is None else {**asdict(made.shard),
                                                 "entries": [list(asdict(entry).values()) for entry in made.shard.entries]}
        told = {"shard": shard, "refused": made.refused, "versions": dict(made.versions), "licences": dict(made.licences)}
        write_whole(self.folder / WORK / f"{name}.json", json.dumps(told, ensure_ascii=False).encode())

    def finish(self, manifest: Manifest, refused: Sequence[tuple[str, str]]) -> None:
        """Write what belongs to all shards, the manifest last, then drop the notes."""
        self.write_refused(refused)
        save_manifest(manifest, self.folder)
        self.clear()

    def write_refused(self, refused: Sequence[tuple[str, str]]) -> None:
        """The list of refused photos, (key, reason)."""
        rows = [f"{_cell(key)}\t{_cell(reason)}\n" for key, reason in refused]
        write_whole(self.folder / REFUSED_FILE, "".join(["photo\treason\n", *rows]).encode())

    def clear(self) -> None:
        """Drop the notes of a finished folder."""
        shutil.rmtree(self.folder / WORK, ignore_errors=True)

    def _read(self, path: Path) -> Any:
        """A file of ours; None if it is not there."""
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        except ValueError:
            fail(f"shards folder '{self.folder}'", "must hold what prepare has written", f"a damaged {path.name}",
                 "remove that file and give the same command again")


def _is_shard(path: Path) -> bool:
    return path.name.startswith("shard-") and path.suffix == ".tar"


def _difference(before: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """What of the plan is not as it was."""
    for part in ("settings", "tools"):
        for name, value in asked[part].items():
            had = before.get(part, {}).get(name)
            if had != value:
                return f"{name.replace('_', ' ')} {value} in place of {had}"
    if before.get("photos") != asked["photos"]:
        return f"{asked['photos']:,} photos in place of {before.get('photos'):,}"
    return "photos that have changed"


def _cell(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
