"""The person of one photo with the pose and expression of another."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..graph import Workflow

TITLE = "Pose from another photo"
HOW = """
# The pose of another photo

1. **Who**: a photo of the person.
2. **Pose**: a photo of anybody, in the pose you want. Its face is read by ComfyUI's own MediaPipe nodes, which give the
expression too; an ordinary face detector gives place and turn only.
3. **Transfer Head** takes from the pose photo what is switched on: position, pose, expression, lighting. Shape and skin stay
the person's.

Compare the two overlays and the shaded head before you sample. For small corrections put *Edit Head* behind *Transfer Head*.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, (*files.BASIC, files.MEDIAPIPE))
    person = stages.photo(workflow, "Who")
    head = stages.fitted(workflow, person, title="Head of the person")
    pose, posed = _posed(workflow, head)
    transfer = workflow.node("CapHumanTransferHead", source=head.head, target=posed.head)
    drawn = stages.drawn(workflow, transfer, head.model)
    who = stages.who(workflow, person)
    said = stages.prompt(workflow, "a photo of a person on a mountain top, wind, detailed face, 50mm")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    apply = stages.capface(workflow, said, who.identity, drawn.render, network)
    picture = stages.sampled(workflow, said, apply, stages.empty(workflow), "pose_from_photo")
    workflow.group("1 Who", stages.PHOTO, *person.columns, *head.columns)
    workflow.group("2 Pose", stages.PHOTO, *pose, *posed.columns, below=True)
    workflow.group("3 Head of the one, pose of the other", stages.HEAD, [transfer], *drawn.columns)
    workflow.group("4 Identity", stages.IDENTITY, *who.columns, below=True)
    workflow.group("5 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1])
    workflow.group("6 CapFace and sampling", stages.SAMPLE, [apply], *picture.columns, below=True)


def _posed(workflow: Workflow, head: stages.Fitted) -> tuple[list, stages.Fitted]:
    """The second photo, read by the host's MediaPipe nodes: its columns and the head fitted to it."""
    image = workflow.node("CapHumanLoadPhoto", "Pose", image=files.SECOND_SAMPLE)
    landmarker = workflow.node("LoadMediaPipeFaceLandmarker", model_name=files.MEDIAPIPE)
    found = workflow.node("MediaPipeFaceLandmarker", face_detection_model=landmarker, image=image)
    faces = workflow.node("CapHumanFacesFromLandmarks", face_landmarks=found)
    seen = stages.Photo(image, faces, landmarker, [])
    return [[image], [landmarker, found, faces]], stages.fitted(workflow, seen, head.model, "Head of the pose")
