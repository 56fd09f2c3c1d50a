"""The person of a photo, moved by the head of somebody in a video."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..graph import Workflow

TITLE = "Driven by a video"
HOW = """
# Driven by a video

1. **Who**: a photo of the person.
2. **Video**: a sample, until you drop a clip of your own on it: one person, one shot, the face in view. **Heads from Video** fits a
head to each frame, follows one person and takes the jitter out; look at its *strip* first.
3. **Transfer Head** gives the person the clip's pose, place and expression. Light is switched off, so that it stays the photo's.

Start with *max_frames* 8. The number of frames must be *batch_size* in **Empty Latent Image** too. With the detector *mediapipe*
(its file goes into **models/detection**) the clip's expressions come along; *mtcnn* gives pose and place only.
"""
FRAMES = 8


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, files.BASIC)
    person = stages.photo(workflow, "Who")
    head = stages.fitted(workflow, person)
    clip = workflow.node("CapHumanLoadVideo", "Video", file=files.SAMPLE_VIDEO)
    driver = workflow.node("CapHumanHeadsFromVideo", detector=person.detector, head_model=head.model, video=clip, max_frames=FRAMES)
    strip = workflow.node("PreviewImage", "Heads of the video", size=(640, 200), images=driver["strip"])
    transfer = workflow.node("CapHumanTransferHead", source=head.head, target=driver, lighting=False)
    drawn = stages.drawn(workflow, transfer, head.model, pictures=False)
    maps = workflow.node("PreviewImage", "Heads", images=drawn.render["shaded"])
    who = stages.who(workflow, person)
    said = stages.prompt(workflow, "a person speaking, cinematic light, detailed face, 50mm")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    apply = stages.capface(workflow, said, who.identity, drawn.render, network)
    picture = stages.sampled(workflow, said, apply, stages.empty(workflow, count=FRAMES), "driven", "Frames")
    film = workflow.node("CreateVideo", images=picture.image, fps=driver["fps"])
    saved = workflow.node("SaveVideo", video=film, filename_prefix="caphuman/driven", format="auto", codec="auto")
    workflow.group("1 Who", stages.PHOTO, *person.columns, *head.columns)
    workflow.group("2 Video", stages.PHOTO, [clip], [driver, strip], below=True)
    workflow.group("3 The person, driven", stages.HEAD, [transfer, drawn.render, maps])
    workflow.group("4 Identity", stages.IDENTITY, *who.columns)
    workflow.group("5 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1], below=True)
    workflow.group("6 CapFace and sampling", stages.SAMPLE, [apply], *picture.columns, [film, saved])
