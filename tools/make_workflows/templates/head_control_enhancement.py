"""The portrait with an openpose ControlNet behind CapFace: the paper's head control enhancement."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..graph import Workflow

TITLE = "Firmer pose with openpose"
HOW = """
# A firmer hold on the head

The portrait graph with an ordinary **openpose** ControlNet behind CapFace, fed by the *landmarks* of **Render Head**: the
paper's head control enhancement.

CapFace sees who and how; openpose sees the prompt and the 68 points. The order of the two does not matter.

Raise openpose's *strength* (0.5) when the pose is not followed, lower it when the face grows stiff.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, (*files.BASIC, files.OPENPOSE))
    photo = stages.photo(workflow)
    head = stages.fitted(workflow, photo)
    edit = stages.edited(workflow, head, photo.image, yaw_degrees=40.0, roll_degrees=-8.0, smile=0.5)
    drawn = stages.drawn(workflow, edit, head.model, pictures=False)
    dots = workflow.node("PreviewImage", "Landmarks for openpose", images=drawn.render["landmarks"])
    shaded = workflow.node("PreviewImage", "Shaded", images=drawn.render["shaded"])
    who = stages.who(workflow, photo)
    said = stages.prompt(workflow, "a photo of a person in a cafe, natural light, detailed face, 50mm")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    apply = stages.capface(workflow, said, who.identity, drawn.render, network)
    openpose = workflow.node("ControlNetLoader", "Load openpose", control_net_name=files.OPENPOSE)
    posed = workflow.node("ControlNetApplyAdvanced", "Apply openpose", positive=apply["positive"], negative=apply["negative"],
                          control_net=openpose, image=drawn.render["landmarks"], strength=0.5)
    picture = stages.sampled(workflow, said, posed, stages.empty(workflow), "head_control")
    workflow.group("1 Photo and face", stages.PHOTO, *photo.columns)
    workflow.group("3 Identity", stages.IDENTITY, *who.columns, below=True)
    workflow.group("2 Head", stages.HEAD, *head.columns, [edit], [drawn.render, shaded], [dots])
    workflow.group("4 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1])
    workflow.group("5 CapFace, openpose and sampling", stages.SAMPLE, [apply], [openpose, posed], *picture.columns, below=True)
