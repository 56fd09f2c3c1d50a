"""Scoring a run folder: what is missing is computed, person by person in batches, and kept as it comes.

Every batch is one transaction: stopped at any moment, the next call goes on where this one was. Scores of another judge
(another file, another detector) are dropped and made again if that is asked for, never mixed. What could not be measured is kept
as missing (NULL); an image that cannot be read is not kept at all and tried again.
"""
from __future__ import annotations

import datetime
import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caphuman_core.check import InputError, fail

from ..folder import locked
from ..plan import HeadEntry, IdentityEntry, ImageRecord, Plan, load_plan
from ..store import Store
from .control import Fitted, Fitter, asked_head, errors, find_fitter
from .faces import Seen, choose_detector, look, version_of
from .identity import Judge, find_judges
from .metrics import GROUPS, names_of
from .pictures import read_picture
from .prompts import PromptJudge

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 16
FACELESS = {"clip"}                      # groups that look at the whole picture
GROUP_OF = {"DECA": "control"}           # of what may be missing; judges have their group's name
INFO = "score"                           # key of the store's info: judges, what is missing, versions
PACKAGES = ("torch", "numpy", "transformers", "insightface", "dlib-bin", "mediapipe", "onnxruntime", "pillow")
Row = tuple[int, str, "float | None"]


@dataclass(frozen=True)
class Options:
    """models: a folder laid out like the host's models/ (facenet, insightface, detection, flame). clip: CLIP's folder."""

    models: Path | None = None
    clip: Path | None = None
    detector: str = "auto"
    device: str = "cpu"
    groups: tuple[str, ...] = GROUPS
    batch: int = BATCH
    again: bool = False                  # drop scores of other judges than the present ones


@dataclass
class Bench:
    """What scores: whatever of it is complete. versions: group -> what exactly; missing: name -> sentence with the install line."""

    detector: Any                        # None where no group that is asked for looks at faces
    judges: dict[str, Judge] = field(default_factory=dict)
    clip: PromptJudge | None = None
    fitter: Fitter | None = None
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    groups: tuple[str, ...] = GROUPS     # that were asked for
    device: str = "cpu"
    unreadable: int = 0                  # images that could not be read: not scored, tried again next time


def assemble(plan: Plan, options: Options) -> Bench:
    """The judges of the asked groups that are complete. Raises InputError without any face detector or for unknown groups."""
    unknown = sorted(set(options.groups) - set(GROUPS))
    if unknown:
        fail("groups", f"must be of {', '.join(GROUPS)}", ", ".join(unknown), "leave --groups out to score everything")
    bench = Bench(choose_detector(options.detector, options.models) if set(options.groups) - FACELESS else None,
                  groups=options.groups, device=options.device)
    eye = f"faces by {version_of(bench.detector)}" if bench.detector else ""
    bench.versions["face"] = eye
    judges, lacks = find_judges(options.models, options.device)
    bench.judges = {judge.key: judge for judge in judges if judge.key in options.groups}
    bench.missing |= {key: text for key, text in lacks.items() if key in options.groups}
    bench.versions |= {key: f"{judge.version}; {eye}" for key, judge in bench.judges.items()}
    if "control" in options.groups:
        bench.fitter, lacks = find_fitter(options.models, options.device)
        bench.missing |= lacks
        bench.versions["control"] = f"{bench.fitter.version}; {eye}"
    if "clip" in options.groups:
        try:
            bench.clip = PromptJudge(options.clip, plan.prompts, options.device)
            bench.versions["clip"] = bench.clip.version
        except InputError as error:
            bench.missing["clip"] = str(error)
    bench.versions = {group: text for group, text in bench.versions.items() if group in options.groups}
    return bench


def score(folder: Path, options: Options, step: Callable[[int, int], object] | None = None, bench: Bench | None = None) -> Bench:
    """Score every finished image of a run folder; returns what judged. step(done, all) is called after each batch."""
    plan = load_plan(folder)                 # before the lock, which would make the folder
    with locked(folder, "score"):
        bench = bench or assemble(plan, options)
        with Store.open(folder) as store:
            _drop_stale(store, bench, options.again)
            todo = _todo(store, list(bench.versions))
            total, done = sum(len(images) for images in todo.values()), 0
            for person in plan.identities:
                for part in _batches(todo.get(person.name, []), options.batch, folder, plan, person, bench):
                    store.put_scores(part.rows)
                    done += part.images
                    if step is not None:
                        step(done, total)
                store.put_info(INFO, _info(store.info(INFO, {}), bench))
    return bench


