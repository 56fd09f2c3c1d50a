"""Two people in one picture, each from a photo of their own."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..graph import Workflow
from ..node import Node

SIZE = (768, 512)
TITLE = "Two people in one picture"
HOW = """
# Two people in one picture

Each person goes the same way: photo, face, head, identity. Then

1. **Transfer Head** lifts the head out of its photo's frame into the frame of *New Head*: the picture to be drawn.
2. **Edit Head** puts it in its place (x), at its size (scale), in its pose.
3. **Apply CapFace** twice, one behind the other, each with its own identity and head.

With several people in a photo, *Select Face* takes the one with the number in the preview. Keep the heads apart by half a head's
width, and the sizes of *New Head*, *Render Head* and *Empty Latent Image* equal.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, files.BASIC)
    left = _photo(workflow, "Left person", files.SAMPLE, None)
    right = _photo(workflow, "Right person", files.SECOND_SAMPLE, left.detector)
    left_head = stages.fitted(workflow, left, title="Left head")
    right_head = stages.fitted(workflow, right, left_head.model, "Right head")
    frame = workflow.node("CapHumanNewHead", "New Head: the picture's frame", head_model=left_head.model, width=SIZE[0],
                          height=SIZE[1])
    left_who = stages.who(workflow, left)
    right_who = stages.who(workflow, right, left_who)
    said = stages.prompt(workflow, "a photo of two friends in a park, detailed faces, 35mm")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    latent = stages.empty(workflow, SIZE)
    workflow.group("1 Left person", stages.PHOTO, *left.columns, *left_head.columns)
    workflow.group("2 Right person", stages.PHOTO, *right.columns, *right_head.columns, below=True)
    moved = [_placed(workflow, head, frame, shift, yaw) for head, shift, yaw in ((left_head, -0.4, 15.0), (right_head, 0.4, -15.0))]
    workflow.group("3 Both heads in the picture", stages.HEAD, [frame, *(nodes[0] for nodes in moved)], [moved[0][1]],
                   [moved[1][1]], *([*nodes[2:]] for nodes in moved))
    workflow.group("4 Who they are", stages.IDENTITY, *left_who.columns, *right_who.columns, below=True)
    first = stages.capface(workflow, said, left_who.identity, moved[0][2], network, title="Apply CapFace: left person")
    second = stages.capface(workflow, said, right_who.identity, moved[1][2], network, first, "Apply CapFace: right person")
    picture = stages.sampled(workflow, said, second, latent, "two_people", "Two people")
    workflow.group("5 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1])
    workflow.group("6 CapFace, one after the other, and sampling", stages.SAMPLE, [first], [second], *picture.columns, below=True)


def _photo(workflow: Workflow, title: str, image: str, detector: Node | None) -> stages.Photo:
    """A photo of which one face is taken."""
    photo = stages.photo(workflow, title, image, detector, f"{title}: numbered faces", most=0)
    selected = workflow.node("CapHumanSelectFace", faces=photo.faces)
    return stages.Photo(photo.image, selected, photo.detector, [photo.columns[0], [*photo.columns[1], selected]])


def _placed(workflow: Workflow, head: stages.Fitted, frame: Node, shift: float, yaw: float) -> list[Node]:
    """Transfer, edit, render and preview of one head, `shift` from the middle."""
    lifted = workflow.node("CapHumanTransferHead", source=head.head, target=frame, pose=False, expression=False, lighting=False)
    edit = workflow.node("CapHumanEditHead", head=lifted, head_model=head.model, x=shift, scale=0.75, yaw_degrees=yaw,
                         neck_share=stages.NECK)
    drawn = stages.drawn(workflow, edit, head.model, SIZE, pictures=False)
    return [lifted, edit, drawn.render, workflow.node("PreviewImage", "Shaded", images=drawn.render["shaded"])]
