"""The node that reads a face's regions: skin, hair, clothes, background."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from comfy_api.v0_0_2 import io

from ..caphuman_core.check import require_image
from . import host, wires

CATEGORY = "CapHuman/identity"


@dataclass(frozen=True)
class FaceParser:
    """BiSeNet under the host's model management; travels on the FACE_PARSER wire."""

    patcher: Any                         # comfy.model_patcher.ModelPatcher of a BiSeNet

    def classes(self, photos):
        """[B, 3, H, W], 0..1 -> [B, H, W] uint8 classes."""
        from ..caphuman_core.face import parsing
        host.load(self.patcher)
        return parsing.parse(self.patcher.model, photos)

    def whiten(self, photo):
        """[3, H, W] -> the same with everything but the face white."""
        from ..caphuman_core.face import parsing
        return parsing.whitened(photo[None], self.classes(photo[None]))[0]


class ParseFace(io.ComfyNode):
    """Photos -> which part of a face each pixel shows."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanParseFace", display_name="CapHuman Parse Face", category=CATEGORY,
            description="Whitens everything but the face, as CapFace was trained with, and gives the face as a mask.",
            search_aliases=["face parsing", "bisenet", "face mask", "remove background", "segment face"],
            inputs=[
                io.Image.Input("image", tooltip="One photo, or a batch."),
                wires.FaceParser.Input("face_parser", tooltip="From CapHuman Load Face Parser."),
            ],
            outputs=[
                io.Image.Output("whitened", display_name="image",
                                tooltip="The photos with background, hair, ears, neck, clothes and hats white."),
                io.Mask.Output("mask", display_name="mask", tooltip="1 on skin, brows, eyes, glasses, nose and mouth; else 0."),
                io.Image.Output("class_map", display_name="class_map",
                                tooltip="One colour per part of the face; the help page has the legend."),
            ])

    @classmethod
    def execute(cls, image, face_parser) -> io.NodeOutput:
        from ..caphuman_core.face import parsing
        require_image("image", image)
        photos = host.rgb01(image).cpu().float()
        parts = [face_parser.classes(photo[None]) for photo in host.with_progress(list(photos))]
        classes = torch.cat(parts)
        mask = parsing.is_face(classes).float().to(host.intermediate_device())
        return io.NodeOutput(host.to_image(parsing.whitened(photos, classes)), mask, host.to_image(parsing.coloured(classes)))


NODES = [ParseFace]
