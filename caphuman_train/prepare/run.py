"""All photos of a data set into shards: a survey of them, copies left out, then shard by shard."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

from caphuman_core.check import fail, require

from ..data.alike import copies
from ..data.manifest import MANIFEST_FILE, Manifest, load_manifest
from ..data.sources import Item, Source
from .journal import REFUSED_FILE, Journal
from .pool import Pool
from .settings import Settings
from .work import SHARD, SURVEY, Made, Surveyed, Task

SURVEYING, SHARDS = "survey", "shards"   # phases
SURVEYED_AT_ONCE = 256                   # photos
IN_MANIFEST = ("width", "height", "flips", "tokens", "clip_view", "allow")
Step = Callable[[bool], object]          # one photo is done; True: it was refused


Bars = Callable[[str, int, int, int], Step]          # phase, photos in all, done, refused -> step


def prepare(folder: Path, source: Source, settings: Settings, pool: Pool, tools: Mapping[str, Any], bars: Bars) -> Manifest:
    """The folder's manifest, when all is done. The caller holds the folder's lock.

    tools: the options that name networks, to be the same when it is gone on with. Raises InputError.
    """
    settings.check()
    items = source.items()
    require(bool(items), "the data", "must hold photos", "none", "name a folder of pictures, tars or parquet files")
    journal = Journal(folder)
    journal.begin(settings, items, tools)
    if (folder / MANIFEST_FILE).is_file():
        journal.clear()
        return load_manifest(folder)
    surveyed = _survey(journal, source, items, pool, bars)
    refused = {one.number: one.refused for one in surveyed if one.refused} | _copies(items, surveyed)
    made = _shards(journal, source, [items[one.number] for one in surveyed if one.number not in refused], surveyed, settings, pool,
                   bars)
    for one in made:
        refused |= dict(one.refused)
    listed = [(items[number].key, reason) for number, reason in sorted(refused.items())]
    shards = tuple(one.shard for one in made if one.shard is not None)
    if not shards:
        _nothing_left(journal, listed)
    manifest = Manifest(shards, {**{name: asdict(settings)[name] for name in IN_MANIFEST}, **made[0].versions},
                        summary_of(made, listed))
    journal.finish(manifest, listed)
    return manifest


def summary_of(made: Sequence[Made], refused: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """For people: how many, of whom, under which licences; how many were refused and why."""
    entries = [entry for one in made if one.shard is not None for entry in one.shard.entries]
    licences: Counter[str] = Counter()
    for one in made:
        licences.update(one.licences)
    reasons = Counter(kind_of(reason) for _, reason in refused)
    return {"samples": len(entries), "people": len({entry.person for entry in entries}), "licences": dict(licences.most_common()),
            "refused": dict(reasons.most_common())}


def kind_of(reason: str) -> str:
    """A reason without what is particular to one photo."""
    return reason.partition(" (")[0].partition(": ")[0]


def _survey(journal: Journal, source: Source, items: Sequence[Item], pool: Pool, bars: Bars) -> list[Surveyed]:
    """Every photo at first sight, in order."""
    units = {f"{SURVEY}-{number:06}": items[first:first + SURVEYED_AT_ONCE]
             for number, first in enumerate(range(0, len(items), SURVEYED_AT_ONCE))}
    known = {name: found for name in units if (found := journal.survey(name)) is not None}
    step = bars(SURVEYING, len(items), *_counts(one.refused for found in known.values() for one in found))
    for task, outcome in pool.run(_tasks(SURVEY, source, units, known)):
        journal.keep_survey(task.name, outcome)
        known[task.name] = outcome
        for one in outcome:
            step(bool(one.refused))
    return [one for name in units for one in known[name]]


def _counts(refused: Iterable[str]) -> tuple[int, int]:
    """(kept, refused) of reasons, "" where there is none."""
    told = [bool(reason) for reason in refused]
    return len(told) - sum(told), sum(told)


def _copies(items: Sequence[Item], surveyed: Sequence[Surveyed]) -> dict[int, str]:
    """number -> reason, of photos that are copies of another."""
    good = [one for one in surveyed if not one.refused]
    found = copies([one.picture_hash for one in good], [one.pixels for one in good])
    return {good[index].number: f"copy of: {items[good[kept].number].key}" for index, kept in found.items()}


def _shards(journal: Journal, source: Source, chosen: Sequence[Item], surveyed: Sequence[Surveyed], settings: Settings, pool: Pool,
            bars: Bars) -> list[Made]:
    """The shards of the chosen photos, in order, without their content."""
    units = {f"{SHARD}-{number:06}": chosen[first:first + settings.per_shard]
             for number, first in enumerate(range(0, len(chosen), settings.per_shard))}
    known = {name: found for name in units if (found := journal.made(name)) is not None}
    step = bars(SHARDS, len(chosen), sum(len(one.shard.entries) for one in known.values() if one.shard is not None),
                sum(len(one.refused) for one in known.values()))
    for task, outcome in pool.run(_tasks(SHARD, source, units, known, surveyed)):
        journal.keep_made(task.name, outcome)
        known[task.name] = replace(outcome, content=b"")
        for number in range(len(task.photos)):
            step(number < len(outcome.refused))
    _require_one_kind(list(known.values()))
    return [known[name] for name in units]


def _tasks(kind: str, source: Source, units: Mapping[str, Sequence[Item]], known: Mapping[str, Any],
           surveyed: Sequence[Surveyed] = ()) -> Iterator[Task]:
    """What is still to be done; photos are read when a worker is about to need them."""
    for number, (name, items) in enumerate(units.items()):
        if name not in known:
            yield Task(kind, number, tuple((item, source.read(item)) for item in items),
                       tuple(surveyed[item.number].picture_hash for item in items) if surveyed else ())


def _require_one_kind(made: Sequence[Made]) -> None:
    """Refuse shards that were made with different networks: by machines with other files, or by a run before an update."""
    for one in made:
        for name, version in one.versions.items():
            if version != made[0].versions.get(name):
                fail(f"the {name.replace('_', ' ')}", "must be the same for all shards",
                     f"{made[0].versions.get(name)} and {version}",
                     "put the same files on every machine and prepare into a new folder")


def _nothing_left(journal: Journal, refused: Sequence[tuple[str, str]]) -> NoReturn:
    journal.write_refused(refused)
    reasons = Counter(kind_of(reason) for _, reason in refused).most_common(4)
    fail("photos", "must leave something to learn from", f"{len(refused):,} refused: "
         f"{', '.join(f'{count:,} {reason}' for reason, count in reasons)}",
         f"look at {REFUSED_FILE} in the shards folder; options of prepare set what is refused")
