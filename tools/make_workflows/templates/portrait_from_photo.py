"""A portrait of the person in one photo, every step in sight."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..graph import Workflow

TITLE = "Portrait, step by step"
HOW = """
# A portrait from one photo

1. Choose a **photo**. With several faces in it the largest is taken; *Face taken* says so.
2. The face is found and a 3D head is fitted to it; **Refine Head** makes it look like the person. With the detector *mediapipe*
it sees mouth and brows too.
3. **Edit Head** turns it, opens its mouth, makes it smile.
4. Its normals, albedo and shading tell **CapFace** how the head is to stand in the picture; the photo tells it who.
5. The sampler draws the person anew, as the **prompt** says.

Keep the size of *Render Head* equal to that of *Empty Latent Image*.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, files.BASIC)
    photo = stages.photo(workflow)
    head = stages.fitted(workflow, photo, refine=True)
    edit = stages.edited(workflow, head, photo.image, yaw_degrees=20.0, smile=0.5)
    drawn = stages.drawn(workflow, edit, head.model)
    who = stages.who(workflow, photo)
    crop = workflow.node("PreviewImage", "Face as identity sees it", images=who.identity["crop"])
    said = stages.prompt(workflow, "a photo of a person in a cafe, natural light, detailed face, 50mm")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    apply = stages.capface(workflow, said, who.identity, drawn.render, network)
    mask = workflow.node("MaskPreview", "Predicted face mask", mask=apply["face_mask"])
    picture = stages.sampled(workflow, said, apply, stages.empty(workflow), "portrait")
    workflow.group("1 Photo and face", stages.PHOTO, *photo.columns)
    workflow.group("3 Identity", stages.IDENTITY, *who.columns, [crop], below=True)
    workflow.group("2 Head", stages.HEAD, *head.columns, [edit], *drawn.columns)
    workflow.group("4 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1], below=True)
    workflow.group("5 CapFace and sampling", stages.SAMPLE, [apply, mask], *picture.columns)
