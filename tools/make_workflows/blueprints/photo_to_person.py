"""Reads a photo whole: who it shows and a 3D head laid over the face; of several faces, the largest."""
from __future__ import annotations

from .. import public_files as files
from ..blueprint import Blueprint

TITLE = "CapHuman Photo to Person"


def build(blueprint: Blueprint) -> None:
    """Describe the subgraph."""
    image = blueprint.inlet("image", "IMAGE")
    order = blueprint.inlet("order", "COMBO", "largest")
    model = blueprint.node("CapHumanLoadHeadModel", head_model_name=blueprint.inlet("head_model_name", "COMBO", "built-in"))
    detector = blueprint.node("CapHumanLoadFaceDetector", backend=blueprint.inlet("detector", "COMBO", "mtcnn"))
    encoder = blueprint.node("CapHumanLoadIdentityEncoder", model_name=blueprint.inlet("identity_encoder", "COMBO", files.FACENET))
    clip = blueprint.node("CLIPVisionLoader", clip_name=blueprint.inlet("clip_vision", "COMBO", files.CLIP_VISION))
    faces = blueprint.node("CapHumanDetectFaces", image=image, detector=detector, max_faces=1, order=order)
    identity = blueprint.node("CapHumanEncodeIdentity", image=image, faces=faces, identity_encoder=encoder, clip_vision=clip)
    head = blueprint.node("CapHumanFitHeadLandmarks", image=image, faces=faces, head_model=model)
    refined = blueprint.node("CapHumanRefineHead", image=image, faces=faces, head=head, head_model=model)
    blueprint.outlet("identity", identity)
    blueprint.outlet("head", refined)
    blueprint.outlet("head_model", model)
    blueprint.outlet("face", faces["preview"])
    blueprint.outlet("overlay", refined["overlay"])
    blueprint.place([model, detector, encoder, clip], [faces], [identity, head], [refined])
