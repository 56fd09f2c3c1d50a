"""`plan`: a run folder from photos, prompts, heads and a workflow; how long it will take, and how much disk."""
from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caphuman_core.check import fail, require

from . import heads, people, slots
from .folder import LOCK_FILE
from .lists import load_prompts
from .plan import PLAN_FILE, HeadEntry, ImageRecord, Plan, PromptEntry, SlotTarget, load_plan, save_plan
from .store import STORE_FILE, Store

WORKFLOW = Path(__file__).parent / "portrait.json"
BYTES_PER_IMAGE = 500_000       # of a 512 x 512 PNG photo, where no probe has told
OURS = (LOCK_FILE, f"{LOCK_FILE}.owner", PLAN_FILE, STORE_FILE, f"{STORE_FILE}-wal", f"{STORE_FILE}-shm", f"{STORE_FILE}.part",
        "inputs", "images", "manifests", "report")


@dataclass(frozen=True)
class Sources:
    """What a plan is made from; None: what ships with the tool."""

    photos: Path
    prompts: Path | None = None
    heads: Path | None = None
    workflow: Path | None = None
    slots: tuple[tuple[str, str], ...] = ()
    samples: int = 3
    seed: int = 0
    head_model: Path | None = None
    models: Path | None = None                  # a folder laid out like the host's models folder
    check_faces: str = "auto"
    photos_per_person: int = people.PHOTOS_PER_PERSON
    same_noise: bool = False                    # of all heads of a person and prompt


def make_plan(folder: Path, sources: Sources) -> Plan:
    """Plan into a folder that has none yet, or check that it has just this one. The caller holds the lock.

    A plan that was cut off is made again; images that lie there from the same plan are taken over by `run`.
    """
    _require_own(folder)
    require(1 <= sources.samples <= 1000, "samples", "must be from 1 to 1000", sources.samples, "choose another number")
    require(sources.photos_per_person >= 1, "photos per person", "must be 1 or more", sources.photos_per_person, "take 1 or more")
    workflow = slots.read_workflow(sources.workflow or WORKFLOW)
    targets = slots.find_slots(workflow, {name: ",".join(place for one, place in sources.slots if one == name)
                                          for name, _ in sources.slots})
    had = load_plan(folder) if (folder / PLAN_FILE).is_file() else None
    plan = _gather(folder, sources, workflow, targets)
    if had is not None:
        require(had.digest == plan.digest, f"run folder '{folder}'", "must not hold another plan", f"plan {had.digest}",
                "plan into a new folder")
        if not (folder / STORE_FILE).is_file():
            Store.create(folder, had).close()
        return had
    Store.create(folder, plan).close()
    save_plan(plan, folder)
    return plan


def _require_own(folder: Path) -> None:
    """Refuse folders that hold something else."""
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in OURS) if folder.is_dir() else []
    if foreign:
        fail(f"run folder '{folder}'", "must be new or hold a run", f"one with {', '.join(foreign[:3])}", "name another folder")


def _gather(folder: Path, sources: Sources, workflow: dict[str, Any], targets: dict[str, tuple[SlotTarget, ...]]) -> Plan:
    work = folder / "inputs" / ".new"
    shutil.rmtree(work, ignore_errors=True)
    try:
        detector, notes = people.face_counter(sources.check_faces, sources.models)
        found = people.read_people(sources.photos, work, sources.photos_per_person, detector)
        entries, hashes, head_notes = heads.make_forms(heads.read_heads(sources.heads), work,
                                                       heads.load_head_model(sources.head_model), sources.models)
        prompts = read_prompts(sources.prompts)
        _require_forms(entries, targets["head"])
        plan = Plan(tuple(found.entries), prompts, entries, sources.samples, sources.seed, workflow, targets,
                    {**found.hashes, **hashes}, tuple(notes + found.notes + head_notes + _repeated(prompts)), sources.same_noise)
        if not (folder / PLAN_FILE).is_file():
            for part in ("people", "heads"):
                shutil.rmtree(folder / "inputs" / part, ignore_errors=True)
                (work / "inputs" / part).replace(folder / "inputs" / part)
        return plan
    finally:
        shutil.rmtree(work, ignore_errors=True)


def read_prompts(path: Path | None) -> tuple[PromptEntry, ...]:
    """A list of prompts; a text file has one prompt a line."""
    if path is None or path.suffix.lower() != ".txt":
        return load_prompts(path)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()] if path.is_file() else []
    except UnicodeDecodeError as error:
        fail(f"prompts '{path}'", "must be UTF-8 text", str(error), "save it as UTF-8")
    taken: set[str] = set()
    entries = tuple(PromptEntry(people.free_name(line[:40], taken), line, "other") for line in lines if line)
    require(bool(entries), f"prompts '{path}'", "must hold a prompt a line", "an empty file" if path.is_file() else "no such file",
            "write some")
    return entries