def _drop_stale(store: Store, bench: Bench, again: bool) -> None:
    """Scores of other judges than the present ones are forgotten, if `again` says so; the new judges are noted before they score.

    Raises InputError for other judges without `again`: a forgotten option must not cost days of scoring.
    """
    before = store.info(INFO, {})
    known = before.get("versions", {})
    other = [group for group, version in bench.versions.items() if known.get(group, version) != version]
    if other and not again:
        fail(f"judge of '{other[0]}'", f"must be the one that scored before ({known[other[0]]})", bench.versions[other[0]],
             "give the same --models, --clip and --detector, or --again to drop the scores of "
             f"{', '.join(other)} and make them anew")
    for group in other:
        for name in names_of(group):
            store.drop_scores(name)
        bench.notes.append(f"Scores of group '{group}' were made again: the judge was '{known[group]}' and is now "
                           f"'{bench.versions[group]}'.")
    store.put_info(INFO, _info(before, bench))


def _info(before: Mapping[str, Any], bench: Bench) -> dict[str, Any]:
    versions = {**before.get("versions", {}), **bench.versions}
    old = {name: text for name, text in before.get("missing", {}).items() if GROUP_OF.get(name, name) not in bench.groups}
    missing = {**old, **bench.missing}
    notes = [*before.get("notes", []), *bench.notes]
    return {"versions": versions, "missing": {name: text for name, text in missing.items() if name not in versions},
            "notes": list(dict.fromkeys(notes)), "packages": {"python": platform.python_version(), **dict(_packages())},
            "machine": f"{platform.system()} {platform.machine()}, {bench.device}", "unreadable": bench.unreadable,
            "scored_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def _packages() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def _todo(store: Store, groups: Sequence[str]) -> dict[str, list[tuple[ImageRecord, tuple[str, ...]]]]:
    """Per person, finished images and the groups that have not seen them; a group's metrics are always put together."""
    seen = {group: {number for number, _, _ in store.scores(names_of(group)[0])} for group in groups}
    todo: dict[str, list[tuple[ImageRecord, tuple[str, ...]]]] = {}
    for record in store.records("done"):
        lacks = tuple(group for group in groups if record.id not in seen[group])
        if lacks:
            todo.setdefault(record.identity, []).append((record, lacks))
    return todo


@dataclass(frozen=True)
class _Part:
    rows: list[Row]
    images: int


def _batches(todo: Sequence[tuple[ImageRecord, tuple[str, ...]]], size: int, folder: Path, plan: Plan, person: IdentityEntry,
             bench: Bench) -> Iterator[_Part]:
    if not todo:
        return
    subject = Subject(folder, plan, person, bench)
    for start in range(0, len(todo), size):
        chunk = todo[start:start + size]
        rows: list[Row] = []
        read = [(read_picture(folder / (record.file or "?")), record, lacks) for record, lacks in chunk]
        here = [(picture, record, lacks) for picture, record, lacks in read if picture is not None]
        bench.unreadable += len(chunk) - len(here)
        faces = any(set(lacks) - FACELESS for _, _, lacks in here)
        pictures = [picture for picture, _, _ in here]
        seen = look(bench.detector, pictures) if faces else [Seen(picture, None) for picture in pictures]
        for group in bench.versions:
            rows += _rows(group, subject, [(record, one) for (_, record, lacks), one in zip(here, seen, strict=True)
                                           if group in lacks])
        yield _Part(rows, len(chunk))


def _rows(group: str, subject: Subject, images: Sequence[tuple[ImageRecord, Seen]]) -> list[Row]:
    """Every metric of the group for every image: missing ones as None."""
    values = subject.values(group, images) if images else []
    return [(record.id, name, value.get(name)) for (record, _), value in zip(images, values, strict=True)
            for name in names_of(group)]


class Subject:
    """One person under judgement: the reference photos are looked at once, and only by the judges that need them."""

    def __init__(self, folder: Path, plan: Plan, person: IdentityEntry, bench: Bench) -> None:
        self._folder, self._plan, self._person, self._bench = folder, plan, person, bench
        self._photos: list[Seen] | None = None
        self._vectors: dict[str, list[Any]] = {}
        self._asked: dict[str, Fitted | None] = {}
        self._base: list[Fitted | None] | None = None

    def values(self, group: str, images: Sequence[tuple[ImageRecord, Seen]]) -> list[dict[str, float | None]]:
        """Values by metric for each image."""
        seen = [one for _, one in images]
        if group == "face":
            return [{"face_found": float(one.face is not None)} for one in seen]
        if group == "clip" and self._bench.clip is not None:
            return self._bench.clip.scores([one.picture for one in seen], [record.prompt for record, _ in images])
        if group == "control" and self._bench.fitter is not None:
            return self._control(self._bench.fitter, images)
        return self._identity(self._bench.judges[group], seen)

    def _identity(self, judge: Judge, seen: Sequence[Seen]) -> list[dict[str, float | None]]:
        reference, *others = self._embedded(judge)
        others = [vector for vector in others if vector is not None]
        rows: list[dict[str, float | None]] = []
        for vector in judge.embed(seen):
            if vector is None or reference is None:
                rows.append({})
                continue
            like = judge.similarity(vector, reference)
            rest = [judge.similarity(vector, other) for other in others]
            rows.append({f"identity_{judge.key}": like, f"copy_paste_{judge.key}": like - sum(rest) / len(rest) if rest else None})
        return rows

    def _embedded(self, judge: Judge) -> list[Any]:
        if judge.key not in self._vectors:
            self._vectors[judge.key] = judge.embed(self.photos())
            if self._vectors[judge.key][0] is None:
                self._bench.notes.append(f"{self._person.name}: judge {judge.key} sees no face in the reference photo; no scores.")
        return self._vectors[judge.key]

    def photos(self) -> list[Seen]:
        """The reference and the person's other photos, as planned; InputError if the reference is gone or another one."""
        if self._photos is None:
            names = [self._person.reference, *(name for name in self._person.photos if name != self._person.reference)]
            pictures = [self._planned(name) for name in names]
            if pictures[0] is None:
                fail(f"photo '{names[0]}'", "must be the reference that the images were made with", "no such picture in the run "
                     "folder", "copy it there again, or plan into a new folder")
            lost = [name for name, picture in zip(names, pictures, strict=True) if picture is None]
            if lost:
                self._bench.notes.append(f"{self._person.name}: without photos that are gone or changed: {', '.join(lost)}.")
            self._photos = look(self._bench.detector, [picture for picture in pictures if picture is not None])
        return self._photos

    def _planned(self, name: str) -> Tensor | None:
        """A picture of the run folder; None if it cannot be read or is not what was planned."""
        path, planned = self._folder / name, self._plan.hashes.get(name)
        if planned and path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != planned:
            return None
        return read_picture(path)

    def _control(self, fitter: Fitter, images: Sequence[tuple[ImageRecord, Seen]]) -> list[dict[str, float | None]]:
        rows: list[dict[str, float | None]] = []
        for (record, _), obtained in zip(images, fitter.fit([one for _, one in images]), strict=True):
            asked = self._asked_head(fitter, self._plan.head(record.head))
            rows.append({} if asked is None or obtained is None else errors(asked, obtained))
        return rows

    def _asked_head(self, fitter: Fitter, condition: HeadEntry) -> Fitted | None:
        if self._base is None:
            self._base = fitter.fit(self.photos()[:1])
            if self._base[0] is None:
                self._bench.notes.append(f"{self._person.name}: no head could be fitted to the reference photo; no head control.")
        base = self._base[0]
        if base is not None and condition.key not in self._asked:
            edits = any(target.form == "values" for target in self._plan.slots.get("head", ()))
            self._asked[condition.key] = asked_head(base, condition, fitter.model, edits, self._of_photo(fitter, condition),
                                                    self._folder)
        return self._asked.get(condition.key)

    def _of_photo(self, fitter: Fitter, condition: HeadEntry) -> Fitted | None:
        picture = read_picture(self._folder / condition.picture) if condition.kind == "photo" else None
        return fitter.fit(look(self._bench.detector, [picture]))[0] if picture is not None else None
