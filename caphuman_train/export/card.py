"""The model card beside an exported CapFace: what it was trained on and what it may be used for."""
from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from caphuman_core.capface.about import About

PACK = "https://github.com/caphuman/comfyui-caphuman"
UNKNOWN = ("", "unknown", "unspecified")


@dataclass(frozen=True)
class Owner:
    """What only the person who exports can say."""

    title: str
    author: str = ""
    licence: str = ""                           # of the weights
    notes: str = ""


def model_card(about: About, owner: Owner, file: str) -> str:
    """Markdown."""
    settings, data = json.loads(about.settings), json.loads(about.data)
    sections = [f"# {_line(owner.title)}", _head(about, owner, file), "## Trained on", _data(about, data), "## How",
                _how(settings), "## What it may be used for", _use(about, owner), "## Limits", LIMITS]
    if owner.notes:
        sections += ["## Notes", owner.notes.strip()]
    return "\n\n".join(sections) + "\n"


LIMITS = """It learnt from the people and pictures above and is worse on what they do not show: look at the report of
`python -m caphuman_bench` for identity, prompt and head control, by person and by head condition, before you rely on it. Making
pictures of a person needs that person's consent; see docs/RESPONSIBLE_USE.md of ComfyUI-CapHuman."""


def _head(about: About, owner: Owner, file: str) -> str:
    steps, samples = int(about.steps), int(about.samples)
    head, base = _line(about.head_model), _line(about.base_model)
    rows = {"head model": f"{head} (`{about.head_model_fingerprint}`): draw hints with this one",
            "base model": f"{base} (`{about.base_model_fingerprint}`); merges of Stable Diffusion 1.5 work as well",
            "weights": f"{about.weights}, after {steps:,} steps of {samples // max(1, steps):,} samples",
            "author": _line(owner.author) or "not told"}
    lead = f"CapFace weights for [ComfyUI-CapHuman]({PACK}): put `{file}` into `models/capface`."
    return "\n".join((lead, "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())))


def _data(about: About, data: dict[str, Any]) -> str:
    summary, made = data["summary"], data["settings"]
    told = [f"{summary.get('samples', 'an unknown number of')} pictures of {summary.get('people', 'an unknown number of')} people, "
            f"{made.get('width', '?')} x {made.get('height', '?')} pixels."]
    licences = json.loads(about.licences) if about.licences else {}
    rows = [f"| {_line(str(name)) or 'unknown'} | {count} |" for name, count in sorted(licences.items())]
    if rows:
        told.append("\n".join(("| licence of the photos | pictures |", "|---|---|", *rows)))
    skipped = ("width", "height")
    rows = [f"| {_line(str(name))} | {_line(json.dumps(value, ensure_ascii=False))} |" for name, value in sorted(made.items())
            if name not in skipped]
    told.append("\n".join(("| prepared with | |", "|---|---|", *rows)))
    return "\n\n".join(told)


def _how(settings: dict[str, dict[str, Any]]) -> str:
    hidden = {("run", "folder"), ("start", "base"), ("start", "capface"), ("data", "shards"), ("data", "head_model"),
              ("data", "clip_vision")}         # paths of somebody's machine
    shown = ("run", "start", "data", "batch", "loss", "optimizer", "schedule", "average", "compute")
    rows = [f"| {section}.{name} | {_line(str(value))} |" for section in shown for name, value in settings[section].items()
            if (section, name) not in hidden]
    return "\n".join(("| setting | |", "|---|---|", *rows))


def _use(about: About, owner: Owner) -> str:
    licences = json.loads(about.licences) if about.licences else {}
    unknown = sum(count for name, count in licences.items() if str(name).strip().lower() in UNKNOWN)
    lines = [f"Licence of these weights: {_line(owner.licence) or 'not told; ask the author before you use them'}."]
    lines.append("What the photos' licences (above) ask for holds for these weights too, as far as your country's law sees it so.")
    if unknown or not licences:
        which = f"{unknown} of the pictures" if unknown else "the pictures"
        lines.append(f"Nobody said under which licence {which} are: without that, do not use these weights commercially.")
    if any("nc" in str(name).lower().replace("-", " ").split() for name in licences):
        lines.append("Some pictures are licensed for non-commercial use alone.")
    return "\n".join(lines)


def _line(text: str) -> str:
    """On one line of a table."""
    return "".join(letter if letter.isprintable() else " " for letter in text).replace("|", "\\|")
