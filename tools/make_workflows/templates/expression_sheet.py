"""Nine named expressions of one person, as a grid of heads and a grid of portraits."""
from __future__ import annotations

from typing import Any

from .. import public_files as files
from .. import stages
from ..graph import Workflow
from ..node import Node

TITLE = "Nine expressions"
HOW = """
# An expression sheet

Nine **Edit Head** nodes, folded, each with a named expression: select one and press **Alt+C** to unfold and change it. A
**Head Keyframe** behind each puts it on frame 0 to 8, and **Blend Heads** makes them one batch.

From there on everything is done once for all nine: render, CapFace, sampling. Frame by frame the batch uses one head after the
other; the person, the prompt and the seed stay.

**Make Image Grid** puts them on one sheet: above the heads, below the portraits. For fewer expressions lower *frames* and
*batch_size* together.
"""
NEUTRAL: dict[str, float] = {}
SHEET: tuple[tuple[str, dict[str, float]], ...] = (
    ("neutral", NEUTRAL), ("smile", {"smile": 1.0, "squint": 0.4}), ("laugh", {"smile": 1.0, "mouth_open": 0.9, "squint": 0.7}),
    ("surprise", {"surprise": 1.2}), ("anger", {"anger": 1.2}), ("sadness", {"sadness": 1.2}),
    ("disgust", {"disgust": 1.2}), ("kiss", {"pucker": 1.2}), ("wink", {"blink_left": 1.0, "smile": 0.7}))


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, files.BASIC)
    photo = stages.photo(workflow)
    head = stages.fitted(workflow, photo)
    edits, keys = _timeline(workflow, head)
    blend = workflow.node("CapHumanBlendHeads", keyframes=keys[-1], head_model=head.model, frames=len(SHEET))
    drawn = stages.drawn(workflow, blend, head.model, pictures=False)
    heads = _grid(workflow, drawn.render["shaded"])
    shown = workflow.node("PreviewImage", "Sheet of heads", (420, 460), images=heads)
    who = stages.who(workflow, photo)
    said = stages.prompt(workflow, "a studio portrait of a person, grey background, soft light, detailed face")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    apply = stages.capface(workflow, said, who.identity, drawn.render, network)
    picture = stages.sampled(workflow, said, apply, stages.empty(workflow, count=len(SHEET)), None)
    sheet = _grid(workflow, picture.image)
    saved = workflow.node("SaveImage", "Expression sheet", images=sheet, filename_prefix="caphuman/expressions")
    workflow.group("1 Photo and face", stages.PHOTO, *photo.columns, *head.columns)
    workflow.group("2 Identity", stages.IDENTITY, *who.columns, below=True)
    workflow.group("3 Nine expressions, one frame each", stages.HEAD, edits, keys)
    workflow.group("4 All of them as one batch", stages.HEAD, [blend, drawn.render], [heads, shown])
    workflow.group("5 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1], below=True)
    workflow.group("6 CapFace and sampling", stages.SAMPLE, [apply], [*picture.columns[0], sheet], [saved])


def _timeline(workflow: Workflow, head: stages.Fitted) -> tuple[list[Node], list[Node]]:
    """A folded edit and a keyframe for each expression; each keyframe takes those before it."""
    edits: list[Node] = []
    keys: list[Node] = []
    for frame, (name, amounts) in enumerate(SHEET):
        edit = stages.edited(workflow, head, None, f"Edit Head: {name}", **amounts).folded()
        before: dict[str, Any] = {"keyframes": keys[-1]} if keys else {}
        keys.append(workflow.node("CapHumanHeadKeyframe", f"Frame {frame}: {name}", head=edit, frame=frame, **before).folded())
        edits.append(edit)
    return edits, keys


def _grid(workflow: Workflow, images: Any) -> Node:
    return workflow.node("ImageGrid", images=images, columns=3, cell_width=384, cell_height=384, padding=6)
