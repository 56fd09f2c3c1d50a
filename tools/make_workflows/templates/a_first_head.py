"""A head that turns, smiles and is lit: needs no photo and no model file."""
from __future__ import annotations

from .. import stages
from ..graph import Workflow

HOW = """
# Your first head

Press **Run**: this graph needs no photo and no model file.

Then drag the head in **Edit Head**, or move its sliders: turn it, let it smile. Run again, and the maps on the right follow.

These maps are how CapFace is told where a head stands in a picture. Group 3 lists the model files that portraits need: which
are there, and where to get the others. When it says that all is there, load *portrait_from_photo*.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    model = workflow.node("CapHumanLoadHeadModel")
    new = workflow.node("CapHumanNewHead", head_model=model)
    edit = workflow.node("CapHumanEditHead", head=new, head_model=model, yaw_degrees=25.0, smile=0.8)
    drawn = stages.drawn(workflow, edit, model)
    dots = workflow.node("PreviewImage", "Landmarks", images=drawn.render["landmarks"], size=(320, 340))
    workflow.loose([workflow.note("How this works", HOW)])
    workflow.group("1 A head", stages.HEAD, [model, new], [edit])
    workflow.group("2 What CapFace sees", stages.SAMPLE, *drawn.columns, [dots])
    doctor = workflow.node("CapHumanDoctor")
    told = workflow.node("PreviewAny", "What is there, what is missing", source=doctor, size=(640, 420))
    workflow.group("3 For the next template", stages.HEAD, [doctor], [told])
