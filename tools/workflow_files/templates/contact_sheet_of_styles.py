"""One person and head in the styles of several checkpoints, on one labelled sheet."""
from __future__ import annotations

from dataclasses import replace

from .. import public_files as files
from .. import stages
from ..graph import Node, Workflow

HOW = """
# A contact sheet of styles

The same person, head, prompt and seed, drawn by **three checkpoints**: choose any three for Stable Diffusion 1.5. CapFace is
loaded once and fits them all.

For a fourth, select a whole row, copy it, paste it with its links (Ctrl+Shift+V), and drag its label to the next free input of
**Batch Images**.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, files.BASIC)
    photo = stages.photo(workflow)
    head = stages.fitted(workflow, photo)
    edit = stages.edited(workflow, head, photo.image, yaw_degrees=-15.0, smile=0.6)
    drawn = stages.drawn(workflow, edit, head.model, pictures=False)
    who = stages.who(workflow, photo)
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    latent = stages.empty(workflow)
    workflow.group("1 Photo and face", stages.PHOTO, *photo.columns)
    workflow.group("3 Identity", stages.IDENTITY, *who.columns, below=True)
    workflow.group("2 Head", stages.HEAD, *head.columns, [edit], [drawn.render, network, latent])
    rows = []
    for number, (label, checkpoint) in enumerate(zip(("Plain", "First style", "Second style"), (files.CHECKPOINT, *files.STYLES), strict=True)):
        rows.append(_row(workflow, number, label, checkpoint, who.identity, drawn.render, network, latent))
    batch = workflow.node("BatchImagesNode", **{f"images__image{number}": row for number, row in enumerate(rows)})
    sheet = workflow.node("ImageGrid", images=batch, columns=3, cell_width=512, cell_height=512, padding=8)
    saved = workflow.node("SaveImage", "Contact sheet", images=sheet, filename_prefix="caphuman/styles")
    workflow.group("5 The sheet", stages.EXTRA, [batch, sheet], [saved])


def _row(workflow: Workflow, number: int, label: str, checkpoint: str, identity: Node, hint: Node, network: Node, latent: Node) -> Node:
    """One checkpoint's picture with its label."""
    said = stages.prompt(workflow, "a portrait of a person, detailed face", checkpoint=checkpoint)
    said = replace(said, columns=[[*said.columns[0], *said.columns[1]]])
    apply = stages.capface(workflow, said, identity, hint, network)
    picture = stages.sampled(workflow, said, apply, latent, None)
    named = workflow.node("TextOverlay", images=picture.image, text=label, position="bottom", align="center")
    columns = [[node for node in column if node is not latent] for column in picture.columns]
    workflow.group(f"4 {label}", stages.SAMPLE, *said.columns, [apply], [*columns[0]], [named], below=number > 0)
    return named
