"""What the pictures of a run say, as numbers; the same for sampled and for drawn pictures."""
from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from caphuman_train.miniature.scene import draw, face_seen, generator

from . import colours, world
from .cases import Case
from .eye import asked

PAIRS = 200
SIDEWAYS = 25.0                                  # degrees of azimuth from which a light has a side
MASK_OPEN = 0.5


class Value(NamedTuple):
    """A figure's number and how many pictures (pairs, steps) it is of; NaN of none."""

    number: float
    of: int


NOTHING = Value(float("nan"), 0)
Values = dict[str, Value]


@dataclass(frozen=True)
class Figure:
    """One number. better: +1 larger, -1 smaller."""

    key: str
    title: str
    meaning: str
    target: float
    better: int
    unit: str = ""

    def is_met(self, value: float) -> bool:
        """NaN never is."""
        return value >= self.target if self.better > 0 else value <= self.target


FIGURES = (
    Figure("found", "face found", "share of pictures in which the judge sees a face", 0.95, 1),
    Figure("yaw", "yaw", "median error of the turn to the side, over +-45 degrees", 5, -1, "degrees"),
    Figure("pitch", "pitch", "median error of the nod, over +-20 degrees", 5, -1, "degrees"),
    Figure("roll", "roll", "median error of the tilt, over +-20 degrees", 4, -1, "degrees"),
    Figure("yaw_follows", "yaw follows", "correlation of asked and obtained yaw", 0.95, 1),
    Figure("offset", "place", "median distance from the asked place, in shares of the picture's side", 0.04, -1),
    Figure("size", "size", "median difference from the asked size, as a share of it", 0.08, -1),
    Figure("jaw", "jaw", "share of steps of the jaw's opening in which the mouth opens further, noise the same", 0.9, 1),
    Figure("smile", "smile", "share of steps of the smile in which the mouth becomes wider, noise the same", 0.9, 1),
    Figure("light", "light's side", "share of pictures whose brighter half of the face is on the side of the light", 0.95, 1),
    Figure("mask", "mask", "mean intersection over union of the predicted mask and the asked head's face", 0.85, 1),
    Figure("person", "person by skin", "share of pairs in which the skin's colour is nearer to the asked person's than to the "
           "other's; the hint is the same for both", 0.9, 1),
    Figure("person_dlib", "person by dlib", "the same by dlib's distance to each person's photos, where it sees a face", 0.9, 1),
    Figure("two_person", "two people, who", "share of faces, in pictures of two people, whose skin is nearer to the asked person's "
           "than to the other's", 0.9, 1),
    Figure("two_yaw", "two people, yaw", "median error of the turn of both heads", 5, -1, "degrees"),
    Figure("two_follows", "two people, yaw follows", "correlation of asked and obtained yaw of the left head", 0.95, 1),
    Figure("two_still", "two people, the other", "degrees that the right head, which is asked to stay, turns for each one that is "
           "asked of the left", 0.05, -1),
    Figure("ground", "background", "share of pictures whose background is nearest to the caption's colour", 0.8, 1),
    Figure("shirt", "shirt", "share of pictures whose shirt is nearest to the caption's colour", 0.8, 1),
)


def pose(cases: Sequence[Case]) -> Values:
    """Errors of pose, place and size."""
    rows = [(torch.tensor(asked(case.head)), case.reading) for case in cases if case.reading is not None]
    found = {"found": _share([case.reading is not None for case in cases])}
    if len(rows) < 3:
        return found
    wanted = torch.stack([row for row, _ in rows])
    got = torch.tensor([[one.yaw, one.pitch, one.roll, one.x, one.y, one.size] for _, one in rows])
    apart = (got - wanted).abs()
    for index, name in enumerate(("yaw", "pitch", "roll")):
        found[name] = _median(apart[:, index])
    found["offset"] = _median(apart[:, 3:5].norm(dim=1))
    found["size"] = _median((got[:, 5] / wanted[:, 5] - 1).abs())
    found["yaw_follows"] = Value(float(torch.corrcoef(torch.stack([wanted[:, 0], got[:, 0]]))[0, 1]), len(rows))
    return found


def _median(values: Tensor) -> Value:
    return Value(float(values.median()), len(values))


def expression(cases: Sequence[Case]) -> Values:
    """Of the series of `world.expression_heads`: shares of steps in the right direction."""
    return {kind: _rising([case for case in cases if case.record.head.startswith(kind)], name)
            for kind, name in (("jaw", "opening"), ("smile", "width"))}


def _rising(cases: Sequence[Case], name: str) -> Value:
    steps = []
    for _, series in groupby(sorted(cases, key=_series), key=lambda case: _series(case)[:2]):
        values = [None if case.reading is None else getattr(case.reading, name) for case in series]
        steps += [a is not None and b is not None and b > a for a, b in pairwise(values)]
    return _share(steps)


def _series(case: Case) -> tuple[int, str, str]:
    return case.person, case.record.prompt, case.record.head


def light(cases: Sequence[Case]) -> Values:
    """Whether the brighter half of the face is on the side that the light comes from."""
    rows = [(case.azimuth, colours.brighter_right(case.picture, case.regions)) for case in cases if abs(case.azimuth) >= SIDEWAYS]
    return {"light": _share([side * azimuth > 0 for azimuth, side in rows if side is not None])}


def mask(cases: Sequence[Case]) -> Values:
    """Of pictures that are masks."""
    rows = [colours.overlap(case.picture[0] > MASK_OPEN, face_seen(case.head, world.model())) for case in cases]
    return {"mask": Value(statistics.mean(rows), len(rows)) if rows else NOTHING}


