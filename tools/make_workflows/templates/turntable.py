"""A head that turns from profile to profile, as a batch of portraits."""
from __future__ import annotations

from typing import Any

from .. import public_files as files
from .. import stages
from ..graph import Workflow
from ..node import Node

TITLE = "From profile to profile"
HOW = """
# Turntable

Three **Head Keyframes** stand on a timeline of nine frames: left profile at 0, front at 4, right profile at 8. **Blend Heads**
makes the heads in between, and its *strip* shows them.

Change a pose in one of the **Edit Head** nodes, move a keyframe, or add a fourth one: each takes the keyframes before it.
For more frames raise *frames* in **Blend Heads**. To try one frame first, write its number in **Pick Head** in the place of *all*;
*3-5* takes three, *reversed* turns the other way.

All frames are sampled with one seed. A steadier picture needs an animation model (AnimateDiff) between checkpoint and sampler.
"""
POSES = (("Left profile", -75.0, 0), ("Front", 0.0, 4), ("Right profile", 75.0, 8))
FRAMES = 9


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, files.BASIC)
    person = stages.photo(workflow, "Who")
    head = stages.fitted(workflow, person)
    columns, keys = _timeline(workflow, head)
    blend = workflow.node("CapHumanBlendHeads", keyframes=keys, head_model=head.model, frames=FRAMES)
    strip = workflow.node("PreviewImage", "The sequence", size=(640, 200), images=blend["strip"])
    picked = workflow.node("CapHumanPickHead", head=blend, which="all")
    drawn = stages.drawn(workflow, picked, head.model, pictures=False)
    maps = workflow.node("PreviewImage", "Heads", images=drawn.render["shaded"])
    who = stages.who(workflow, person)
    said = stages.prompt(workflow, "a studio portrait of a person, plain grey background, soft light, detailed face")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    apply = stages.capface(workflow, said, who.identity, drawn.render, network)
    latent = workflow.node("EmptyLatentImage", width=512, height=512, batch_size=picked["count"])
    picture = stages.sampled(workflow, said, apply, latent, "turntable", "Frames")
    film = workflow.node("SaveAnimatedWEBP", images=picture.image, filename_prefix="caphuman/turntable", fps=6.0, method="default")
    workflow.group("1 Who", stages.PHOTO, *person.columns, *head.columns)
    workflow.group("2 Identity", stages.IDENTITY, *who.columns, below=True)
    workflow.group("3 Keyframes", stages.HEAD, *columns)
    workflow.group("4 The sequence", stages.HEAD, [strip, blend, picked], [drawn.render, maps])
    workflow.group("5 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1], below=True)
    workflow.group("6 CapFace and sampling", stages.SAMPLE, [apply], *picture.columns, [film])


def _timeline(workflow: Workflow, head: stages.Fitted) -> tuple[list[list[Node]], Node]:
    """A column for each pose, and the last keyframe."""
    columns, keys = [], None
    for title, yaw, frame in POSES:
        edit = workflow.node("CapHumanEditHead", title, head=head.head, head_model=head.model, yaw_degrees=yaw, mode="set",
                             neck_share=stages.NECK)
        before: dict[str, Any] = {"keyframes": keys} if keys else {}
        keys = workflow.node("CapHumanHeadKeyframe", f"{title} at frame {frame}", head=edit, frame=frame, **before)
        columns.append([edit, keys])
    if keys is None:
        raise ValueError("a timeline needs a pose")
    return columns, keys
