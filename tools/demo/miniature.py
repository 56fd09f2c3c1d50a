"""The demo with the miniature: the shipped graph at the miniature's size, for the fitted head and three edits of it, each with its
own photo's person, with another person, and in the other style; and once without CapFace. All from the same seed."""
from __future__ import annotations

import copy
import json
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caphuman_train.miniature.files import PREFIX, SAID, SAMPLING
from caphuman_train.miniature.scene import MIDDLE

from ..devkit.places import ROOT, say
from . import miniature_sheet, prompts
from .branches import branch, needed_by
from .client import Client, Prompt, Result
from .progress import Bar
from .prompts import nodes_of, only

OTHER = ROOT / "samples" / "caphuman_sample_2.jpg"
TEXT = "photo of a person, short brown hair, a red shirt, a blue background"         # of the words that the miniature knows
FRAMED = {"frame": True, **MIDDLE}               # where the drawn heads were, whatever the photo's head fills of it
NEUTRAL_EDIT = {"yaw_degrees": 0.0, "smile": 0.0}        # the workflow's own edit is left out
LIT = {"relight": True, "light_azimuth": -75.0, "light_elevation": 15.0, "light_intensity": 0.75, "light_ambient": 0.45}
ROWS: dict[str, dict[str, Any]] = {"as fitted": {}, "turned": {"yaw_degrees": 35.0}, "lit from the left": LIT,
                                   "laughing": {"laugh": 1.0}}
HINT, MASK, OWN, OTHERS, STYLED = "hint", "mask", "picture", "other person", "other style"
OTHER_PHOTO, WITHOUT = "other photo", "without CapFace"
QUICK = {**SAMPLING, "steps": 7}                 # thirteen pictures in less than two minutes of two slow cores
Run = Callable[[Prompt], Awaitable[Result]]


@dataclass(frozen=True)
class Story:
    """Prompts of one sheet, and which of their nodes show what."""

    photo: Prompt                            # all but the other style
    styled: Prompt                           # by itself, so that two base models need not be in memory at once
    shown: dict[tuple[str, str], str]        # (row, column) -> node; the photo and its fit, without CapFace: row ""

    @property
    def rows(self) -> list[str]:
        """Names of the rows, the sheet's order."""
        return list(dict.fromkeys(row for row, _ in self.shown if row))


def story(photo: str, other: str, weights: dict[str, Any], rows: dict[str, dict[str, Any]] | None = None,
          sampling: dict[str, Any] | None = None) -> Story:
    """photo, other: names of input images. rows: edits of the fitted head (ROWS). sampling: inputs of the sampler (QUICK)."""
    base, rows = _base(photo, weights, sampling or QUICK), ROWS if rows is None else rows
    (render,), (apply,), (mask,) = (nodes_of(base, kind) for kind in ("CapHumanRenderHead", "CapHumanApplyCapFace", "MaskPreview"))
    (decode,), (edit,), (sampler,) = (nodes_of(base, kind) for kind in ("VAEDecode", "CapHumanEditHead", "KSampler"))
    prompt, shown = dict(base), {("", title): _titled(base, title) for title in ("Face taken", "Fitted head over the photo")}
    shown["", OTHER_PHOTO] = OTHER_PHOTO
    encode = _other_person(prompt, other)
    for number, (row, change) in enumerate(rows.items(), 1):
        mark = f"{number}-"
        head = {**base[edit], "inputs": {**base[edit]["inputs"], **change}}
        prompt |= branch(base, {edit: head}, {HINT: (render, 3), OWN: (decode, 0)}, mark)
        prompt[f"{mark}{MASK}"] = {**base[mask], "inputs": {"mask": [f"{mark}{apply}", 2]}, "_meta": {"title": f"{mark}{MASK}"}}
        person = copy.deepcopy(prompt[f"{mark}{apply}"])
        person["inputs"]["identity"] = [encode, 0]
        prompt |= branch(prompt, {f"{mark}{apply}": person}, {OTHERS: (f"{mark}{decode}", 0)}, "other ")
        prompt[f"{mark}{OTHERS}"] = prompt.pop(f"other {OTHERS}")
        shown |= {(row, column): f"{mark}{column}" for column in (HINT, MASK, OWN, OTHERS, STYLED)}
    bare = {**base[sampler], "inputs": {**base[sampler]["inputs"], **_text(base, apply)}}
    prompt |= branch(base, {sampler: bare}, {WITHOUT: (decode, 0)}, "")
    shown["", WITHOUT] = WITHOUT
    wanted = {node for (_, column), node in shown.items() if column != STYLED}
    styled = copy.deepcopy(needed_by(prompt, {shown[row, OWN] for row in rows}))
    only(styled, "CheckpointLoaderSimple")["ckpt_name"] = weights["miniature"]["styled"]
    styled = {node.replace(OWN, STYLED): entry for node, entry in styled.items()}
    return Story(needed_by(prompt, wanted), styled, shown)


