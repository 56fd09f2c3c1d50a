"""Nodes that make and edit heads."""
from __future__ import annotations

import torch
from comfy_api.v0_0_2 import io

from ..caphuman_core.check import require, require_image
from ..caphuman_core.choices import EDIT_MODES, MAX_SIDE
from ..caphuman_core.head.recipes import EXPRESSIONS
from . import host, wires

CATEGORY = "CapHuman/head"
PREVIEW_SIDE = 512           # longest side of an editor preview, pixels


class FitHeadLandmarks(io.ComfyNode):
    """Photo and faces -> head, from landmarks alone."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanFitHeadLandmarks", display_name="CapHuman Fit Head (landmarks)", category=CATEGORY,
            description="Fits pose, place, size and light of the head to a photo's face; expression and jaw too when the "
                        "detector gives enough points. Needs no DECA weights.",
            search_aliases=["fit head", "head pose", "face pose", "landmark fit", "flame fit"],
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
        from ..caphuman_core.head.fit import fit_faces
        from ..caphuman_core.render.overlay import overlay, with_photo_light
        _require_photos_of(faces, image)
        done = host.progress_callback(2 * len(faces))
        photo = host.rgb01(image).cpu().float()
        head = with_photo_light(photo, fit_faces(faces, head_model, done), head_model)
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
        from ..caphuman_core.head.deca import crop_faces, head_of_codes, released_square
        from ..caphuman_core.head.fit import predicted_points68
        from ..caphuman_core.render.overlay import overlay
        _require_photos_of(faces, image)
        done = host.progress_callback(2 + len(faces))
        photo = host.rgb01(image).cpu().float()
        crops = crop_faces(photo, faces, predicted_points68(faces, head_model), squash_to_square)
        done(1)
        device = host.load(head_fitter.patcher)
        codes = head_fitter.patcher.model(crops.images.to(device)).cpu()
        done(2)
        head = head_of_codes(codes, crops, head_model)
        if squash_to_square:
            photo = torch.stack([released_square(picture, squash_to_square) for picture in photo])
        return io.NodeOutput(head, host.to_image(overlay(photo, head, head_model, lambda i: done(2 + i))))


def _require_photos_of(faces, image) -> None:
    """Refuse faces that were found in other photos: points are pixels of one picture size."""
    require_image("image", image)
    require((len(faces), faces.height, faces.width) == tuple(image.shape[:3]), "image",
            f"must be the {len(faces)} photo(s) of {faces.width} x {faces.height} that the faces were found in",
            f"{image.shape[0]} of {image.shape[2]} x {image.shape[1]}", "connect the same image to both nodes")


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


def _slider(name: str, label: str, low: float, high: float, tooltip: str, default: float = 0.0,
            step: float = 0.01) -> io.Float.Input:
    return io.Float.Input(name, display_name=label, default=default, min=low, max=high, step=step, round=0.001,
                          display_mode=io.NumberDisplay.slider, tooltip=tooltip)


def _expression_sliders() -> list[io.Float.Input]:
    return [_slider(name, name.replace("_", " "), -1.0, 1.5, f"Amount of '{name.replace('_', ' ')}': 0 none, 1 full; "
                    "negative takes it away. Left and right are the person's own.") for name in EXPRESSIONS]


class EditHead(io.ComfyNode):
    """Turn, move, scale and express a head."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanEditHead", display_name="CapHuman Edit Head", category=CATEGORY,
            description="Turns, moves, scales and expresses the head.",
            search_aliases=["pose head", "rotate head", "head editor", "expression editor", "turn head", "smile"],
            inputs=[
                wires.Head.Input("head", tooltip="The head to edit; it is not changed itself."),
                wires.HeadModel.Input("head_model", tooltip="The head model the head was made with."),
                _slider("yaw_degrees", "yaw", -180, 180, "Degrees; positive turns the face to the picture's right.", step=0.5),
                _slider("pitch_degrees", "pitch", -90, 90, "Degrees; positive looks up.", step=0.5),
                _slider("roll_degrees", "roll", -180, 180, "Degrees; positive tilts the head clockwise in the picture.", step=0.5),
                _slider("x", "x", -2, 2, "Shift to the right, in units of the picture's shorter side."),
                _slider("y", "y", -2, 2, "Shift down, in units of the picture's shorter side."),
                _slider("scale", "scale", 0.05, 10, "Size factor; in mode 'set' relative to a new head, which fills three "
                        "quarters of the picture.", default=1.0),
                _slider("jaw_degrees", "jaw", -30, 40, "Degrees the jaw opens; 20 is wide open.", step=0.5),
                *_expression_sliders(),
                io.Combo.Input("mode", options=list(EDIT_MODES), default="add",
                               tooltip="add: on top of the incoming head. set: pose, place, scale, jaw and expression become "
                                       "exactly these values; who it is and the light stay."),
                io.Boolean.Input("turn_light", default=False, optional=True,
                                 tooltip="Off: the light stays where it is while the head turns. On: it turns with the head, as if "
                                         "fixed to it."),
            ],
            outputs=[
                wires.Head.Output("head", display_name="head", tooltip="The edited head."),
                io.Image.Output("preview", display_name="preview",
                                tooltip="The edited head, shaded, at most 512 pixels wide or high."),
            ])

    @classmethod
    def execute(cls, head, head_model, yaw_degrees, pitch_degrees, roll_degrees, x, y, scale, jaw_degrees,
                smile, frown, brows_up, brows_down, blink_left, blink_right, squint, mouth_open, jaw_left, jaw_right,
                pucker, wide_mouth, sneer, cheek_puff, surprise, anger, sadness, disgust, fear, mode,
                turn_light=False) -> io.NodeOutput:
        from ..caphuman_core.head.edit import Edit, edit_head
        from ..caphuman_core.render.maps import require_same_model
        require_same_model(head, head_model)
        amounts = (smile, frown, brows_up, brows_down, blink_left, blink_right, squint, mouth_open, jaw_left, jaw_right,
                   pucker, wide_mouth, sneer, cheek_puff, surprise, anger, sadness, disgust, fear)
        edit = Edit(yaw_degrees, pitch_degrees, roll_degrees, x, y, scale, jaw_degrees,
                    dict(zip(EXPRESSIONS, amounts, strict=True)))
        edited = edit_head(head, head_model, edit, mode, turn_light)
        return io.NodeOutput(edited, _preview(edited, head_model))


def _preview(head, head_model):
    """The shaded head in its own frame, reduced to PREVIEW_SIDE."""
    from ..caphuman_core.render.maps import render
    ratio = min(1.0, PREVIEW_SIDE / max(head.width, head.height))
    size = (max(1, round(head.width * ratio)), max(1, round(head.height * ratio)))
    return host.to_image(render(head, head_model, *size, "stretch", step=host.progress_callback(len(head))).shaded)


NODES = [FitHead, FitHeadLandmarks, NewHead, EditHead]
