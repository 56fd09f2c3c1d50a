"""Which runs there are, and the folder with everything that `caphuman_bench`'s commands take: people, lists, graphs."""
from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from caphuman_bench.lists import full_values
from caphuman_bench.plan import ImageRecord, Plan, image_file, load_plan
from caphuman_bench.store import Store
from caphuman_core.check import require
from caphuman_core.flow import Head
from caphuman_core.pixels import image_of
from caphuman_train.miniature.files import SAMPLING, file_names
from caphuman_train.miniature.pack import load_packed
from caphuman_train.miniature.scene import draw, face_seen

from . import graphs, world
from .graphs import Graph

HOLD = 0.5                                       # strength of the landmarks' ControlNet beside CapFace, as in the template
PHOTOS = 3                                       # of a person; the first is the reference
FACTS = "miniature.json"


@dataclass(frozen=True)
class Run:
    """One run of the bench: pictures = people x heads x captions."""

    graph: Callable[[Graph], Graph]
    heads: Mapping[str, dict[str, float]]
    people: int
    captions: int
    shaped: bool = False                         # whether the hint has the person's own shape and skin, fitted to the photo
    more: tuple[str, ...] = ()                   # of `plan`'s command line
    is_drawn: bool = True                        # whether there is a picture that a perfect generator would make
    pairs: bool = False                          # of people, side by side in photo and picture


RUNS = {
    "control": Run(lambda graph: graph, world.control_heads(24), 3, 2, shaped=True),
    "expression": Run(graphs.neutral, world.expression_heads(), 3, 1, more=("--same-noise",)),
    "person": Run(graphs.neutral, world.person_heads(), 15, 1),
    "prompt": Run(lambda graph: graph, world.person_heads(), 2, 15, shaped=True),
    "mask": Run(graphs.masked, world.control_heads(24), 1, 1),
    "without": Run(graphs.without, world.control_heads(24), 1, 2, is_drawn=False,
                   more=("--slot", "head=none", "--slot", "identity=none")),
    "two": Run(graphs.two(world.right_head()), world.turned_heads(), 6, 1, pairs=True),
    "plain": Run(graphs.neutral, world.turned_heads(), 6, 1, is_drawn=False),
    "tau": Run(graphs.setting(id_dropout_tau=graphs.TAU), world.turned_heads(), 6, 1, is_drawn=False),
    "head_0": Run(graphs.setting(head_strength=0.0), world.turned_heads(), 6, 1, is_drawn=False),
    "identity_0": Run(graphs.setting(identity_strength=0.0), world.turned_heads(), 6, 1, is_drawn=False),
    "points": Run(graphs.pointed(HOLD), world.turned_heads(), 6, 1, is_drawn=False),
    "points_alone": Run(graphs.pointed(1.0, head_strength=0.0), world.turned_heads(), 6, 1, is_drawn=False),
}


def write_lists(folder: Path, packed: Path, sampling: dict[str, Any] | None = None, few: bool = False, share: float = 1.0) -> str:
    """Photos, lists and graphs below a folder; returns the commands that make and score the runs. few: two pictures of each run,
    to try it. share: of people and captions, at least one of each."""
    world.require_unseen()
    told = load_packed(packed).told
    side, names = int(told["side"]), {role: Path(name).name for role, name in file_names(told["style"]).items()}
    whole = graphs.portrait(names, side, {**SAMPLING, **(sampling or {})})
    lines = ['# SERVER: a ComfyUI with this pack and the miniature\'s files (python dev.py demo --serve); MODELS: .demo/models',
             "set -e", 'SERVER=${SERVER:-http://127.0.0.1:8188} MODELS=${MODELS:-.demo/models} PYTHON=${PYTHON:-python}',
             f"$PYTHON -m caphuman_train.miniature.files {packed} $MODELS points        # the demo does without this one"]
    for name, run in RUNS.items():
        place = folder / "lists" / name
        people, heads, captions = _some(run, share) if not few else (1, dict(list(run.heads.items())[:2]), 1)
        _write_people(_people_folder(folder, name, people), side, people, run.pairs)
        place.mkdir(parents=True, exist_ok=True)
        for file, content in zip(("heads.json", "prompts.json"), world.lists(heads, captions), strict=True):
            (place / file).write_text(content, encoding="utf-8")
        (place / "graph.json").write_text(json.dumps(run.graph(whole), indent=1), encoding="utf-8")
        (place / "plan.json").write_text(json.dumps(_plan_arguments(folder, name, people)), encoding="utf-8")
        lines.append(f"$PYTHON -m caphuman_bench {' '.join(_plan_arguments(folder, name, people))}")
        lines.append(f"$PYTHON -m caphuman_bench run {folder}/{name} --server $SERVER")
    for name in ("control", "person"):
        lines += [f"$PYTHON -m caphuman_bench score {folder}/{name} --models $MODELS --groups face dlib control",
                  f"$PYTHON -m caphuman_bench report {folder}/{name}"]
    (folder / FACTS).write_text(json.dumps({"side": side, "sampling": SAMPLING | (sampling or {})}), encoding="utf-8")
    commands = "\n".join([*lines, f"$PYTHON -m benchmarks.miniature report {folder}", ""])
    (folder / "commands.sh").write_text(commands, encoding="utf-8")
    return commands