def _base(photo: str, weights: dict[str, Any], sampling: dict[str, Any]) -> Prompt:
    """The shipped graph, its head framed as the drawn ones were, its words those that the miniature knows."""
    side = weights["miniature"]["side"]
    base = prompts.portrait_prompt(photo, side, side, weights, sampling)
    only(base, "CapHumanEditHead").update(NEUTRAL_EDIT | FRAMED)
    only(base, "CapHumanRenderHead")["framing"] = "cover"
    apply = only(base, "CapHumanApplyCapFace")
    for end, text in (("positive", TEXT), ("negative", "")):
        base[apply[end][0]]["inputs"]["text"] = text
    return base


def _text(base: Prompt, apply: str) -> dict[str, Any]:
    """What the sampler is given where there is no CapFace."""
    return {end: base[apply]["inputs"][end] for end in ("positive", "negative")}


def _other_person(prompt: Prompt, other: str) -> str:
    """Adds what reads who another photo shows, and a preview of it, in place; returns the node with the identity."""
    (encode,) = nodes_of(prompt, "CapHumanEncodeIdentity")
    (load,) = nodes_of(prompt, "CapHumanLoadPhoto")
    photo = copy.deepcopy(prompt[load])
    photo["inputs"]["image"] = other
    (seen,) = nodes_of(prompt, "CapHumanDetectFaces")
    made = branch(prompt, {load: photo}, {"face": (encode, 1), OTHER_PHOTO: (seen, 1)}, "them ")
    prompt |= {node: entry for node, entry in made.items() if node != "them face"}
    prompt[OTHER_PHOTO] = prompt.pop(f"them {OTHER_PHOTO}")
    return f"them {encode}"


def _titled(prompt: Prompt, title: str) -> str:
    (node,) = [node for node, entry in prompt.items() if entry.get("_meta", {}).get("title") == title]
    return node


async def run(client: Client, photo: str, weights: dict[str, Any], output: Path) -> None:
    """Both prompts, every picture, and the sheet, in the output folder."""
    other = await client.upload(OTHER, f"demo-other{OTHER.suffix}")
    told = story(photo, other, weights)
    say(f"{SAID} - so the portraits are drawn heads, whoever the photo shows")
    results = []
    for prompt in (told.photo, told.styled):
        bar = Bar(prompt)
        try:
            results.append(await client.run(prompt, bar))
        finally:
            bar.close()
    save(told, results, weights, output)


def save(told: Story, results: list[Result], weights: dict[str, Any], folder: Path) -> None:
    """Write the pictures, the timings and the sheet."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    images = {node: pictures[0] for result in results for node, pictures in result.images.items() if pictures}
    for (row, column), node in told.shown.items():
        name = f"{row} {column}".strip().lower().replace(" ", "-")
        (folder / f"{PREFIX}-{name}.png").write_bytes(images[node])
    sampling = sum(seconds for prompt, result in zip((told.photo, told.styled), results, strict=True)
                   for node, seconds in result.seconds.items() if prompt[node]["class_type"] == "KSampler")
    total = sum(result.total_seconds for result in results)
    count = len(nodes_of(told.photo, "KSampler")) + len(nodes_of(told.styled, "KSampler"))
    facts = {"said": SAID, "untrained": False, "pictures": count, "sampling_seconds": round(sampling, 1),
             "total_seconds": round(total, 1), "made": time.strftime("%Y-%m-%d %H:%M:%S")}
    (folder / "timings.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    side, style = weights["miniature"]["side"], weights["miniature"]["style"]
    sheet = miniature_sheet.make({place: images[node] for place, node in told.shown.items()}, told.rows,
                                 f"{count} pictures of {side} x {side} pixels, sampled in {sampling:.0f} s", style)
    name = f"{PREFIX}-contact_sheet.png"
    sheet.save(folder / name)
    say(f"done in {total:.0f} s, {sampling:.0f} of them sampling {count} pictures: {folder.name}/{name}, the pictures beside it")
