"""The node that makes a fitted head explain its photo."""
from __future__ import annotations

from comfy_api.v0_0_2 import io

from ..caphuman_core.check import require
from . import host, wires
from .faces import require_photos_of

CATEGORY = "CapHuman/head"


class RefineHead(io.ComfyNode):
    """Photo, faces and a fitted head -> a head that looks like the person."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanRefineHead", display_name="CapHuman Refine Head", category=CATEGORY,
            description="Changes a fitted head until it explains the photo: shape, expression, jaw and gaze by every landmark "
                        "there is, skin and light by the pixels. "
                        "It comes back as it was where nothing that was tried explains the photo better.",
            search_aliases=["refine head", "likeness", "improve fit", "skin texture", "gaze from photo", "photometric fit",
                            "3d face reconstruction"],
            inputs=[
                io.Image.Input("image", tooltip="The photo the head was fitted to; or a batch."),
                wires.Faces.Input("faces", tooltip="From CapHuman Detect Faces; one face per photo. MediaPipe's points tell most."),
                wires.Head.Input("head", tooltip="The head that was fitted to these faces, by landmarks or by DECA."),
                wires.HeadModel.Input("head_model", tooltip="The head model it was fitted with."),
                io.Mask.Input("skin", optional=True,
                              tooltip="Which pixels are skin: the mask of CapHuman Parse Face, or one of yours. Left open: the "
                                      "head's face region, without what differs from skin, such as hair, glasses and hands."),
                io.Boolean.Input("same_person", default=False, optional=True,
                                 tooltip="The photos of the batch show one person: one shape and one skin for all of them, pose, "
                                         "expression and light each its own."),
                io.Boolean.Input("texture_from_photo", default=False, optional=True,
                                 tooltip="The head wears the photo's own skin, its light taken off; what is not seen comes from "
                                         "the other side and from the head model. Off: the head model's texture alone, as CapFace "
                                         "was trained with."),
            ],
            outputs=[
                wires.Head.Output("head", display_name="head", tooltip="The refined head, in the photo's own frame."),
                io.Image.Output("overlay", display_name="overlay", tooltip="The refined head and its 68 landmarks over the photo."),
                io.String.Output("report", display_name="report",
                                 tooltip="For each photo: what was seen, how far points and colours were off before, and are now."),
            ])

    @classmethod
    def execute(cls, image, faces, head, head_model, skin=None, same_person=False, texture_from_photo=False) -> io.NodeOutput:
        from ..caphuman_core.head.fit.photo_skin import with_photo_skin
        from ..caphuman_core.head.fit.refine import refine_photos
        from ..caphuman_core.render.overlay import overlay
        from ..caphuman_core.render.strip import noted
        require_photos_of(faces, image)
        if skin is not None:
            _require_mask_of(skin, image)
            skin = skin.cpu().float()
        done = host.progress_callback((3 if texture_from_photo else 2) * len(faces))
        photo = host.rgb01(image).cpu().float().clamp(0, 1)
        refined = refine_photos(photo, faces, head, head_model, skin, same_person, done)
        made, report, count = refined.head, refined.report, len(faces)
        if texture_from_photo:
            made, told = with_photo_skin(photo, made, head_model, skin, same_person, lambda i: done(count + i), refined.few_points)
            report = "\n".join(" ".join(filter(None, pair)) for pair in zip(refined.notes, told, strict=True))
        drawn = overlay(photo, made, head_model, lambda i: done((2 if texture_from_photo else 1) * count + i))
        for i, few in enumerate(refined.few_points):
            if few:
                drawn[i] = noted(drawn[i], "5 points only: mouth, brows and gaze were not seen")
        return io.NodeOutput(made, host.to_image(drawn), report)


def _require_mask_of(skin, image) -> None:
    """Refuse a mask of another size: what it selects would be elsewhere in the photo."""
    count, height, width = image.shape[:3]
    fits = skin.ndim == 3 and tuple(skin.shape[1:]) == (height, width) and len(skin) in (1, count)
    require(fits, "skin", f"must be one mask of {width} x {height}, or one for each photo", f"shape {list(skin.shape)}",
            "connect the mask of CapHuman Parse Face for the same image")
    require(bool(skin.isfinite().all()), "skin", "must hold finite numbers", "NaN or infinity", "check the node that made the mask")


NODES = [RefineHead]
