"""A head posed by hand over the photo, kept in a file, and held firmly by reference control guidance."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..graph import Workflow

TITLE = "A head posed by hand"
HOW = """
# Pose a head by hand

1. Choose a **photo** and press **Run** once: the head is laid over the face.
2. In **Edit Head** drag the head to turn it, use the presets and sliders for the face, and the light switch for the light.
3. Run again.

*Render Head* draws twice: the head as you posed it, and as the photo has it. The second goes to **reference_hint**, so that the
sampler is pushed *away* from the photo's own pose. Unplug it to halve CapFace's work.

**Save Head** keeps the pose as a small file for *Load Head* (see *identity_library_2_use*).
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, files.BASIC)
    photo = stages.photo(workflow)
    head = stages.fitted(workflow, photo)
    edit = stages.edited(workflow, head, photo.image, yaw_degrees=-30.0, pitch_degrees=8.0, brows_up=0.6, smile=0.7)
    kept = workflow.node("CapHumanSaveHead", head=edit, filename_prefix="caphuman/pose")
    drawn = stages.drawn(workflow, edit, head.model)
    reference = workflow.node("CapHumanRenderHead", "Render Head: as in the photo", head=head.head, head_model=head.model)
    who = stages.who(workflow, photo)
    said = stages.prompt(workflow, "a photo of a person in a garden, evening sun, detailed face, 85mm")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    apply = stages.capface(workflow, said, who.identity, drawn.render, network, reference_hint=reference)
    picture = stages.sampled(workflow, said, apply, stages.empty(workflow), "pose_by_hand")
    workflow.group("1 Photo and face", stages.PHOTO, *photo.columns)
    workflow.group("3 Identity", stages.IDENTITY, *who.columns, below=True)
    workflow.group("2 Pose the head", stages.HEAD, [*head.columns[0], kept], [edit], [drawn.render, reference],
                   [*drawn.columns[1], drawn.columns[0][1]])
    workflow.group("4 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1])
    workflow.group("5 CapFace and sampling", stages.SAMPLE, [apply], *picture.columns, below=True)
