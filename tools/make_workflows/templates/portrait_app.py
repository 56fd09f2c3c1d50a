"""The first portrait as an app: photo, head editor, prompt and Run, without a graph in sight."""
from __future__ import annotations

from ..graph import Workflow
from .first_portrait import beginner

TITLE = "Portrait app"
FILE = "portrait.app"                    # the frontend marks templates whose name ends so as apps
HOW = """
# The portrait as an app

This graph opens as an app: a photo, the head editor, the prompt, and Run. *Exit app mode* (the workflow's menu) shows the graph; it
is that of *Your first portrait*.
"""
EDITOR_HEIGHT = 860                      # pixels


def build(workflow: Workflow) -> None:
    """Describe the graph, and what the app shows of it."""
    ids = beginner(workflow, HOW, "portrait_app")
    shown = [[ids["photo"], "image"], [ids["portrait"], "prompt"], [ids["edit"], "caphuman_editor", {"height": EDITOR_HEIGHT}]]
    workflow.app = {"linearMode": True, "linearData": {"inputs": shown, "outputs": [ids["saved"]]}}
