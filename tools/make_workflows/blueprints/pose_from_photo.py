"""Gives the head of one photo the place, pose, expression and light of another: two photos in, head out."""
from __future__ import annotations

from typing import Any

from ..blueprint import Blueprint

TITLE = "CapHuman Pose from Photo"
SWITCHES = ("position", "pose", "expression", "lighting")


def build(blueprint: Blueprint) -> None:
    """Describe the subgraph."""
    photos = {name: blueprint.inlet(name, "IMAGE") for name in ("person", "pose_photo")}
    model = blueprint.node("CapHumanLoadHeadModel", head_model_name=blueprint.inlet("head_model_name", "COMBO", "built-in"))
    detector = blueprint.node("CapHumanLoadFaceDetector", backend=blueprint.inlet("detector", "COMBO", "mtcnn"))
    found = {name: blueprint.node("CapHumanDetectFaces", image=image, detector=detector, max_faces=1)
             for name, image in photos.items()}
    heads = {name: blueprint.node("CapHumanFitHeadLandmarks", image=photos[name], faces=faces, head_model=model)
             for name, faces in found.items()}
    taken: dict[str, Any] = {name: blueprint.inlet(name, "BOOLEAN", True) for name in SWITCHES}
    head = blueprint.node("CapHumanTransferHead", source=heads["person"], target=heads["pose_photo"], **taken)
    blueprint.outlet("head", head)
    blueprint.outlet("head_model", model)
    blueprint.place([model, detector], list(found.values()), list(heads.values()), [head])
