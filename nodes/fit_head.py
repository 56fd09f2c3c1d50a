"""Nodes that make heads."""
from __future__ import annotations

import torch
from comfy_api.v0_0_2 import io

from ..caphuman_core.render.options import MAX_SIDE
from . import host, wires
from .faces import require_photos_of

CATEGORY = "CapHuman/head"


class FitHeadLandmarks(io.ComfyNode):
    """Photo and faces -> head, from landmarks alone."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanFitHeadLandmarks", display_name="CapHuman Fit Head (landmarks)", category=CATEGORY,
            description="Fits pose, place, size and light of the head to a photo's face; expression and jaw too when the "
                        "detector gives enough points. Needs no DECA weights.",
            search_aliases=["fit head", "head pose", "face pose", "landmark fit", "flame fit", "landmarks",
                            "3d face", "3dmm", "face reconstruction"],
            inputs=[
                io.Image.Input("image", tooltip="The photo the faces were found in; a batch gives a batch of heads."),
                wires.Faces.Input("faces", tooltip="From CapHuman Detect Faces; one face per photo."),
                wires.HeadModel.Input("head_model", tooltip="The head model to fit."),
            ],
            outputs=[
                wires.Head.Output("head", display_name="head", tooltip="The fitted head, in the photo's own frame."),
                io.Image.Output("overlay", display_name="overlay", tooltip="The fitted head and its 68 landmarks over the photo."),
            ])

    @classmethod
    def execute(cls, image, faces, head_model) -> io.NodeOutput:
        from ..caphuman_core.head.fit.from_photo import fit_photos
        from ..caphuman_core.render.overlay import overlay
        require_photos_of(faces, image)
        done = host.progress_callback(2 * len(faces))
        photo = host.rgb01(image).cpu().float()
        head = fit_photos(photo, faces, head_model, done)
        return io.NodeOutput(head, host.to_image(overlay(photo, head, head_model, lambda i: done(len(faces) + i))))


class FitHead(io.ComfyNode):
    """Photo and faces -> head, by DECA's encoder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanFitHead", display_name="CapHuman Fit Head", category=CATEGORY,
            description="Fits FLAME's shape, skin, expression, pose, camera and light to a photo's face with DECA's encoder, "
                        "as CapFace was trained with.",
            search_aliases=["deca", "fit flame", "fit head", "3d face reconstruction"],
            inputs=[
                io.Image.Input("image", tooltip="The photo the faces were found in; a batch gives a batch of heads."),
                wires.Faces.Input("faces", tooltip="From CapHuman Detect Faces; one face per photo."),
                wires.HeadFitter.Input("head_fitter", tooltip="DECA's encoder."),
                wires.HeadModel.Input("head_model", tooltip="FLAME; DECA's codes mean nothing on another head model."),
                io.Int.Input("squash_to_square", default=0, min=0, max=MAX_SIDE, optional=True,
                             tooltip="0 keeps the photo's shape. The released code squashes each photo to a square of the "
                                     "picture's size first: give that size in pixels (512) to reproduce its numbers."),
            ],
            outputs=[
                wires.Head.Output("head", display_name="head",
                                  tooltip="The fitted head, in the photo's own frame (squashed: the square's)."),
                io.Image.Output("overlay", display_name="overlay", tooltip="The fitted head and its 68 landmarks over the photo."),
            ])

    @classmethod
    def execute(cls, image, faces, head_fitter, head_model, squash_to_square=0) -> io.NodeOutput:
        from ..caphuman_core.head.fit.deca import released_square
        from ..caphuman_core.head.fit.from_photo import fit_photos_by_deca
        from ..caphuman_core.render.overlay import overlay
        require_photos_of(faces, image)
        done = host.progress_callback(2 + len(faces))
        photo = host.rgb01(image).cpu().float()
        head = fit_photos_by_deca(photo, faces, head_fitter.encode, head_model, squash_to_square, done)
        if squash_to_square:
            photo = torch.stack([released_square(picture, squash_to_square) for picture in photo])
        return io.NodeOutput(head, host.to_image(overlay(photo, head, head_model, lambda i: done(2 + i))))


class NewHead(io.ComfyNode):
    """A neutral head without a photo."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanNewHead", display_name="CapHuman New Head", category=CATEGORY,
            description="A neutral head that faces the viewer, centred in the picture.",
            search_aliases=["neutral head", "empty head", "default head"],
            inputs=[
                wires.HeadModel.Input("head_model", tooltip="The head model to use."),
                io.Int.Input("width", default=512, min=16, max=MAX_SIDE, step=8, tooltip="Picture width in pixels."),
                io.Int.Input("height", default=512, min=16, max=MAX_SIDE, step=8, tooltip="Picture height in pixels."),
            ],
            outputs=[wires.Head.Output("head", display_name="head", tooltip="The neutral head.")])

    @classmethod
    def execute(cls, head_model, width, height) -> io.NodeOutput:
        from ..caphuman_core.head.new import new_head
        return io.NodeOutput(new_head(head_model, width, height))


NODES = [FitHead, FitHeadLandmarks, NewHead]
