"""Writing shards: records of one file, in the order of their numbers."""
from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterable

from .manifest import Entry, Shard
from .record import Record, add_to_tar


def shard_bytes(file: str, records: Iterable[Record]) -> tuple[Shard, bytes]:
    """A shard of these records: what the manifest says of it, and its content. The same records give the same bytes."""
    buffer = io.BytesIO()
    marks: list[tuple[Record, int, int]] = []
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for record in records:
            start = buffer.tell()
            add_to_tar(tar, record)
            marks.append((record, start, buffer.tell()))
    content = buffer.getvalue()
    entries = tuple(Entry(record.key, record.person, start, end - start, zlib.crc32(content[start:end]))
                    for record, start, end in marks)
    return Shard(file, len(content), hashlib.sha256(content).hexdigest(), entries), content
