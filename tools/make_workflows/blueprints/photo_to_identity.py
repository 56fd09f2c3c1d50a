"""Finds a face in a photo and reads who it is: photo in, identity out."""
from __future__ import annotations

from .. import public_files as files
from ..blueprint import Blueprint

TITLE = "CapHuman Photo to Identity"


def build(blueprint: Blueprint) -> None:
    """Describe the subgraph."""
    image = blueprint.inlet("image", "IMAGE")
    index = blueprint.inlet("face_index", "INT", 0)
    encoder = blueprint.node("CapHumanLoadIdentityEncoder", model_name=blueprint.inlet("identity_encoder", "COMBO", files.FACENET))
    clip = blueprint.node("CLIPVisionLoader", clip_name=blueprint.inlet("clip_vision", "COMBO", files.CLIP_VISION))
    detector = blueprint.node("CapHumanLoadFaceDetector")
    faces = blueprint.node("CapHumanDetectFaces", image=image, detector=detector)
    face = blueprint.node("CapHumanSelectFace", faces=faces, index=index)
    identity = blueprint.node("CapHumanEncodeIdentity", image=image, faces=face, identity_encoder=encoder, clip_vision=clip)
    blueprint.outlet("identity", identity)
    blueprint.outlet("crop", identity["crop"])
    blueprint.outlet("faces", face)
    blueprint.place([detector, encoder, clip], [faces, face], [identity])
