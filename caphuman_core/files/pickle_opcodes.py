"""The opcodes of a pickle, one after the other, without running them."""
from __future__ import annotations

import codecs
import pickletools
from collections.abc import Iterator
from typing import IO, Any

_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_LENGTH_BYTES = {"BINBYTES": 4, "BINBYTES8": 8, "BINSTRING": 4, "BINUNICODE": 4, "BINUNICODE8": 8, "BYTEARRAY8": 8, "LONG4": 4}
LONGEST_LINE = 256 << 20                 # bytes of an argument in pickle's text form


class _Lines:
    """A file whose lines have an end; pickletools reads to the next newline, wherever that is."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self._file = file.read, file

    def readline(self) -> bytes:
        """The next line, or so much of it that pickletools finds it cut off."""
        return self._file.readline(LONGEST_LINE)


def opcodes(file: IO[bytes], longest: int | None = None) -> Iterator[tuple[str, Any]]:
    """Name and argument of each opcode up to STOP; the file then stands behind it. ValueError for what is no pickle.

    longest: arguments of more bytes are passed over unread and come as None.
    """
    lines: Any = _Lines(file)
    while True:
        opcode = _OPCODES.get(file.read(1))
        if opcode is None:
            raise ValueError("it ends in the middle, or is no pickle")
        yield opcode.name, None if opcode.arg is None else _argument(file, lines, opcode, longest)
        if opcode.name == "STOP":
            return


def _argument(file: IO[bytes], lines: Any, opcode: pickletools.OpcodeInfo, longest: int | None) -> Any:
    if opcode.name == "STRING":          # pickletools knows ASCII only; Python 2 wrote bytes so
        line = lines.readline().rstrip(b"\r\n")
        return codecs.escape_decode(line[1:-1])[0].decode("latin-1")                # type: ignore[attr-defined]
    size = _LENGTH_BYTES.get(opcode.name)
    if longest is not None and size is not None:
        start = file.tell()
        length = int.from_bytes(file.read(size), "little")
        if length > longest:
            _pass_over(file, length)
            return None
        file.seek(start)
    return opcode.arg.reader(lines)                                                 # type: ignore[union-attr]


def _pass_over(file: IO[bytes], length: int) -> None:
    here = file.tell()
    if here + length > file.seek(0, 2):
        raise ValueError("it declares more bytes than it has")
    file.seek(here + length)
