"""What a worker does, wherever it runs: photos of one task in, what became of them out; the outcome depends on nothing else."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..data.manifest import Shard
from ..data.sources import Item, Photo
from .settings import Settings

if TYPE_CHECKING:
    from .tools import Tools

SURVEY, SHARD = "survey", "shard"


@dataclass(frozen=True)
class Task:
    """Some photos, read already: a worker needs to see neither the data set nor the shards folder."""

    kind: str                            # SURVEY or SHARD
    number: int
    photos: tuple[tuple[Item, Photo], ...]
    hashes: tuple[str, ...] = ()         # of the photos, from the survey; for shards

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.number:06}"


@dataclass(frozen=True)
class Surveyed:
    """One photo at first sight."""

    number: int
    picture_hash: str                    # "" where there is no picture
    pixels: int
    refused: str                         # the reason, or ""


@dataclass(frozen=True)
class Made:
    """A shard, or None where no photo was left; who was refused and why; what made it."""

    shard: Shard | None
    content: bytes
    refused: tuple[tuple[int, str], ...]         # number, reason
    versions: Mapping[str, str]
    licences: Mapping[str, int] = field(default_factory=dict)    # how many photos stand under each


class Worker:
    """Does tasks; loads its networks with the first that needs them."""

    def __init__(self, settings: Settings, load: Callable[[], Tools]) -> None:
        self._settings, self._load = settings, load
        self._tools: Tools | None = None

    def do(self, task: Task) -> list[Surveyed] | Made:
        """The outcome of one task."""
        import torch
        threads = torch.get_num_threads()
        torch.set_num_threads(1)         # sums come out alike however many workers share the machine
        try:
            return self._survey(task) if task.kind == SURVEY else self._shard(task)
        finally:
            torch.set_num_threads(threads)

    def _survey(self, task: Task) -> list[Surveyed]:
        return [_first_sight(item, photo, self._settings) for item, photo in task.photos]

    def _shard(self, task: Task) -> Made:
        from ..data.writer import shard_bytes
        from .stages import Refused, encode, look_at
        self._tools = self._tools or self._load()
        looked, hashes, refused = [], [], []
        for (item, photo), mark in zip(task.photos, task.hashes, strict=True):
            try:
                looked.append(look_at(item, photo, self._tools, self._settings))
                hashes.append(mark)
            except Refused as reason:
                refused.append((item.number, str(reason)))
        if not looked:
            return Made(None, b"", tuple(refused), self._tools.versions)
        records = list(encode(looked, hashes, self._tools, self._settings))
        shard, content = shard_bytes(f"{task.name}.tar", records)
        return Made(shard, content, tuple(refused), self._tools.versions, Counter(record.licence for record in records))


def _first_sight(item: Item, photo: Photo, settings: Settings) -> Surveyed:
    """What can be told without a network: whether there is a picture, may it be used, which one it is."""
    from ..data.alike import picture_hash
    from .stages import Refused, decode
    licence = photo.licence or settings.licence
    if photo.problem:
        return Surveyed(item.number, "", 0, photo.problem)
    if not settings.allows(licence):
        return Surveyed(item.number, "", 0, f"licence not allowed ({licence[:60] or 'none given'})")
    try:
        picture = decode(photo.content)
    except Refused as reason:
        return Surveyed(item.number, "", 0, str(reason))
    return Surveyed(item.number, picture_hash(picture), picture.width * picture.height, "")


def outcome_of(survey: Sequence[Surveyed]) -> list[list[object]]:
    """As JSON."""
    return [[one.number, one.picture_hash, one.pixels, one.refused] for one in survey]
