"""What has been done: one SQLite file, `run.sqlite` in the run folder.

    images(id, identity, head, prompt, sample, seed, status, file, seconds, error, attempts)
    scores(image_id, metric, value)        value NULL: measured, but there was nothing to measure (no face, ...)
    info(key, value)                       value is JSON

One process writes (folder.locked); others may read meanwhile (write-ahead log). Every method that changes something is
one transaction: a process killed at any moment leaves it done or not begun.
"""
from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from caphuman_core.check import fail

from .plan import ImageRecord, Plan, records

STORE_FILE = "run.sqlite"
SERVERS = "servers"             # key of info: worker -> what its server said of itself
STATUSES = ("planned", "leased", "done", "failed")
_COLUMNS = "id, identity, head, prompt, sample, seed, status, file, seconds, error, attempts"
_SCHEMA = """
CREATE TABLE images(id INTEGER PRIMARY KEY, identity TEXT NOT NULL, head TEXT NOT NULL, prompt TEXT NOT NULL,
    sample INTEGER NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL DEFAULT 'planned', file TEXT, seconds REAL,
    error TEXT, attempts INTEGER NOT NULL DEFAULT 0);
CREATE TABLE scores(image_id INTEGER NOT NULL, metric TEXT NOT NULL, value REAL, PRIMARY KEY(metric, image_id)) WITHOUT ROWID;
CREATE TABLE info(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class Store:
    """Use as `with Store.open(folder) as store`. Writers hold `folder.locked` around it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @classmethod
    def create(cls, folder: Path, plan: Plan) -> Store:
        """A new store with every image of the plan; it appears whole or not at all."""
        beside = folder / f"{STORE_FILE}.part"
        beside.unlink(missing_ok=True)
        db = sqlite3.connect(beside)
        db.executescript("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;" + _SCHEMA)
        with db:
            db.executemany("INSERT INTO images(id, identity, head, prompt, sample, seed) VALUES(?, ?, ?, ?, ?, ?)",
                           ((r.id, r.identity, r.head, r.prompt, r.sample, r.seed) for r in records(plan)))
            db.execute("INSERT INTO info VALUES('plan', ?)", (json.dumps(plan.digest),))
        db.close()
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, folder / STORE_FILE)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path, read_only: bool = False) -> Store:
        """The store of a run folder; InputError if there is none or it is damaged."""
        path = folder / STORE_FILE
        if not path.is_file():
            fail(f"run folder '{folder}'", "must hold a plan", "no run.sqlite in it",
                 f"make one with: python -m caphuman_bench plan {folder} --photos FOLDER")
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rw'}", uri=True, timeout=30)
        try:
            if not read_only:
                db.execute("PRAGMA journal_mode = WAL")         # some network disks refuse: slower, as safe
                db.execute("PRAGMA synchronous = NORMAL")
            db.execute("SELECT count(*) FROM info").fetchone()
        except sqlite3.DatabaseError as error:
            db.close()
            fail(f"run folder '{folder}'", "must hold a sound run.sqlite", f"one that cannot be read ({error})",
                 "plan into a new folder and copy images/ there: what is complete is taken over")
        return cls(db)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def records(self, status: str | None = None) -> Iterator[ImageRecord]:
        """Images in unit order, all or those of one status."""
        where, values = ("WHERE status = ?", (status,)) if status else ("", ())
        for row in self._db.execute(f"SELECT {_COLUMNS} FROM images {where} ORDER BY id", values):      # noqa: S608
            yield ImageRecord(*row)

    def counts(self) -> dict[str, int]:
        """Number of images by status; all four statuses are there."""
        found = dict(self._db.execute("SELECT status, count(*) FROM images GROUP BY status"))
        return {status: found.get(status, 0) for status in STATUSES}

    def lease(self, ids: Sequence[int]) -> None:
        """Mark planned images as in hand."""
        with self._db:
            self._db.executemany("UPDATE images SET status = 'leased' WHERE id = ? AND status = 'planned'", ((i,) for i in ids))

    def release(self, ids: Sequence[int] | None = None) -> None:
        """Leased images (all, or these) are planned again."""
        with self._db:
            if ids is None:
                self._db.execute("UPDATE images SET status = 'planned' WHERE status = 'leased'")
            else:
                self._db.executemany("UPDATE images SET status = 'planned' WHERE id = ? AND status = 'leased'", ((i,) for i in ids))

    def finish(self, done: Iterable[tuple[int, str, float | None]]) -> None:
        """Rows of (id, file, seconds) are done; their files must be on the disk already."""
        with self._db:
            self._db.executemany("UPDATE images SET status = 'done', file = ?, seconds = ?, error = NULL WHERE id = ?",
                                 ((file, seconds, number) for number, file, seconds in done))

    def attempt(self, number: int, error: str, final: bool) -> None:
        """Note a failed attempt; `final`: the image is given up (failed), otherwise it is planned again."""
        with self._db:
            self._db.execute("UPDATE images SET attempts = attempts + 1, error = ?, status = ? WHERE id = ?",
                             (error, "failed" if final else "planned", number))

    def retry_failed(self) -> int:
        """Failed images are planned again, their attempts forgotten; returns how many."""
        with self._db:
            return self._db.execute("UPDATE images SET status = 'planned', attempts = 0 WHERE status = 'failed'").rowcount

    def replan(self, ids: Sequence[int]) -> None:
        """Images whose files are gone are planned again, and their scores dropped."""
        with self._db:
            self._db.executemany("UPDATE images SET status = 'planned', file = NULL WHERE id = ?", ((i,) for i in ids))
            self._db.executemany("DELETE FROM scores WHERE image_id = ?", ((i,) for i in ids))

    def put_scores(self, rows: Iterable[tuple[int, str, float | None]]) -> None:
        """Rows of (image id, metric, value), replacing older ones."""
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO scores VALUES(?, ?, ?)",
                                 ((number, metric, value) for number, metric, value in rows))

    def scores(self, metric: str | None = None) -> Iterator[tuple[int, str, float | None]]:
        """Rows of (image id, metric, value), all or of one metric, ordered by metric and image."""
        where, values = ("WHERE metric = ?", (metric,)) if metric else ("", ())
        yield from self._db.execute(
            f"SELECT image_id, metric, value FROM scores {where} ORDER BY metric, image_id", values)            # noqa: S608

    def metrics(self) -> list[str]:
        """Names of the metrics that have values."""
        return [name for (name,) in self._db.execute("SELECT DISTINCT metric FROM scores ORDER BY metric")]

    def drop_scores(self, metric: str) -> None:
        """Forget one metric."""
        with self._db:
            self._db.execute("DELETE FROM scores WHERE metric = ?", (metric,))

    def put_info(self, key: str, value: Any) -> None:
        """Keep a JSON value (probe times, score settings)."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO info VALUES(?, ?)", (key, json.dumps(value)))

    def info(self, key: str, default: Any = None) -> Any:
        """A kept value, or the default."""
        row = self._db.execute("SELECT value FROM info WHERE key = ?", (key,)).fetchone()
        return default if row is None else json.loads(row[0])


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[Store]:
    """A store to read from, whether a run is writing meanwhile or not."""
    with Store.open(folder, read_only=True) as store:
        yield store
