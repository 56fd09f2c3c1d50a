"""What workers on other machines have made, as they saw it: JSON lines in the run folder, one file per worker.

A line is written when its image is on the disk. The driver hears of each image at once and keeps it in the store; the
manifests are for the one that did not live to hear it.
"""
from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .jobs import is_image_of
from .plan import Plan
from .store import Store

FOLDER = "manifests"


def append(folder: Path, worker: str, plan: Plan, number: int, file: str, seconds: float) -> None:
    """One image of a worker is there."""
    path = folder / FOLDER / f"{worker}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"plan": plan.digest, "id": number, "file": file, "seconds": seconds}) + "\n"
    with path.open("a", encoding="utf-8") as stream:
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Every whole line of every manifest; a line that was cut off is passed over."""
    for path in sorted((folder / FOLDER).glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and {"plan", "id", "file", "seconds"} <= set(entry):
                yield entry


def merge(store: Store, plan: Plan, folder: Path) -> int:
    """Take images into the store that only manifests tell of, then drop the manifests; returns how many."""
    if not (folder / FOLDER).is_dir():
        return 0
    waiting = {record.id: record for record in store.records() if record.status in ("planned", "leased")}
    found = {entry["id"]: (entry["id"], entry["file"], entry["seconds"]) for entry in read(folder)
             if entry["plan"] == plan.digest and entry["id"] in waiting
             and is_image_of(folder / entry["file"], plan, waiting[entry["id"]])}
    store.finish(found.values())
    for path in (folder / FOLDER).glob("*.jsonl"):
        path.unlink()
    return len(found)
