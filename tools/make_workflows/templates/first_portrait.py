"""One photo in, a portrait out, the head posed by hand in between: all on one screen."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..blueprint import described
from ..blueprints import photo_to_person, portrait
from ..graph import Workflow

TITLE = "Your first portrait"
HOW = """
# Your first portrait

1. Press **Run**: the sample photo is there.
2. Drag the head in **Edit Head**; choose an expression, a light.
3. Run again, or change the **prompt** first.

Drop a photo of your own on *Photo*. With several faces in it the largest is taken; *Face taken* says so.

A double click on one of the two large nodes opens its lid. The whole graph, with nothing folded in, is *Portrait, step by step*.
"""
PROMPT = "a photo of a person in a cafe, natural light, detailed face, 50mm"


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    beginner(workflow, HOW, "first_portrait")


def beginner(workflow: Workflow, how: str, prefix: str) -> dict[str, int]:
    """The graph of the first portrait with a note of its own; the ids of the nodes that an app shows."""
    notes = stages.notes(workflow, how, files.BASIC)
    photo = workflow.node("CapHumanLoadPhoto", "Photo", image=files.SAMPLE)
    person = workflow.subgraph(described(workflow.object_info, photo_to_person), "Photo to Person", image=photo)
    seen = workflow.node("PreviewImage", "Face taken", images=person["face"])
    edit = workflow.node("CapHumanEditHead", head=person["head"], head_model=person["head_model"], photo=photo, yaw_degrees=20.0,
                         smile=0.5, neck_share=stages.NECK)
    checkpoint = workflow.node("CheckpointLoaderSimple", ckpt_name=files.CHECKPOINT)
    drawn = workflow.subgraph(
        described(workflow.object_info, portrait, prompt=PROMPT), "Portrait", model=checkpoint, clip=checkpoint["CLIP"],
        vae=checkpoint["VAE"], identity=person["identity"], head=edit, head_model=person["head_model"])
    saved = workflow.node("SaveImage", "Your portrait", images=drawn["image"], filename_prefix=f"caphuman/{prefix}")
    workflow.group("1 Photo", stages.PHOTO, [photo, seen], [person, checkpoint, notes[0], notes[1].folded()])
    workflow.group("2 Pose, expression, light", stages.HEAD, [edit])
    workflow.group("3 Portrait", stages.SAMPLE, [drawn, saved])
    return {"photo": photo.id, "edit": edit.id, "portrait": drawn.id, "saved": saved.id}
