"""Places of a batch chosen by a short text ("0", "3, 1", "2-5", "last", "reversed"), and a batch's entries at those places."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from .check import fail, require

if TYPE_CHECKING:
    from .flow import Head, Identity

Batch = TypeVar("Batch", "Head", "Identity")
MOST = 10_000                            # entries of what comes out
PLACE = r"-\d{1,9}|\d{1,9}|last"
RANGE = re.compile(rf"({PLACE})\s*-\s*({PLACE})")


def places(text: str, count: int, name: str = "which") -> list[int]:
    """The places, from 0, that `text` names in a batch of `count`, in its order; one may come twice.

    InputError if it names others."""
    found: list[int] = []
    for part in (part.strip().lower() for part in text.split(",")):
        if part in ("all", "reversed"):
            found += list(range(count))[::-1 if part == "reversed" else 1]
        elif re.fullmatch(PLACE, part):
            found.append(_place(part, count, name))
        elif ends := RANGE.fullmatch(part):
            first, last = (_place(end, count, name) for end in ends.groups())
            found += range(first, last + 1) if first <= last else range(first, last - 1, -1)
        else:
            fail(name, "must list places such as 0, or 3, 1, or 2-5, or last, all, reversed", repr(text),
                 "write numbers from 0 with commas between them; a range may run backwards (5-2), and -1 is the last")
        require(len(found) <= MOST, name, f"must name at most {MOST} places", f"{len(found)} and more", "name fewer")
    return found


def _place(word: str, count: int, name: str) -> int:
    place = count - 1 if word == "last" else int(word)
    if not -count <= place < count:
        fail(name, f"must stay in the batch, 0 to {count - 1}", word, "count from 0, or from the end with -1")
    return place % count


def pick(batch: Batch, chosen: Sequence[int]) -> Batch:
    """The entries of a batch at these places, in that order."""
    at = list(chosen)
    return replace(batch, **{key: value[at] for key, value in vars(batch).items() if hasattr(value, "shape")})
