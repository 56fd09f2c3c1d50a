"""One person and head in the styles of several checkpoints, on one labelled sheet."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import public_files as files
from .. import stages
from ..graph import Workflow
from ..node import Node

TITLE = "One person, many styles"
HOW = """
# A contact sheet of styles

The same person, head, prompt and seed, drawn by **three checkpoints**: choose any three for Stable Diffusion 1.5. CapFace is
loaded once and fits them all.

For a fourth, select a whole row, copy it, paste it with its links (Ctrl+Shift+V), and drag its label to the next free input of
**Batch Images**.

The labels' node, **Text Overlay**, is younger than ComfyUI 0.24: in one that does not know it, delete the labels and link the
pictures to **Batch Images** themselves.
"""
LABELS = ("Plain", "First style", "Second style")


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, (files.STYLES[0], *files.BASIC[1:]))
    photo = stages.photo(workflow)
    head = stages.fitted(workflow, photo)
    edit = stages.edited(workflow, head, photo.image, yaw_degrees=-15.0, smile=0.6)
    drawn = stages.drawn(workflow, edit, head.model, pictures=False)
    who = stages.who(workflow, photo)
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    latent = stages.empty(workflow)
    workflow.group("1 Photo and face", stages.PHOTO, *photo.columns)
    workflow.group("3 Identity", stages.IDENTITY, *who.columns, below=True)
    texts = stages.texts(workflow, "a portrait of a person, detailed face")
    workflow.group("2 Head", stages.HEAD, *head.columns, [edit], [drawn.render])
    workflow.group("4 The same for all", stages.PROMPT, [network, latent], texts, below=True)
    shared = Shared(who.identity, drawn.render, network, latent, *texts)
    rows: dict[str, Any] = {f"images__image{number}": _row(workflow, number, checkpoint, shared)
                            for number, checkpoint in enumerate((files.CHECKPOINT, *files.STYLES))}
    batch = workflow.node("BatchImagesNode", **rows)
    sheet = workflow.node("ImageGrid", images=batch, columns=3, cell_width=512, cell_height=512, padding=8)
    saved = workflow.node("SaveImage", "Contact sheet", images=sheet, filename_prefix="caphuman/styles")
    workflow.group("6 The sheet", stages.EXTRA, [batch, sheet], [saved])


@dataclass(frozen=True)
class Shared:
    """What all rows have in common."""

    identity: Node
    hint: Node
    network: Node
    latent: Node
    wanted: Node
    unwanted: Node


def _row(workflow: Workflow, number: int, checkpoint: str, shared: Shared) -> Node:
    """One checkpoint's picture with its label."""
    loaded = workflow.node("CheckpointLoaderSimple", ckpt_name=checkpoint)
    positive, negative = (workflow.node("CLIPTextEncode", title, (320, 90), clip=loaded["CLIP"], text=text)
                          for title, text in (("Prompt", shared.wanted), ("Negative prompt", shared.unwanted)))
    said = stages.Prompt(loaded, loaded["CLIP"], loaded["VAE"], positive, negative, [])
    apply = stages.capface(workflow, said, shared.identity, shared.hint, shared.network)
    picture = stages.sampled(workflow, said, apply, shared.latent, None)
    label = LABELS[number]
    named = workflow.node("TextOverlay", images=picture.image, text=label, position="bottom", align="center")
    sampler = [node for node in picture.columns[0] if node is not shared.latent]
    workflow.group(f"5 {label}", stages.SAMPLE, [loaded, positive, negative], [apply], sampler, [named], below=number > 0)
    return named
