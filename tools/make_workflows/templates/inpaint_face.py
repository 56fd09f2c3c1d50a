"""The face of an existing picture replaced by the person of a photo, the rest left untouched."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..graph import Workflow
from .img2img_face import sized

TITLE = "Into a picture: the face alone"
HOW = """
# Another face in an existing picture (inpaint)

Only the face is drawn anew:

1. **Picture**: its face says where the new head goes, how it is turned, and how it is lit.
2. **Who**: a photo of the person.
3. *Transfer Head* gives the person's head that place, pose, expression and light.
4. The **mask** is where the head was drawn, grown by some pixels: raise *expand* to include the hair.
5. Outside the mask the picture comes out as it went in.

The same mask goes to *spatial_mask*, so that CapFace acts there alone. **denoise** 0.75: lower keeps more of the old face.
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
    grown = workflow.node("GrowMask", "Grow the mask", mask=drawn["mask"], expand=24)
    seen = workflow.node("MaskPreview", "What is drawn anew", mask=grown)
    who = stages.who(workflow, person)
    said = stages.prompt(workflow, "a photo of a person, natural light, detailed face")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    apply = stages.capface(workflow, said, who.identity, drawn, network, spatial_mask=grown)
    latent = workflow.node("VAEEncode", pixels=picture.image, vae=said.vae)
    masked = workflow.node("SetLatentNoiseMask", samples=latent, mask=grown)
    made = stages.sampled(workflow, said, apply, masked, None, denoise=0.75)
    pasted = workflow.node("ImageCompositeMasked", "Into the picture", destination=picture.image, source=made.image, mask=grown)
    saved = workflow.node("SaveImage", "The picture with the new face", images=pasted, filename_prefix="caphuman/inpaint")
    workflow.group("1 Picture", stages.PHOTO, *picture.columns, *old.columns)
    workflow.group("2 Who", stages.PHOTO, *person.columns, *new.columns, below=True)
    workflow.group("3 The person's head in the picture's place", stages.HEAD, [transfer, grown, seen], *shown)
    workflow.group("4 Identity", stages.IDENTITY, *who.columns, below=True)
    workflow.group("5 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1])
    workflow.group("6 CapFace and sampling", stages.SAMPLE, [apply], [latent, masked, *made.columns[0]], [pasted, saved],
                   below=True)
