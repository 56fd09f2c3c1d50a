"""What a part is made of: rows that are asked one by one, each of which may fail, be left out, or find no time."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Values = dict[str, Any]                  # a column's title -> what stands in it
NEEDS = ("", "cuda", "nvidia")           # any device; a card that torch drives as CUDA (ROCm's too); NVIDIA's own


class LeftOut(Exception):
    """Raised by a row that has nothing to measure here. Its text says why."""


@dataclass(frozen=True)
class Setting:
    """Where and how large a part is run."""

    device: str                          # cuda, cpu
    size: str                            # full: networks and pictures as people use them; narrow: as small as they get
    maker: str                           # nvidia, amd, or "" without a card
    free_bytes: int                      # of the card's memory, before this process took any; 0 without a card
    out: Path                            # results; parts leave notes for each other there too
    until: float = float("inf")          # time.time() by which the part has to be done
    part: str = ""

    @property
    def full(self) -> bool:
        return self.size == "full"

    def note(self, name: str) -> Path:
        """A file that one part leaves for another."""
        (self.out / "notes").mkdir(parents=True, exist_ok=True)
        return self.out / "notes" / name


@dataclass(frozen=True)
class Row:
    """One line of a table: a name, and the function that finds its values."""

    name: str
    find: Callable[[Setting], Values | Iterator[tuple[str, Values]]]     # several lines: (name, values) of each, as they come
    needs: str = ""                      # one of NEEDS
    gigabytes: float = 0.0               # of free card memory that it takes at full size
    seconds: float = 5.0                 # about as long it takes at full size on a card; not begun with less time left


@dataclass(frozen=True)
class Outcome:
    """What became of a row; one JSON line."""

    part: str
    asked: str                           # the row of the part
    row: str                             # the line's own name, where a row gives several
    state: str                           # done, failed, left out, no time
    values: Values = field(default_factory=dict)
    said: str = ""                       # why, where it is not done
    seconds: float = 0.0                 # it took


def asked(rows: Sequence[Row], setting: Setting, begun: Callable[[str], None] = lambda name: None) -> Iterator[Outcome]:
    """The outcomes of a part's rows, one after the other. begun(name) is called before each that is run."""
    for row in rows:
        missing = unmet(row, setting)
        if missing:
            yield Outcome(setting.part, row.name, row.name, "left out", said=missing)
        elif time.time() + (row.seconds if setting.full else 0.0) > setting.until:
            yield Outcome(setting.part, row.name, row.name, "no time",
                          said=f"skipped: it takes about {row.seconds:.0f} s, which were not left")
        else:
            begun(row.name)
            yield from _found(row, setting)


def unmet(row: Row, setting: Setting) -> str:
    """Why a row cannot be asked here; "" where it can."""
    if row.needs and setting.device != "cuda":
        return "needs a CUDA card"
    if row.needs == "nvidia" and setting.maker != "nvidia":
        return f"needs NVIDIA's CUDA, but the card is {setting.maker.upper() or 'another maker'}'s"
    free = setting.free_bytes / 2**30
    if setting.full and setting.device == "cuda" and row.gigabytes > free:
        return f"needs {row.gigabytes:g} GB of card memory, but {free:.1f} GB are free"
    return ""


def _found(row: Row, setting: Setting) -> Iterator[Outcome]:
    """One row, whatever happens in it."""
    start = time.perf_counter()

    def outcome(name: str, state: str, values: Values, said: str = "") -> Outcome:
        return Outcome(setting.part, row.name, name, state, values, said, round(time.perf_counter() - start, 3))
    try:
        found = row.find(setting)
        if isinstance(found, dict):
            yield outcome(row.name, "done", found)
            return
        for name, values in found:
            yield outcome(name, "done", values)
            start = time.perf_counter()
    except LeftOut as reason:
        yield outcome(row.name, "left out", {}, str(reason))
    except Exception as error:           # a broken row is a line of the table; the rows after it are asked all the same
        yield outcome(row.name, "failed", {}, told(error))
        del error
        let_go()


def told(error: BaseException) -> str:
    """An error on one line; what frames it holds is let go of, for the card's memory hangs on them."""
    error.__traceback__ = None
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


def let_go() -> None:
    """Give back what a failed row has left on the card."""
    import gc
    import sys
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