def _repeated(prompts: Sequence[PromptEntry]) -> list[str]:
    counts = Counter(prompt.text for prompt in prompts)
    return [f"prompt '{text}': stands {count} times in the list and counts as often" for text, count in counts.items() if count > 1]


def _require_forms(entries: tuple[HeadEntry, ...], targets: tuple[SlotTarget, ...]) -> None:
    """Refuse conditions that lack the form which the graph takes."""
    for entry in entries:
        forms = {"values": bool(entry.values), "file": bool(entry.file), "picture": bool(entry.picture)}
        lacks = [target.form for target in targets if not forms[target.form]]
        if lacks:
            fail(f"head condition '{entry.key}'", f"must have the form '{lacks[0]}' that the slot head takes", f"a {entry.kind}",
                 "leave it out, or put the slot on an input that takes another form")


@dataclass(frozen=True)
class Estimate:
    """Size and cost of a run. Seconds are those of one server; None: not probed."""

    images: int
    bytes: int
    cold_seconds: float | None = None           # of a server's first image: models are read from disk
    unit_seconds: float | None = None           # of the first image of a unit: another head, perhaps another person
    image_seconds: float | None = None          # of all others

    def seconds(self, plan: Plan, servers: int = 1) -> float | None:
        """How long `servers` alike servers take for the whole plan."""
        if self.cold_seconds is None or self.unit_seconds is None or self.image_seconds is None:
            return None
        units = len(plan.identities) * len(plan.heads)
        work = self.image_seconds * (self.images - units) + self.unit_seconds * units
        return max(0.0, self.cold_seconds - self.unit_seconds) + work / max(1, servers)


def estimate(plan: Plan, folder: Path) -> Estimate:
    """From the probe that the store remembers, if there was one."""
    with Store.open(folder, read_only=True) as store:
        probe = store.info("probe") or {}
    inputs = sum(path.stat().st_size for path in (folder / "inputs").rglob("*") if path.is_file())
    each = probe.get("bytes", BYTES_PER_IMAGE)
    times = (probe.get(f"{name}_seconds") for name in ("cold", "unit", "image"))
    return Estimate(len(plan), int(len(plan) * (each + 300)) + inputs, *times)


def probe_images(images: Sequence[ImageRecord], count: int) -> list[ImageRecord]:
    """`count` images of two units, so that a probe sees a cold server, a new unit and a warm one."""
    units: dict[tuple[str, str], list[ImageRecord]] = {}
    for image in images:
        units.setdefault((image.identity, image.head), []).append(image)
        if len(units) > 2:
            break
    first, second = ([*units.values()] + [[], []])[:2]
    return first[:(count + 1) // 2] + second[:count // 2]


def keep_probe(store: Store, folder: Path, ids: set[int]) -> None:
    """Remember what the images of a probe took."""
    made = [record for record in store.records("done") if record.id in ids and record.seconds is not None and record.file]
    if not made:
        return
    seconds = [float(record.seconds or 0) for record in made]
    leads = [i for i in range(1, len(made)) if made[i].head != made[i - 1].head or made[i].identity != made[i - 1].identity]
    rest = [value for i, value in enumerate(seconds) if i and i not in leads] or [min(seconds)]
    each = sum(rest) / len(rest)
    sizes = [(folder / str(record.file)).stat().st_size for record in made]
    store.put_info("probe", {"images": len(made), "cold_seconds": seconds[0], "unit_seconds": seconds[leads[0]] if leads else each,
                             "image_seconds": each, "bytes": sum(sizes) / len(sizes)})


def describe(plan: Plan, folder: Path, servers: int = 1) -> str:
    """What `plan` prints: images, time, disk, notes."""
    cost = estimate(plan, folder)
    seconds = cost.seconds(plan, servers)
    free = shutil.disk_usage(folder).free
    text = io.StringIO()
    text.write(f"{cost.images:,} images: {len(plan.identities)} people x {len(plan.heads)} heads x {len(plan.prompts)} prompts x "
               f"{plan.samples} samples\n")
    text.write("time: not known yet; --probe --server URL makes some of the images and tells\n" if seconds is None else
               f"time: about {duration(seconds)} on {servers} server{'s' * (servers != 1)} like the probed one\n")
    guess = " (not probed: 0.5 MB an image)" if seconds is None else ""
    text.write(f"disk: about {size(cost.bytes)} here{guess}, {size(free)} are free; servers keep as much in their output folders\n")
    if cost.bytes > free:
        text.write("note: the disk is too small for this run; it would stop when it is full, and can go on elsewhere\n")
    for note in plan.notes:
        text.write(f"note: {note}\n")
    return text.getvalue()


def duration(seconds: float) -> str:
    """12 s, 3 min, 4.5 h, 6.2 days."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 86400:.3g} days"


def size(count: float) -> str:
    """3 MB, 52 GB."""
    for limit, unit, name in ((1e6, 1e3, "kB"), (1e9, 1e6, "MB"), (1e12, 1e9, "GB")):
        if count < limit:
            return f"{count / unit:.3g} {name}"
    return f"{count / 1e12:.3g} TB"