def caption(cases: Sequence[Case]) -> Values:
    """Whether background and shirt have the caption's colours."""
    grounds, shirts = [], []
    for case in cases:
        where = case.regions
        grounds.append((colours.ground_word(case.picture, where.ground), case.look.ground))
        shirts.append((colours.shirt_word(case.picture, where.shirt, case.drawn, case.look.shirt), case.look.shirt))
    return {name: _share([got == word for got, word in rows if got is not None]) for name, rows in
            (("ground", grounds), ("shirt", shirts))}


def person(cases: Sequence[Case]) -> Values:
    """Of pairs of pictures that differ by the person alone: is the skin nearer to the right one's?"""
    skins = {id(case): skin(case) for case in cases}
    right = []
    for case, other in pairs(cases):
        got = skins[id(case)]
        if got is not None:
            mine, theirs = (albedo_of(case, who) for who in (case.person, other.person))
            right.append(float((got - mine).norm()) < float((got - theirs).norm()))
    return {"person": _share(right)}


def two(cases: Sequence[Case]) -> Values:
    """Of pictures of two people: each is who and where it should be, whatever the other is."""
    right = []
    for case in cases:
        got = skin(case)
        if got is not None:
            mine, *others = (albedo_of(case, who) for who in (case.person, *case.beside))
            right.append(all(float((got - mine).norm()) < float((got - other).norm()) for other in others))
    found = {"two_person": _share(right)}
    rows = [(case, asked(case.head)[0], case.reading.yaw) for case in cases if case.reading is not None]
    if len(rows) >= 3:
        found["two_yaw"] = Value(statistics.median(abs(got - wanted) for _, wanted, got in rows), len(rows))
    left = {case.record.id: (wanted, got) for case, wanted, got in rows if case.place == 0}
    both = [(left[case.record.id][0], got) for case, _, got in rows if case.place == 1 and case.record.id in left]
    if len(both) >= 3:
        found["two_follows"] = Value(float(torch.corrcoef(torch.tensor(list(left.values())).T)[0, 1]), len(left))
        (spread, together), _ = torch.cov(torch.tensor(both).T).tolist()
        found["two_still"] = Value(abs(together / spread), len(both))
    return found


def person_by(embed: Callable[[Any], Any], photos: dict[int, list[Any]], cases: Sequence[Case]) -> Values:
    """The same by a judge of identity: embed(picture) -> vector or None; photos: vectors of each person's photos."""
    vectors = {id(case): embed(case.picture) for case in cases}
    right = []
    for case, other in pairs(cases):
        got, mine, theirs = vectors[id(case)], photos.get(case.person), photos.get(other.person)
        if got is not None and mine and theirs:
            near, far = (statistics.mean(float(((got - one) ** 2).sum() ** 0.5) for one in rows) for rows in (mine, theirs))
            right.append(near < far)
    return {"person_dlib": _share(right)}


def pairs(cases: Sequence[Case], most: int = PAIRS) -> list[tuple[Case, Case]]:
    """Up to `most` ordered pairs under the same head and caption, drawn by a fixed seed."""
    found = [(one, other) for one in cases for other in cases if one.person != other.person
             and (one.record.head, one.record.prompt) == (other.record.head, other.record.prompt)]
    order = torch.randperm(len(found), generator=generator(world.SEED, "pairs")).tolist()
    return [found[index] for index in order[:most]]


def skin(case: Case) -> Tensor | None:
    """[3] albedo of the face in a picture: its mean colour, less the light, which is known from the same head with mean skin."""
    where = case.regions.skin
    got = colours.mean_colour(case.picture, where)
    plain = world.perfect(case.head.replace(texture=torch.zeros_like(case.head.texture)), case.look, case.record.seed).picture
    light_there = colours.mean_colour(plain, where)
    if got is None or light_there is None:
        return None
    return got / light_there.clamp(min=1e-3) * _albedo(case.head.replace(texture=torch.zeros_like(case.head.texture)), where)


def photos_tell(people: int, side: int, any_light: bool) -> Value:
    """Share of ordered pairs in which the face's mean colour in one photo of a person is nearer to that in the person's next photo
    than to that in the other's: how much of the skin a photo tells."""
    rows = [[_face_colour(scene) for scene in world.photos_of(person, side, 2, any_light)] for person in range(people)]
    return _share([bool((mine[0] - mine[1]).norm() < (mine[0] - other[1]).norm()) for mine in rows for other in rows
                   if other is not mine])


def _face_colour(scene: Any) -> Tensor:
    drawn = draw(scene, world.model())
    return drawn.picture[:, drawn.face].mean(1)


def albedo_of(case: Case, who: int) -> Tensor:
    """[3] mean albedo of a person's face in the place of the case's."""
    return _albedo(world.textured(case.head, who), case.regions.skin)


def _albedo(head: Any, where: Tensor) -> Tensor:
    from caphuman_core.render.maps import render
    return render(head, world.model(), head.width, head.height).albedo[0][:, where].mean(1)


def error(case: Case) -> float:
    """How far a picture is from what was asked of it, in targets: for choosing the worst."""
    if case.reading is None:
        return math.inf
    yaw, pitch, roll, x, y, size = asked(case.head)
    one = case.reading
    return (abs(one.yaw - yaw) / 5 + abs(one.pitch - pitch) / 5 + abs(one.roll - roll) / 4
            + math.hypot(one.x - x, one.y - y) / 0.04 + abs(one.size / size - 1) / 0.08)


def _share(hits: Sequence[bool]) -> Value:
    return Value(sum(hits) / len(hits), len(hits)) if hits else NOTHING