def _some(run: Run, share: float) -> tuple[int, dict[str, dict[str, float]], int]:
    return math.ceil(run.people * share), dict(run.heads), math.ceil(run.captions * share)


def _plan_arguments(folder: Path, name: str, people: int) -> list[str]:
    place = folder / "lists" / name
    return ["plan", f"{folder}/{name}", "--photos", str(_people_folder(folder, name, people)), "--heads", f"{place}/heads.json",
            "--prompts", f"{place}/prompts.json", "--workflow", f"{place}/graph.json", "--samples", "1",
            "--check-faces", "off" if RUNS[name].pairs else "on", *RUNS[name].more]


def _people_folder(folder: Path, name: str, people: int) -> Path:
    return folder / "lists" / f"{'pairs' if RUNS[name].pairs else 'people'}-{people}"


def plan_run(folder: Path, name: str) -> None:
    """The bench's own `plan`, by the lists' arguments, unless it is there."""
    from caphuman_bench.cli import main
    if not (folder / name / "run.sqlite").is_file():
        status = main(json.loads((folder / "lists" / name / "plan.json").read_text(encoding="utf-8")))
        require(status == 0, f"run '{name}'", "must be planned", f"status {status}", "see what it said above")


def _write_people(folder: Path, side: int, people: int, pairs: bool) -> None:
    for person in range(people):
        place = folder / f"p{person:03}"
        if (place / f"{PHOTOS - 1}.png").is_file():
            continue
        place.mkdir(parents=True, exist_ok=True)
        shown = [world.photos_of(one, side, PHOTOS) for one in people_of(person, pairs)]
        for number, scenes in enumerate(zip(*shown, strict=True)):
            photo = torch.cat([draw(scene, world.model()).picture for scene in scenes], -1)
            image_of(photo).save(place / f"{number}.png")


def asked_of(plan: Plan, record: ImageRecord, name: str, side: int) -> list[tuple[int, Mapping[str, Any], Head]]:
    """Who is asked for in a picture of a run, with the condition's values and the head, from left to right."""
    run = RUNS[name]
    found = zip(people_of(person_of(record.identity), run.pairs), heads_of(plan.head(record.head).values, run.pairs), strict=True)
    return [(person, values, world.asked_head(values, side, person if run.shaped else None)) for person, values in found]


def people_of(number: int, pairs: bool) -> tuple[int, ...]:
    """Who is in the pictures of a list's person, from left to right."""
    return (2 * number, 2 * number + 1) if pairs else (number,)


def heads_of(values: Mapping[str, Any], pairs: bool) -> tuple[Mapping[str, Any], ...]:
    """The asked heads of a condition, from left to right, each in its own square of the picture."""
    return (values, full_values(world.right_head())) if pairs else (values,)


def person_of(name: str) -> int:
    """The number in a person's name."""
    return int(name.removeprefix("p"))


def draw_run(folder: Path, drawn: Path, name: str, side: int) -> None:
    """The same run with pictures that are drawn as they are asked for: what every judge is tried on."""
    plan = load_plan(folder)
    shutil.rmtree(drawn, ignore_errors=True)
    drawn.mkdir(parents=True)
    shutil.copytree(folder / "inputs", drawn / "inputs")
    shutil.copyfile(folder / "plan.json", drawn / "plan.json")
    with Store.create(drawn, plan) as store:
        for record in list(store.records()):
            parts = []
            for person, _, head in asked_of(plan, record, name, side):
                if name == "mask":
                    parts.append(face_seen(head, world.model())[None].float().expand(3, -1, -1))
                else:
                    caption = world.look(int(record.prompt[1:]))
                    parts.append(world.perfect(world.textured(head, person), caption, record.seed).picture)
            picture = torch.cat(parts, -1)
            path = drawn / image_file(record)
            path.parent.mkdir(parents=True, exist_ok=True)
            image_of(picture).save(path)
            store.finish([(record.id, image_file(record), None)])
