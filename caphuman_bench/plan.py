"""What a run asks for: identities x heads x prompts x samples, and the graph that makes one picture.

A plan is a JSON file, `plan.json` in the run folder, written once. Every path in it is relative to the run folder, with
forward slashes, so that a run folder can be moved or shared between machines:

    run.lock         held by whoever writes to the folder (folder.py)
    plan.json        this module
    run.sqlite       one row per image, and the scores (store.py)
    inputs/          copies of photos and heads, upright, as they are sent to servers
    images/<identity>/<head>/<prompt>_<sample>.png
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from caphuman_core.check import fail

PLAN_FILE = "plan.json"
FORMAT = "caphuman-bench-plan/1"
SLOTS = ("identity", "prompt", "head", "seed")      # all of them must be in a workflow
OUTPUT_SLOT = "image"                               # optional: the node whose picture is kept
SEED_BITS = 32                                      # some packs' seed widgets end at 2**32 - 1


@dataclass(frozen=True)
class IdentityEntry:
    """One person. `photos`: all pictures of the person, the reference first. `reference`: what the graph is given."""

    name: str                                       # also a folder name; unique, also without regard to case
    reference: str
    photos: tuple[str, ...]


@dataclass(frozen=True)
class PromptEntry:
    """One prompt. `kind`: simple, context, clothing, accessory, activity, style. `expects`: words the scorer looks for."""

    key: str
    text: str
    kind: str
    expects: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeadEntry:
    """One head condition, in each form that a graph may take; the slot decides which is sent.

    kind: where it came from: "values" (widget values), "file" (a head file) or "photo".
    values: widget values of CapHuman Edit Head, light included, by input name; empty for kinds "file" and "photo".
    file: the head as .head.safetensors. picture: the photo itself (kind "photo") or the shaded head, for graphs that
    take a picture. Both are relative to the run folder; "" where it could not be made.
    """

    key: str
    kind: str
    values: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    picture: str = ""


@dataclass(frozen=True)
class SlotTarget:
    """Where a slot's value goes: an input of a node in the workflow; input "" means widget values by name (heads only)."""

    node: str
    input: str
    form: str                                       # "file", "picture" or "values" for heads, "" for other slots


@dataclass(frozen=True)
class Plan:
    """Everything that decides what the pictures will be. `slots`: name -> targets (a name may stand on several nodes)."""

    identities: tuple[IdentityEntry, ...]
    prompts: tuple[PromptEntry, ...]
    heads: tuple[HeadEntry, ...]
    samples: int
    seed: int
    workflow: Mapping[str, Any]
    slots: Mapping[str, tuple[SlotTarget, ...]]
    hashes: Mapping[str, str] = field(default_factory=dict)     # run-relative path of an input -> sha256 of its bytes
    notes: tuple[str, ...] = ()                     # what was skipped or is odd about the inputs; not part of the digest
    same_noise: bool = False                        # of all heads of a person and prompt: what differs is the head's doing

    def __len__(self) -> int:
        """Number of images."""
        return len(self.identities) * len(self.heads) * len(self.prompts) * self.samples

    @cached_property
    def digest(self) -> str:
        """Changes with everything that decides a picture; 16 hexadecimal digits."""
        return hashlib.sha256(_canonical(replace(self, notes=())).encode()).hexdigest()[:16]

    def identity(self, name: str) -> IdentityEntry:
        """The person of that name; KeyError if there is none."""
        return self._by_name[0][name]

    def head(self, key: str) -> HeadEntry:
        """The head condition of that key; KeyError if there is none."""
        return self._by_name[1][key]

    def prompt(self, key: str) -> PromptEntry:
        """The prompt of that key; KeyError if there is none."""
        return self._by_name[2][key]

    @cached_property
    def _by_name(self) -> tuple[dict[str, IdentityEntry], dict[str, HeadEntry], dict[str, PromptEntry]]:
        return ({entry.name: entry for entry in self.identities}, {entry.key: entry for entry in self.heads},
                {entry.key: entry for entry in self.prompts})


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image. status: planned, leased (in hand now), done or failed. `seconds`: what the server took for it."""

    id: int                                         # 0 .. len(plan) - 1, in the order of `records`
    identity: str
    head: str
    prompt: str
    sample: int                                     # 0 .. samples - 1
    seed: int
    status: str = "planned"
    file: str | None = None                         # relative to the run folder; None until done
    seconds: float | None = None
    error: str | None = None
    attempts: int = 0                               # failed ones


def records(plan: Plan) -> Iterator[ImageRecord]:
    """Every image of the plan in unit order: identity, then head (together one unit), then prompt, then sample.

    What is dear to change changes least: the person's codes and the fitted head stay in a server's cache for a unit.
    """
    number = 0
    for identity in plan.identities:
        for head in plan.heads:
            for prompt in plan.prompts:
                for sample in range(plan.samples):
                    seed = seed_of(plan.seed, identity.name, "" if plan.same_noise else head.key, prompt.key, sample)
                    yield ImageRecord(number, identity.name, head.key, prompt.key, sample, seed)
                    number += 1


def seed_of(seed: int, identity: str, head: str, prompt: str, sample: int) -> int:
    """0 .. 2**32 - 1 by the names alone: adding a person or a prompt leaves all other images what they were."""
    text = "\0".join((str(seed), identity, head, prompt, str(sample)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:SEED_BITS // 8], "big")


def image_file(record: ImageRecord, suffix: str = ".png") -> str:
    """Where an image lies in the run folder."""
    return f"images/{record.identity}/{record.head}/{record.prompt}_{record.sample}{suffix}"


def save_plan(plan: Plan, folder: Path) -> None:
    """Write plan.json; it appears whole or not at all."""
    from .folder import write_whole
    write_whole(folder / PLAN_FILE, json.dumps({"format": FORMAT, **_content(plan)}, indent=1, ensure_ascii=False).encode())


def load_plan(folder: Path) -> Plan:
    """Read plan.json of a run folder; InputError if there is none or it is damaged."""
    path = folder / PLAN_FILE
    name = f"run folder '{folder}'"
    if not path.is_file():
        fail(name, "must hold a plan", "a folder without plan.json" if folder.is_dir() else "no such folder",
             f"make one with: python -m caphuman_bench plan {folder} --photos FOLDER")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            fail(name, f"must hold a plan of format {FORMAT}", "another format", "plan into a new folder")
        return _plan_of(content)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        fail(name, "must hold a readable plan", f"a damaged plan.json ({error})", "plan into a new folder")


def _plan_of(content: dict[str, Any]) -> Plan:
    lists = {
        "identities": tuple(IdentityEntry(e["name"], e["reference"], tuple(e["photos"])) for e in content["identities"]),
        "prompts": tuple(PromptEntry(e["key"], e["text"], e["kind"], tuple(e["expects"])) for e in content["prompts"]),
        "heads": tuple(HeadEntry(**e) for e in content["heads"]),
        "slots": {name: tuple(SlotTarget(**e) for e in targets) for name, targets in content["slots"].items()},
        "notes": tuple(content["notes"]),
    }
    return Plan(**{**content, **lists})


def _content(plan: Plan) -> dict[str, Any]:
    """What came later is told only where it is used: plans without it stay what they were."""
    content = asdict(plan)
    return content if plan.same_noise else {name: value for name, value in content.items() if name != "same_noise"}


def _canonical(plan: Plan) -> str:
    return json.dumps(_content(plan), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
