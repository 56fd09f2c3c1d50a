"""A portrait at 512 pixels, enlarged and refined at 768 with the head held in place."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..graph import Workflow

TITLE = "Larger, in a second pass"
HOW = """
# Larger, and sharper

1. A portrait at 512 x 512, as in *portrait_from_photo*.
2. Its latent is enlarged 1.5 times and sampled again with **denoise 0.5**: new detail, same composition.
3. For the second pass the same head is drawn anew at 768 x 768, and CapFace acts a little less (**strength 0.7**).

Without CapFace in the second pass the face drifts back to anybody's. Denoise 0.35 keeps more of the first picture, 0.6 invents
more. *Render Head* of the second pass must be as large as its picture: 512 times *scale_by*.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, files.BASIC)
    photo = stages.photo(workflow)
    head = stages.fitted(workflow, photo)
    edit = stages.edited(workflow, head, photo.image, yaw_degrees=15.0, smile=0.5)
    first = stages.drawn(workflow, edit, head.model, pictures=False)
    second = stages.drawn(workflow, edit, head.model, (768, 768), pictures=False)
    who = stages.who(workflow, photo)
    said = stages.prompt(workflow, "a photo of a person by the sea, soft light, detailed skin, 85mm")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    apply = stages.capface(workflow, said, who.identity, first.render, network)
    small = stages.sampled(workflow, said, apply, stages.empty(workflow), "hires_first_pass", "First pass")
    larger = workflow.node("LatentUpscaleBy", samples=small.latent, upscale_method="bislerp", scale_by=1.5)
    again = stages.capface(workflow, said, who.identity, second.render, network, strength=0.7)
    large = stages.sampled(workflow, said, again, larger, "hires_second_pass", "Second pass", denoise=0.5)
    workflow.group("1 Photo and face", stages.PHOTO, *photo.columns)
    workflow.group("3 Identity", stages.IDENTITY, *who.columns, below=True)
    workflow.group("2 Head, drawn at both sizes", stages.HEAD, *head.columns, [edit], [first.render, second.render])
    workflow.group("4 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1], below=True)
    workflow.group("5 First pass: 512 x 512", stages.SAMPLE, [apply], *small.columns)
    workflow.group("6 Second pass: 768 x 768", stages.SAMPLE, [again], [larger, *large.columns[0]], *large.columns[1:], below=True)
