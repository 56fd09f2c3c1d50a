"""Lays a 3D head over a photo's face: photo in, head out, with its head model and an overlay to check it."""
from __future__ import annotations

from ..blueprint import Blueprint

TITLE = "CapHuman Photo to Head"


def build(blueprint: Blueprint) -> None:
    """Describe the subgraph."""
    image = blueprint.inlet("image", "IMAGE")
    index = blueprint.inlet("face_index", "INT", 0)
    model = blueprint.node("CapHumanLoadHeadModel", head_model_name=blueprint.inlet("head_model_name", "COMBO", "built-in"))
    detector = blueprint.node("CapHumanLoadFaceDetector", backend=blueprint.inlet("detector", "COMBO", "mtcnn"))
    faces = blueprint.node("CapHumanDetectFaces", image=image, detector=detector)
    face = blueprint.node("CapHumanSelectFace", faces=faces, index=index)
    head = blueprint.node("CapHumanFitHeadLandmarks", image=image, faces=face, head_model=model)
    blueprint.outlet("head", head)
    blueprint.outlet("head_model", model)
    blueprint.outlet("overlay", head["overlay"])
    blueprint.place([model, detector], [faces, face], [head])
