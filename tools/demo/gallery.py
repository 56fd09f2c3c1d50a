"""The demo's gallery: the photo's head in every named expression, many poses and lights; portraits too with trained networks.

Three more prompts in the demo's server; one sheet each in <output>/gallery/.
"""
from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from PIL import Image

from caphuman_core.head.edit.recipes import EXPRESSIONS

from ..sheet import Look, grid
from .branches import before, branch, inputs_of
from .client import Prompt
from .prompts import nodes_of

Change = tuple[str, dict[str, Any]]          # class of the node that changes the head, its inputs beyond the demo's
SIDE = 320                                   # pixels of a tile
COLUMNS = {20: 5}                            # tiles on a sheet -> columns; 6 for others
SHARPER = 2                                  # maps are drawn so much larger than the picture
EDIT, RELIGHT = "CapHumanEditHead", "CapHumanRelightHead"
POSES = ((-75, 0, 0), (-50, 0, 0), (-25, 0, 0), (25, 0, 0), (50, 0, 0), (75, 0, 0),
         (0, 25, 0), (0, -25, 0), (0, 0, 20), (0, 0, -20), (35, 20, 8), (-35, -15, -8))      # yaw, pitch, roll degrees
LIGHTS = {"from the left": (-75, 15, 1.1, 0.25, "#ffffff"), "from the right": (75, 15, 1.1, 0.25, "#ffffff"),
          "from above": (0, 75, 1.1, 0.25, "#ffffff"), "from below": (0, -60, 1.0, 0.25, "#ffffff"),
          "warm evening": (-50, 10, 0.9, 0.45, "#ffc48a"), "cold window": (55, 30, 0.9, 0.4, "#a8c8ff")}


def changes() -> dict[str, dict[str, Change]]:
    """Sheet -> caption -> what is done to the head."""
    amounts = {"as fitted": (EDIT, {})} | {name.replace("_", " "): (EDIT, {name: 1.0}) for name in EXPRESSIONS}
    poses = {f"yaw {yaw}, pitch {pitch}, roll {roll}": (EDIT, {"yaw_degrees": float(yaw), "pitch_degrees": float(pitch),
                                                              "roll_degrees": float(roll)}) for yaw, pitch, roll in POSES}
    keys = ("azimuth", "elevation", "intensity", "ambient", "colour")
    lights = {name: (RELIGHT, dict(zip(keys, values, strict=True))) for name, values in LIGHTS.items()}
    return {"expressions": amounts, "poses": poses, "lights": lights}


def sheet_prompt(demo: Prompt, sheet: dict[str, Change], portraits: bool) -> tuple[Prompt, dict[str, str]]:
    """The demo's prompt with a branch for each caption in the place of its own edit; and caption -> node with its picture.

    portraits: sample each head, as the demo does; else its shaded map is shown.
    """
    (edit,), (render,) = (nodes_of(demo, kind) for kind in (EDIT, "CapHumanRenderHead"))
    prompt, shown = {}, {}
    for index, (caption, (kind, inputs)) in enumerate(sheet.items()):
        base = {"head": demo[edit]["inputs"]["head"]}
        if kind == EDIT:
            base = {name: 0.0 if isinstance(value, float) and name != "scale" else value
                    for name, value in demo[edit]["inputs"].items()}
        branch = _branch(demo, render, {edit: {"class_type": kind, "inputs": {**base, **inputs}}}, f"g{index}-", portraits)
        prompt |= branch
        (last,) = [node for node in branch if branch[node]["class_type"] == "PreviewImage"]
        shown[caption] = last
    return {**_upstream(demo, prompt), **prompt}, shown


def _branch(demo: Prompt, render: str, changed: Prompt, mark: str, portraits: bool) -> Prompt:
    """The changed node, what hangs on it, and a preview at the end, all renamed with `mark`."""
    (decode,) = nodes_of(demo, "VAEDecode")
    end = (decode, 0) if portraits else (render, 3)
    made = branch(demo, changed, {"shown": end}, mark)
    if not portraits:
        drawn = made[mark + render]["inputs"]
        drawn |= {side: drawn[side] * SHARPER for side in ("width", "height")}
    return made


def _upstream(demo: Prompt, prompt: Prompt) -> Prompt:
    """The demo's own nodes that the branches need."""
    needed = {source for entry in prompt.values() for source in inputs_of(entry)} & set(demo)
    return {node: demo[node] for start in needed for node in before(demo, start)}


def tile(data: bytes) -> Image.Image:
    """A picture cut to what is drawn in it, as a square tile."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    box = picture.getbbox() or (0, 0, *picture.size)
    half = max(box[2] - box[0], box[3] - box[1]) * 0.54
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    square = picture.crop((round(x - half), round(y - half), round(x + half), round(y + half)))
    return square.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def lay_out(title: str, tiles: dict[str, Image.Image]) -> Image.Image:
    """A captioned sheet."""
    columns = COLUMNS.get(len(tiles), 6)
    listed = [(picture, caption) for caption, picture in tiles.items()]
    return grid([listed[first:first + columns] for first in range(0, len(listed), columns)], Look(), title)


async def make(demo: Prompt, run: Callable[[Prompt], Awaitable[Any]], folder: Path, noise: bool) -> list[Path]:
    """Write a sheet for each of `changes` into the folder; returns the files.

    run: queues a prompt and returns its result, with images (node -> encoded pictures). noise: the networks are untrained, so
    heads are shown and no portraits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for title, sheet in changes().items():
        prompt, shown = sheet_prompt(demo, sheet, portraits=not noise)
        result = await run(prompt)
        tiles = {caption: tile(result.images[node][0]) for caption, node in shown.items()}
        files.append(folder / f"{title}.jpg")
        lay_out(f"One photo, {title}", tiles).save(files[-1], quality=88)
    return files
