"""Text inside PNG files: reading what the host wrote, adding our own, and telling whether a file is whole."""
from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, data) of every chunk; ValueError unless all are there and sound, up to the last."""
    if not content.startswith(SIGNATURE):
        raise ValueError("not a PNG file")
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(content):
            raise ValueError("cut short")
        length, kind = struct.unpack_from(">I4s", content, at)
        data = content[at + 8:at + 8 + length]
        if len(content) < at + 12 + length or struct.unpack_from(">I", content, at + 8 + length)[0] != zlib.crc32(kind + data):
            raise ValueError("damaged")
        yield kind, data
        at += 12 + length


def text(content: bytes) -> dict[str, str]:
    """The plain texts (tEXt, and uncompressed iTXt) of a whole PNG file by keyword; ValueError for a damaged one."""
    found = {}
    for kind, data in chunks(content):
        key, _, value = data.partition(b"\0")
        if kind == b"tEXt":
            found[key.decode("latin-1")] = value.decode("latin-1")
        elif kind == b"iTXt" and value[:1] == b"\0":
            found[key.decode("latin-1")] = value[2:].split(b"\0", 2)[-1].decode("utf-8", "replace")
    return found


def with_text(content: bytes, key: str, value: str) -> bytes:
    """The file with one more text, ASCII, behind its header."""
    data = key.encode("ascii") + b"\0" + value.encode("ascii")
    chunk = struct.pack(">I", len(data)) + b"tEXt" + data + struct.pack(">I", zlib.crc32(b"tEXt" + data))
    behind_header = len(SIGNATURE) + 25
    return content[:behind_header] + chunk + content[behind_header:]
