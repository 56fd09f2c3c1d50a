"""One person and head, drawn by a checkpoint alone and by two merged ones with a LoRA."""
from __future__ import annotations

from dataclasses import replace

from .. import public_files as files
from .. import stages
from ..graph import Workflow
from ..node import Node

TITLE = "Mixed styles"
HOW = """
# Mix styles, keep the person

CapFace leaves the checkpoint as it is, so anything that makes a Stable Diffusion 1.5 model works: here **two checkpoints are
merged** and a **LoRA** is put on top. Person, head, prompt and seed are the same in both pictures.

- *ratio* of the two merge nodes: 1 is all of the first checkpoint, 0 all of the second. Keep both equal.
- If the style is lost: *id_dropout_tau* 600 in *Apply CapFace*, then *strength* 0.8.
- If the likeness is lost: back to 0, or *identity_strength* 1.2.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, (files.STYLES[0], *files.BASIC[1:], files.LORA))
    photo = stages.photo(workflow)
    head = stages.fitted(workflow, photo)
    edit = stages.edited(workflow, head, photo.image, yaw_degrees=15.0, smile=0.6)
    drawn = stages.drawn(workflow, edit, head.model, pictures=False)
    who = stages.who(workflow, photo)
    texts = stages.texts(workflow, "portrait of a person, oil painting, warm colours, detailed face")
    plain = _said(workflow, workflow.node("CheckpointLoaderSimple", "First checkpoint", ckpt_name=files.CHECKPOINT), texts)
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    latent = stages.empty(workflow)
    mixed, columns = _mixed(workflow, plain, texts)
    workflow.group("1 Photo and face", stages.PHOTO, *photo.columns)
    workflow.group("3 Identity", stages.IDENTITY, *who.columns, below=True)
    workflow.group("2 Head", stages.HEAD, *head.columns, [edit], [drawn.render])
    workflow.group("4 The same for both", stages.PROMPT, [network, latent], texts, below=True)
    workflow.group("5 One checkpoint", stages.PROMPT, *plain.columns)
    workflow.group("6 Two checkpoints and a LoRA", stages.PROMPT, *columns, below=True)
    for title, said, name, below in (("7 Plain", plain, "style_plain", False), ("8 Mixed", mixed, "style_mixed", True)):
        apply = stages.capface(workflow, said, who.identity, drawn.render, network)
        picture = stages.sampled(workflow, said, apply, latent, name, title[2:])
        columns = [[node for node in column if node is not latent] for column in picture.columns]
        workflow.group(title, stages.SAMPLE, [apply], *columns, below=below)


def _said(workflow: Workflow, source: Node, texts: list[Node]) -> stages.Prompt:
    """The texts, said to the text encoder of a checkpoint or LoRA node."""
    positive, negative = (workflow.node("CLIPTextEncode", title, (320, 90), clip=source["CLIP"], text=text)
                          for title, text in zip(("Prompt", "Negative prompt"), texts, strict=True))
    vae = source["VAE"] if source.type == "CheckpointLoaderSimple" else source
    return stages.Prompt(source, source["CLIP"], vae, positive, negative, [[source], [positive, negative]])


def _mixed(workflow: Workflow, plain: stages.Prompt, texts: list[Node]) -> tuple[stages.Prompt, list]:
    """The texts, said to a merge of the plain checkpoint with another and a LoRA; and the columns of its nodes."""
    other = workflow.node("CheckpointLoaderSimple", "Second checkpoint", ckpt_name=files.STYLES[0])
    model = workflow.node("ModelMergeSimple", "Merge the models", model1=plain.model, model2=other, ratio=0.5)
    clip = workflow.node("CLIPMergeSimple", "Merge the text encoders", clip1=plain.clip, clip2=other["CLIP"], ratio=0.5)
    lora = workflow.node("LoraLoader", model=model, clip=clip, lora_name=files.LORA, strength_model=0.8, strength_clip=0.8)
    said = _said(workflow, lora, texts)
    return replace(said, vae=plain.vae), [[other, model, clip], [lora, *said.columns[1]]]
