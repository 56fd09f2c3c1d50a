"""What every source gives: a list of items in a fixed order, and the photo of any of them."""
from __future__ import annotations

import codecs
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
CAPTIONS = ("caption", "text", "prompt", "txt")              # names that data sets use, in order of preference
LICENCES, SOURCES = ("licence", "license", "rights"), ("source", "url", "page", "image_url")
PEOPLE = ("person", "identity", "person_id", "identity_id", "celeb_id")
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True)
class Item:
    """One photo of a source, not yet read."""

    number: int                          # place in the source, from 0
    key: str                             # its name there, unique: a path, or file and row
    person: str                          # whose photo it is; "" where nobody says
    where: tuple[Any, ...]               # what the source needs to read it
    mark: str                            # changes when the photo is replaced


@dataclass(frozen=True)
class Photo:
    """An item as it was found. problem: why it cannot be used; "" if nothing is wrong so far."""

    content: bytes                       # an encoded picture
    text: str = ""
    licence: str = ""
    source: str = ""
    person: str = ""
    problem: str = ""


class Source(Protocol):
    """A data set. `items` is the same every time, in the same order, and quick; `read` opens one photo."""

    def items(self) -> Sequence[Item]:
        """All photos, numbered. InputError if the data set itself is broken."""
        ...

    def read(self, item: Item) -> Photo:
        """One photo; never raises for what is wrong with it alone."""
        ...


def text_of(content: bytes) -> str | None:
    """A text file's content in one line: UTF-8, or UTF-16 that says so; None in any other encoding."""
    encoding = next((name for mark, name in BOMS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else " ".join(text.split())


def first_text(told: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of the names that has a text, in one line; "" if none has."""
    found = (told[name] for name in names if isinstance(told.get(name), (str, int)) and str(told[name]).strip())
    return " ".join(str(next(found, "")).split())


def photo_of(content: bytes | None, caption: bytes | None, told: bytes | None) -> Photo:
    """A photo of its encoded picture, the text file and the JSON file beside it, whichever are there."""
    if content is None:
        return Photo(b"", problem="the picture is not in the file")
    text = "" if caption is None else text_of(caption)
    if text is None:
        return Photo(content, problem="the caption is in another encoding than UTF-8")
    extra = {} if told is None else _object(told)
    if extra is None:
        return Photo(content, problem="the JSON file beside it cannot be read")
    return Photo(content, text or first_text(extra, CAPTIONS), first_text(extra, LICENCES), first_text(extra, SOURCES),
                 first_text(extra, PEOPLE))


def _object(content: bytes) -> dict[str, Any] | None:
    text = text_of(content)
    try:
        told = json.loads(text or "")
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def read_if_there(path: Path) -> bytes | None:
    """The content of a file; None if there is none."""
    return path.read_bytes() if path.is_file() else None
