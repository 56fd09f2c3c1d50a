"""The pictures of a run with all that is known of them, and what the judge of faces read in them, kept as it comes."""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from caphuman_bench.folder import write_whole
from caphuman_bench.plan import ImageRecord, load_plan
from caphuman_bench.score.pictures import read_picture
from caphuman_bench.store import Store
from caphuman_core.flow import Head
from caphuman_train.miniature.words import Look

from . import colours, world
from .eye import Bias, Eye, Reading, calibrated
from .runs import RUNS, asked_of

READINGS = "readings.json"
KEPT_EVERY = 8                                   # pictures


@dataclass(frozen=True)
class Case:
    """One picture, or the part of it that one of two people has."""

    record: ImageRecord
    picture: Tensor                              # [3, S, S] 0..1
    head: Head                                   # as asked, of nobody or, where the hint is the person's, of the person
    look: Look
    person: int
    values: Mapping[str, float]                  # of the condition
    reading: Reading | None                      # without the judge's bias
    beside: tuple[int, ...] = ()                 # who else is in the picture
    place: int = 0                               # among the people in the picture, from the left

    @property
    def azimuth(self) -> float:
        """Degrees that the light comes from, positive from the picture's right."""
        return float(self.values["light_azimuth"])

    @cached_property
    def drawn(self) -> Tensor:
        """What a perfect generator would make."""
        return world.perfect(world.textured(self.head, self.person), self.look, self.record.seed).picture

    @cached_property
    def regions(self) -> colours.Regions:
        """Of the picture that was asked for."""
        return colours.regions(world.textured(self.head, self.person), self.look, self.record.seed)


def cases(folder: Path, name: str, eye: Eye, faces: bool = True, step: Callable[[str], object] = lambda line: None) -> list[Case]:
    """All pictures that a run has made. faces: whether the judge of faces is asked."""
    plan, found = load_plan(folder), []
    with Store.open(folder, read_only=True) as store:
        records = list(store.records("done"))
    pictures = [(record, read_picture(folder / str(record.file))) for record in records]
    there = [(record, picture) for record, picture in pictures if picture is not None]
    if not there:
        return []
    side = there[0][1].shape[-2]
    bias = calibrated(eye.name, side) if faces else Bias()
    parts = {_key(record, place, name): part for record, picture in there for place, part in enumerate(picture.split(side, -1))}
    readings = _readings(folder, parts, eye, step) if faces else {}
    for record, _ in there:
        asked = asked_of(plan, record, name, side)
        for place, (person, values, head) in enumerate(asked):
            key = _key(record, place, name)
            one, others = readings.get(key), tuple(other for other, _, _ in asked if other != person)
            found.append(Case(record, parts[key], head, world.look(int(record.prompt[1:])), person, values,
                              None if one is None else bias.off(Reading(**one)), others, place))
    return found


def _key(record: ImageRecord, place: int, name: str) -> str:
    return f"{record.id}.{place}" if RUNS[name].pairs else str(record.id)


def _readings(folder: Path, pictures: Mapping[str, Tensor], eye: Eye, step: Callable[[str], object]) -> dict:
    """By the picture's key, in JSON's form; None where no face is seen. What was read before is not read again."""
    path = folder / READINGS
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    todo = [(key, picture) for key, picture in pictures.items() if key not in known]
    for number, (key, picture) in enumerate(todo, 1):
        one = eye.read(picture)
        known[key] = None if one is None else asdict(one)
        if number % KEPT_EVERY == 0 or number == len(todo):
            write_whole(path, json.dumps(known).encode())
            step(f"{folder.name}: {number} of {len(todo)} read")
    return known
