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
from .runs import RUNS, person_of

READINGS = "readings.json"
KEPT_EVERY = 8                                   # pictures


@dataclass(frozen=True)
class Case:
    """One picture."""

    record: ImageRecord
    picture: Tensor                              # [3, S, S] 0..1
    head: Head                                   # as asked, of nobody or, where the hint is the person's, of the person
    look: Look
    person: int
    values: Mapping[str, float]                  # of the condition
    reading: Reading | None                      # without the judge's bias

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
    side = there[0][1].shape[-1]
    readings = _readings(folder, there, eye, step) if faces else {}
    bias = calibrated(eye.name, side) if faces else Bias()
    for record, picture in there:
        values, person = plan.head(record.head).values, person_of(record.identity)
        head = world.asked_head(values, side, person if RUNS[name].shaped else None)
        one = readings.get(str(record.id))
        found.append(Case(record, picture, head, world.look(int(record.prompt[1:])), person, values,
                          None if one is None else bias.off(Reading(**one))))
    return found


def _readings(folder: Path, pictures: list[tuple[ImageRecord, Tensor]], eye: Eye, step: Callable[[str], object]) -> dict:
    """By the picture's number, in JSON's form; None where no face is seen. What was read before is not read again."""
    path = folder / READINGS
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    todo = [(record, picture) for record, picture in pictures if str(record.id) not in known]
    for number, (record, picture) in enumerate(todo, 1):
        one = eye.read(picture)
        known[str(record.id)] = None if one is None else asdict(one)
        if number % KEPT_EVERY == 0 or number == len(todo):
            write_whole(path, json.dumps(known).encode())
            step(f"{folder.name}: {number} of {len(todo)} read")
    return known
