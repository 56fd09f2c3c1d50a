"""An existing picture drawn anew around the person of a photo."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..graph import Workflow
from ..node import Node

TITLE = "Into a picture: drawn anew"
HOW = """
# A person into an existing picture (img2img)

The whole picture is drawn anew, starting from what is there:

1. **Picture**: the one to change; its face says where the new head goes, how it is turned, and how it is lit.
2. **Who**: a photo of the person.
3. *Transfer Head* gives the person's head that place, pose, expression and light.
4. **denoise** (KSampler) says how much may change: 0.4 retouches, 0.75 keeps little but the composition.

To change the face and nothing else, take *inpaint_face*.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, files.BASIC)
    picture = stages.picture(workflow)
    person = stages.photo(workflow, "Who", detector=picture.detector, found="Face of the person")
    old = stages.fitted(workflow, picture, title="Head of the picture")
    new = stages.fitted(workflow, person, old.model, "Head of the person")
    transfer = workflow.node("CapHumanTransferHead", source=new.head, target=old.head)
    drawn, shown = sized(workflow, transfer, old.model, picture)
    who = stages.who(workflow, person)
    said = stages.prompt(workflow, "a photo of a person, natural light, detailed face")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    apply = stages.capface(workflow, said, who.identity, drawn, network)
    latent = workflow.node("VAEEncode", pixels=picture.image, vae=said.vae)
    made = stages.sampled(workflow, said, apply, latent, "img2img", "The picture, drawn anew", denoise=0.6)
    workflow.group("1 Picture", stages.PHOTO, *picture.columns, *old.columns)
    workflow.group("2 Who", stages.PHOTO, *person.columns, *new.columns, below=True)
    workflow.group("3 The person's head in the picture's place", stages.HEAD, [transfer], *shown)
    workflow.group("4 Identity", stages.IDENTITY, *who.columns, below=True)
    workflow.group("5 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1])
    workflow.group("6 CapFace and sampling", stages.SAMPLE, [apply], [latent, *made.columns[0]], *made.columns[1:], below=True)


def sized(workflow: Workflow, head: Node, model: Node, picture: stages.Photo) -> tuple[Node, list[list[Node]]]:
    """Render a head at the size of a picture; (Render Head, columns)."""
    size = workflow.node("GetImageSize", "Size of the picture", image=picture.image)
    render = workflow.node("CapHumanRenderHead", head=head, head_model=model, width=size["width"], height=size["height"])
    shaded = workflow.node("PreviewImage", "Shaded", images=render["shaded"])
    return render, [[size, render, shaded]]
