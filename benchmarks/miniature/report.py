"""docs/MINIATURE.md with its pictures: every figure beside what it means, its target, and its ceiling."""
from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from caphuman_bench.plan import load_plan
from caphuman_bench.score.faces import look
from caphuman_bench.score.identity import DlibJudge
from caphuman_bench.score.pictures import read_picture
from caphuman_core.render.maps import render
from caphuman_train.miniature.files import SAID
from tools.devkit.places import ROOT
from tools.sheet import Look, grid, picture

from . import figures, world
from .cases import Case, cases
from .eye import Eye, calibrated, enlarged
from .figures import FIGURES, NOTHING, Value, Values
from .graphs import TAU
from .runs import FACTS, HOLD, RUNS, draw_run, person_of, plan_run

DRAWN = "drawn"                                  # folder beside the runs: the same, drawn
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
TITLE = "## The miniature (`python -m benchmarks.miniature report`)"
TILE = 128
WORST = 10
KNOBS = {"plain": "as it is", "tau": "identity late only", "head_0": "head strength 0", "identity_0": "identity strength 0",
         "points": "landmarks' ControlNet too", "points_alone": "the same, head strength 0"}
KNOB_FIGURES = ("yaw", "yaw_follows", "person", "ground", "shirt")
Say = Callable[[str], object]


@dataclass
class Judged:
    """Figures of sampled and of drawn pictures, and the pictures."""

    sampled: Values = field(default_factory=dict)
    drawn: Values = field(default_factory=dict)
    without: Values = field(default_factory=dict)                # CapFace
    knobs: dict[str, Values] = field(default_factory=dict)
    pictures: dict[str, list[Case]] = field(default_factory=dict)
    seconds: float = 0.0                                         # of the server, all pictures


def judge(folder: Path, say: Say, sampled: bool = True) -> Judged:
    """Every run that is there, and its drawn twin. What was read before is not read again. sampled: False for the drawn ones alone,
    for which no server and no weights are needed."""
    eye, judged = Eye(), Judged()
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    for name, run in RUNS.items():
        if not sampled:
            plan_run(folder, name)
        elif not (folder / name / "run.sqlite").is_file():
            continue
        say(f"--- {name}")
        faces = name not in ("mask", "prompt")
        found = cases(folder / name, name, eye, faces, say) if sampled else []
        if found:
            judged.pictures[name] = found
            judged.seconds += sum(case.record.seconds or 0 for case in found if case.place == 0)
            _take(judged, name, found, judged.sampled, _photos(folder / name, eye))
        if run.is_drawn:
            twin = folder / DRAWN / name
            if not (twin / "run.sqlite").is_file():
                draw_run(folder / name, twin, name, facts["side"])
            _take(judged, name, cases(twin, name, eye, faces, say), judged.drawn, _photos(folder / name, eye))
    return judged


def _take(judged: Judged, name: str, found: list[Case], into: Values, photos: Callable[[], Any]) -> None:
    if name == "control":
        into |= figures.pose(found) | figures.light(found)
    elif name == "expression":
        into |= figures.expression(found)
    elif name == "mask":
        into |= figures.mask(found)
    elif name == "person":
        embed, known = photos()
        into |= figures.person(found) | figures.person_by(embed, known, found)
        if into is judged.drawn:
            for key, any_light in (("photos_tell", False), ("photos_tell_any_light", True)):
                into[key] = figures.photos_tell(RUNS[name].people, found[0].head.width, any_light)
    elif name == "two":
        into |= figures.two(found)
    elif name == "prompt":
        into |= figures.caption(found)
    elif name == "without":
        judged.without = figures.pose(found) | figures.caption(found)
    if name in KNOBS and into is judged.sampled:
        judged.knobs[name] = figures.pose(found) | figures.person(found) | figures.caption(found)


def _photos(folder: Path, eye: Eye) -> Callable[[], Any]:
    """dlib's eye, and its vectors of each person's photos."""
    def made() -> Any:
        dlib = DlibJudge()

        def embed(one: Any) -> Any:
            return dlib.embed(look(eye.detector, [enlarged(one)[0]]))[0]
        rows = {person_of(entry.name): [vector for photo in entry.photos if (shown := read_picture(folder / photo)) is not None
                                        and (vector := embed(shown)) is not None] for entry in load_plan(folder).identities}
        return embed, rows
    return made


