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
model file to get next, and where. When all is there, open *Your first portrait*.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    model = workflow.node("CapHumanLoadHeadModel")
    new = workflow.node("CapHumanNewHead", head_model=model)
    edit = workflow.node("CapHumanEditHead", head=new, head_model=model, yaw_degrees=25.0, smile=0.8, neck_share=stages.NECK)
    drawn = stages.drawn(workflow, edit, model, pictures=False)
    maps = [workflow.node("PreviewImage", title, images=drawn.render[name], size=(280, 300))
            for title, name in (("Shaded", "shaded"), ("Normals", "normal"))]
    doctor = workflow.node("CapHumanDoctor", size=(510, 220))
    workflow.group("1 A head", stages.HEAD, [workflow.note("How this works", HOW), model, new], [edit])
    workflow.group("2 What CapFace sees", stages.SAMPLE, [drawn.render], maps)
    workflow.group("3 For the next template", stages.HEAD, [doctor], below=True)
