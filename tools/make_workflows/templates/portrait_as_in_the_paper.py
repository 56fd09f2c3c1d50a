"""The portrait with FLAME, DECA and face parsing: the parts that CapFace was trained with."""
from __future__ import annotations

from .. import public_files as files
from .. import stages
from ..graph import Workflow

TITLE = "As in the paper: FLAME and DECA"
HOW = """
# A portrait as in the paper

The same way as *portrait_from_photo*, with the parts CapFace was trained with:

- **FLAME** is the head, and **DECA** fits its shape, skin, expression, pose and light to the photo.
- **Face parsing** whitens everything but the face before CLIP looks.
- CLIP is taken out of **caphuman.ckpt** itself.
- 512 x 512, 50 DDIM steps, CFG 7.5, strength 1.

FLAME and DECA need their owners' registration, so nothing can fetch them for you: the note below says where to get them.
Without them, use *portrait_from_photo*.
"""


def build(workflow: Workflow) -> None:
    """Describe the graph."""
    stages.explained(workflow, HOW, (files.CHECKPOINT, files.CAPFACE, files.FACENET, files.FACE_PARSING, files.FLAME,
                                         "FLAME_texture.npz", "landmark_embedding.npy", "head_template.obj", files.DECA))
    photo = stages.photo(workflow)
    parser = workflow.node("CapHumanLoadFaceParser", model_name=files.FACE_PARSING)
    parsed = workflow.node("CapHumanParseFace", image=photo.image, face_parser=parser)
    parts = workflow.node("PreviewImage", "Parts of the face", images=parsed["class_map"])
    model = workflow.node("CapHumanLoadHeadModel", head_model_name=files.FLAME)
    fitter = workflow.node("CapHumanLoadHeadFitter", model_name=files.DECA)
    fit = workflow.node("CapHumanFitHead", image=photo.image, faces=photo.faces, head_fitter=fitter, head_model=model)
    overlay = workflow.node("PreviewImage", "Fitted head over the photo", images=fit["overlay"])
    drawn = stages.drawn(workflow, fit, model)
    encoder = workflow.node("CapHumanLoadIdentityEncoder", model_name=files.FACENET)
    clip = workflow.node("CapHumanLoadCLIPVision", capface_name=files.CAPFACE)
    identity = workflow.node("CapHumanEncodeIdentity", image=photo.image, faces=photo.faces, identity_encoder=encoder,
                             clip_vision=clip, face_parser=parser)
    said = stages.prompt(workflow, "a photo of a person wearing a suit", "")
    network = workflow.node("CapHumanLoadCapFace", capface_name=files.CAPFACE)
    apply = stages.capface(workflow, said, identity, drawn.render, network)
    picture = stages.sampled(workflow, said, apply, stages.empty(workflow), "paper", steps=50)
    workflow.group("1 Photo and face", stages.PHOTO, *photo.columns)
    workflow.group("3 Face parsing and identity", stages.IDENTITY, [parser, encoder, clip], [parsed, identity], [parts], below=True)
    workflow.group("2 Head: FLAME, fitted by DECA", stages.HEAD, [model, fitter, fit, overlay], *drawn.columns)
    workflow.group("4 Prompt and networks", stages.PROMPT, [*said.columns[0], network], said.columns[1])
    workflow.group("5 CapFace and sampling", stages.SAMPLE, [apply], *picture.columns, below=True)