def write(judged: Judged, folder: Path, docs: Path, say: Say) -> None:
    """The page, its pictures in docs/miniature, and the numbers as JSON."""
    place = docs / "miniature"
    place.mkdir(parents=True, exist_ok=True)
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    shown = [_save(place / f"{name}.jpg", rows, title) for name, (rows, title) in _sheets(judged).items() if rows]
    (place / "figures.json").write_text(json.dumps({"sampled": judged.sampled, "drawn": judged.drawn, "without": judged.without,
                                                    "knobs": judged.knobs}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (docs / "MINIATURE.md").write_text(page(judged, facts, [path.name for path in shown]), encoding="utf-8")
    if docs == ROOT / "docs":
        _write_results(judged)
    say(f"{docs / 'MINIATURE.md'} and {len(shown)} pictures in {place}")


def _write_results(judged: Judged) -> None:
    """Put the table into RESULTS.md in place of its last version."""
    text = RESULTS.read_text(encoding="utf-8")
    before, _, after = text.partition(TITLE)
    rest = after.partition("\n## ")[2]
    section = "\n".join([TITLE, "", "What each figure means, and pictures: [docs/MINIATURE.md](../docs/MINIATURE.md).", "",
                         *table(judged), *(["", *knob_table(judged)] if judged.knobs else [])])
    RESULTS.write_text(before.rstrip() + "\n\n" + section + "\n" + (f"\n## {rest}" if rest else ""), encoding="utf-8")


def _save(path: Path, rows: list, title: str) -> Path:
    grid(rows, Look(letters=13, gap=8, title=20), title).save(path, quality=85)
    return path


def table(judged: Judged) -> list[str]:
    """One row a figure."""
    rows = ["| figure | what it is | target | sampled | of | ceiling: drawn pictures | without CapFace |", "|---" * 7 + "|"]
    for one in FIGURES:
        sampled, drawn, without = (source.get(one.key, NOTHING) for source in (judged.sampled, judged.drawn, judged.without))
        word = {True: "**met**", False: "not met"}[one.is_met(sampled.number)] if sampled.of else ""
        sign = "at least" if one.better > 0 else "at most"
        wanted = f"{sign} {one.target:g} {one.unit}".rstrip()
        rows.append(f"| {one.title} | {one.meaning} | {wanted} | {f'{_told(sampled)} {word}'.rstrip()} | {sampled.of or '-'} | "
                    f"{_told(drawn)} | {_told(without)} |")
    return rows


def knob_table(judged: Judged) -> list[str]:
    """What a setting changes, and what it leaves."""
    names = {one.key: one.title for one in FIGURES}
    rows = [f"| setting | faces | {' | '.join(names[key] for key in KNOB_FIGURES)} |", "|---" * (2 + len(KNOB_FIGURES)) + "|"]
    for key, title in KNOBS.items():
        if (found := judged.knobs.get(key)) is not None:
            told = [str(found.get("yaw", NOTHING).of), *(_told(found.get(one, NOTHING)) for one in KNOB_FIGURES)]
            rows.append(f"| {title} | {' | '.join(told)} |")
    return rows


def _told(value: Value) -> str:
    return f"{value.number:.3g}" if math.isfinite(value.number) else "-"


INTRODUCTION = """# The miniature, judged

**{said}.**

{made} pictures of {side} x {side} pixels ({steps} steps of {sampler_name}, CFG {cfg:g}; {minutes:.0f} minutes of a server), of
people, heads, captions and seeds that training never saw, made by `caphuman_bench` through a running ComfyUI.

The judges had no part in training: MediaPipe's landmarks with the pack's landmark fit, dlib's network, and colours in regions
that are known because what was asked for can be drawn. Each judge is tried on those drawn pictures first: what it makes of them is
its **ceiling**, and a number near its ceiling is as good as this judge can tell. A constant error of MediaPipe and the fit on drawn
heads, measured on forty drawn pictures of other people, is taken off every reading: {bias}. *of*: how many
pictures (of faces: those in which one is seen), pairs or steps a number is of.
"""
PHOTOS = """The ceiling of *person by skin* is that of a generator that knows the skin; CapFace knows one photo of it. People's
photos here have one even light: the face's colour in one is nearer to that in another photo of the same person than to somebody
else's in {photos_tell.number:.2f} of pairs. Under any of the lights that training also drew it
would be {photos_tell_any_light.number:.2f}: they differ more than skins do.
"""
SETTINGS = """## What a setting changes

The same turns and caption each time, of the same first people (*faces*: how many a row is of): identity or head switched off,
or identity given in the last {tau} of 1,000 timesteps only; and a ControlNet of the head's 68 landmarks beside CapFace, as an
openpose ControlNet is put there (strength {hold:g}; 1 where it alone holds the head). Each should move its own number and leave
the others.
"""
LEFT_OUT = """Learning curves, what keeps the figures that are not met where they are, and which lever comes next:
[the model card](../miniature/miniature.md).

Not measured: eye colour (an iris has two pixels), and hair by person (in the drawn pictures it belongs to the
caption).
"""
TITLES = {"worst": "The worst ten", "control": "Heads", "expression": "Expressions", "person": "People", "prompt": "Captions",
          "two": "Two people", "without": "Without CapFace", "mask": "Masks"}


def page(judged: Judged, facts: dict[str, Any], pictures: Sequence[str]) -> str:
    """Markdown."""
    off = calibrated(Eye.usual, facts["side"])
    bias = (f"yaw {off.yaw:.1f}, pitch {off.pitch:.1f}, roll {off.roll:.1f} degrees, place {off.x:.3f} and {off.y:.3f}, size "
            f"x {off.size:.2f}")
    told = {**facts["sampling"], "said": SAID, "side": facts["side"], "bias": bias, "minutes": judged.seconds / 60,
            "made": sum(case.place == 0 for found in judged.pictures.values() for case in found)}
    parts = [INTRODUCTION.format(**told), "\n".join(table(judged)) + "\n"]
    if "photos_tell" in judged.drawn:
        parts.append(PHOTOS.format(**judged.drawn))
    if judged.knobs:
        parts += [SETTINGS.format(tau=TAU, hold=HOLD), "\n".join(knob_table(judged)) + "\n"]
    parts.append(LEFT_OUT)
    for name in pictures:
        title = TITLES[name.removesuffix(".jpg")]
        parts.append(f"## {title}\n\n![{title}](miniature/{name})\n")
    return "\n".join([*parts, "Again: `python -m benchmarks.miniature lists FOLDER`, then `FOLDER/commands.sh`.\n"])


def _sheets(judged: Judged) -> dict[str, tuple[list, str]]:
    """Name -> rows of captioned tiles, and the sheet's title."""
    asked = "asked head, sampled, and the same drawn"
    named = {name: (judged.pictures.get(name, []), count) for name, count in        # count: of pictures
             (("control", 24), ("expression", 10), ("person", 15), ("prompt", 12), ("two", 6), ("without", 8), ("mask", 8))}
    sheets = {name: (_rows([_trio(case, name) for case in _spread(found, count)]), f"{name}: {asked}")
              for name, (found, count) in named.items()}
    worst = sorted(judged.pictures.get("control", []), key=figures.error, reverse=True)[:WORST]
    title = f"the worst ten of {len(named['control'][0])}: {asked}"
    return {"worst": (_rows([_trio(case, "control") for case in worst]), title), **sheets}


def _spread(found: list[Case], count: int) -> list[Case]:
    numbers = list(dict.fromkeys(case.record.id for case in found))
    chosen = set(numbers[::max(1, len(numbers) // count)][:count])
    return [case for case in found if case.record.id in chosen]


def _trio(case: Case, name: str) -> tuple[Image.Image, str]:
    """Three pictures side by side."""
    hint = render(case.head, world.model(), case.head.width, case.head.height).shaded[0]
    last = case.drawn if name != "mask" else case.regions.skin.float()
    row = Image.new("RGB", (3 * TILE, TILE))
    for number, one in enumerate((hint, case.picture, last)):
        row.paste(picture(one).resize((TILE, TILE)), (number * TILE, 0))
    return row, caption_of(case, name)


def caption_of(case: Case, name: str) -> str:
    """One short line below a trio."""
    if name in ("prompt", "without"):
        return f"{case.look.shirt} shirt, {case.look.ground} background"
    if name in ("person", "two"):
        return f"person {case.person}, {case.record.head if case.place == 0 else 'the other'}"
    if name == "expression":
        return case.record.head.replace("_", " ")
    yaw, pitch, roll = world.yaw_pitch_roll(case.head).tolist()
    got = f" -> {case.reading.yaw:.0f} {case.reading.pitch:.0f} {case.reading.roll:.0f}" if case.reading else " -> no face"
    return f"{yaw:.0f} {pitch:.0f} {roll:.0f}{'' if name == 'mask' else got}"


def _rows(tiles: list) -> list:
    return [tiles[first:first + 3] for first in range(0, len(tiles), 3)]
