"""A head that turns, smiles and is lit: needs no photo and no model file."""
from __future__ import annotations

from .. import stages
from ..graph import Workflow

TITLE = "Start here: your first head"
HOW = """
# Your first head

Press **Run**: this graph needs no photo and no model file.

Then drag the head in **Edit Head**, or move its sliders: turn it, let it smile. Run again, and the maps on the right follow.

These maps are how CapFace is told where a head stands in a picture. Group 3 says what to do for portraits: which
model file to get next, and where. Unfold *What is there, what is missing* for the whole list. When all is there, open *Your first
portrait*.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    model = workflow.node("CapHumanLoadHeadModel")
    new = workflow.node("CapHumanNewHead", head_model=model)
    edit = workflow.node("CapHumanEditHead", head=new, head_model=model, yaw_degrees=25.0, smile=0.8, neck_share=stages.NECK)
    drawn = stages.drawn(workflow, edit, model)
    dots = workflow.node("PreviewImage", "Landmarks", images=drawn.render["landmarks"], size=(320, 340))
    workflow.group("1 A head", stages.HEAD, [workflow.note("How this works", HOW), model, new], [edit])
    workflow.group("2 What CapFace sees", stages.SAMPLE, *drawn.columns, [dots])
    doctor = workflow.node("CapHumanDoctor")
    then = workflow.node("PreviewAny", "Next step", source=doctor["next"], size=(640, 160))
    told = workflow.node("PreviewAny", "What is there, what is missing", source=doctor, size=(640, 420)).folded()
    workflow.group("3 For the next template", stages.HEAD, [doctor], [then, told], below=True)
