"""CapHuman Edit Head: the node in which the interactive editor lives (web/editor/)."""
from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

import folder_paths
from comfy_api.v0_0_2 import io

from ..caphuman_core.check import require_image
from ..caphuman_core.head.edit.recipes import APPENDED, EXPRESSIONS
from ..caphuman_core.head.edit.widget_values import SHAPE, TEXTURE
from ..caphuman_core.head.options import EDIT_MODES, HAIR_STYLES
from . import host, wires

CATEGORY = "CapHuman/head"
FINE = 0.001                 # step of place and scale: the frontend rounds to it, and a head may be small in a large photo
PREVIEW_SIDE = 512           # longest side of the preview, pixels
PHOTO_SIDES = 1024, 4096     # longest side of the photo that the editor shows, pixels: least and most
CLOSE_UP = 512               # pixels of the editor's close-up, whose side is the picture's shorter one times the head's scale


def _slider(name: str, label: str, low: float, high: float, tooltip: str, default: float = 0.0,
            step: float = 0.01, optional: bool = False) -> io.Float.Input:
    return io.Float.Input(name, display_name=label, default=default, min=low, max=high, step=step, round=0.001,
                          display_mode=io.NumberDisplay.slider, tooltip=tooltip, optional=optional)


def _light_sliders() -> list[io.Float.Input]:
    used = "; used when relight is on."
    return [
        _slider("light_azimuth", "light azimuth", -180, 180, "Degrees; 0 from the viewer, 90 from the picture's right" + used,
                30.0, 1.0, True),
        _slider("light_elevation", "light elevation", -90, 90, "Degrees; positive from above" + used, 25.0, 1.0, True),
        _slider("light_intensity", "light intensity", 0, 4, "Strength of the light; 0.6 is soft daylight, 1.5 is hard" + used,
                0.6, 0.01, True),
        _slider("light_ambient", "light ambient", 0, 4, "Light from all around; with little of it shadows are deep" + used,
                0.7, 0.01, True),
    ]


def _gaze_sliders() -> list[io.Float.Input]:
    return [
        _slider("gaze_yaw_degrees", "gaze yaw", -45, 45, "Degrees that the eyes turn, against the head; positive: to the picture's "
                "right, which is the person's left.", step=0.5, optional=True),
        _slider("gaze_pitch_degrees", "gaze pitch", -35, 35, "Degrees that the eyes turn, against the head; positive: up. On the "
                "built-in head the lids follow a little.", step=0.5, optional=True),
        _slider("gaze_convergence_degrees", "gaze convergence", -15, 25, "Degrees that each eye turns towards the nose, as to look "
                "at something near; negative: apart.", step=0.5, optional=True),
    ]


def _shape_sliders() -> list[io.Float.Input]:
    """Who it is, by numbers: the same words for each, because the directions differ from model to model."""
    told = {"shape": "Moves the face along one direction of the head model's shape, in standard deviations, on top of the incoming "
                     "head in either mode. The first directions change most.",
            "texture": "Changes the skin along one direction of the head model's texture, in standard deviations, on top of the "
                       "incoming head in either mode. The first directions change most."}
    return [_slider(name, name.replace("_", " "), -4, 4, told[name.rpartition("_")[0]], step=0.05, optional=True)
            for name in (*SHAPE, *TEXTURE)]


def _expression_sliders(names: Iterable[str], optional: bool) -> list[io.Float.Input]:
    return [_slider(name, name.replace("_", " "), -1.0, 1.5, f"Amount of '{name.replace('_', ' ')}': 0 none, 1 full; "
                    "negative takes it away. Left and right are the person's own.", optional=optional) for name in names]


class EditHead(io.ComfyNode):
    """Turn, move, scale and express a head."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanEditHead", display_name="CapHuman Edit Head", category=CATEGORY,
            description="Turns, moves, scales and expresses the head.",
            search_aliases=["pose head", "rotate head", "head editor", "expression editor", "turn head", "smile", "pose",
                            "facial expression", "yaw pitch roll", "live portrait", "gaze", "pose editor", "face rig",
                            "expression", "eye direction", "look at", "neck", "face shape"],
            has_intermediate_output=True,        # a run that finds all in the cache still tells the editor its head
            inputs=[
                wires.Head.Input("head", tooltip="The head to edit; it is not changed itself."),
                wires.HeadModel.Input("head_model", tooltip="The head model the head was made with."),
                _slider("yaw_degrees", "yaw", -180, 180, "Degrees; positive turns the face to the picture's right.", step=0.5),
                _slider("pitch_degrees", "pitch", -90, 90, "Degrees; positive looks up.", step=0.5),
                _slider("roll_degrees", "roll", -180, 180, "Degrees; positive tilts the head clockwise in the picture.", step=0.5),
                _slider("x", "x", -2, 2, "Shift to the right, in units of the picture's shorter side.", step=FINE),
                _slider("y", "y", -2, 2, "Shift down, in units of the picture's shorter side.", step=FINE),
                _slider("scale", "scale", 0.05, 10, "Size factor; in mode 'set' relative to a new head, which fills three "
                        "quarters of the picture.", default=1.0, step=FINE),
                _slider("jaw_degrees", "jaw", -30, 40, "Degrees the jaw opens; 20 is wide open.", step=0.5),
                *_expression_sliders((name for name in EXPRESSIONS if name not in APPENDED), False),
                io.Combo.Input("mode", options=list(EDIT_MODES), default="add",
                               tooltip="add: on top of the incoming head. set: pose, place, scale, jaw and expression become "
                                       "exactly these values; who it is and the light stay."),
                io.Boolean.Input("turn_light", default=False, optional=True,
                                 tooltip="Off: the light stays where it is while the head turns. On: it turns with the head, as if "
                                         "fixed to it."),
                io.Image.Input("photo", optional=True,
                               tooltip="Shown behind the head in the editor and in the preview; it changes nothing in the head. "
                                       "Connect the photo the head was fitted to."),
                io.Boolean.Input("relight", default=False, optional=True,
                                 tooltip="Off: the head keeps its light. On: it gets the light below, like CapHuman Relight Head."),
                *_light_sliders(),
                io.Color.Input("light_colour", display_name="light colour", default="#ffffff", optional=True,
                               tooltip="Colour of the light, as #rrggbb; used when relight is on."),
                io.Boolean.Input("frame", display_name="framed", default=False, optional=True,
                                 tooltip="Off: the head stays where it is and as large as it is. On: whatever head comes in, it is "
                                         "brought to a portrait's size and place first, its pose kept; x, y and scale count from "
                                         "there."),
                _slider("light_fill", "light fill", 0, 4, "Strength of a second light from the other side, at eye level, which "
                        "brightens the shadows; used when relight is on.", optional=True),
                _slider("light_rim", "light rim", 0, 4, "Strength of a light from behind, opposite the first one, which edges the "
                        "head; used when relight is on.", optional=True),
                *_gaze_sliders(),
                _slider("neck_share", "neck share", 0, 1, "Share of the turn that the neck makes while the bust stays behind; 0.5 "
                        "as a person turns, 0: head and bust turn as one. The face itself stays as it is.", optional=True),
                *_shape_sliders(),
                *_expression_sliders(APPENDED, True),
                io.Combo.Input("hair", options=list(HAIR_STYLES), default=HAIR_STYLES[0], optional=True,
                               tooltip="Hair of the editor's view and of the preview, on the built-in head, to recognise whom you "
                                       "pose. The head itself and CapFace's hint stay bald, as it was trained."),
                io.String.Input("corrections", default="", optional=True,
                                tooltip="Landmarks of the incoming head that were put elsewhere in its picture, as the editor "
                                        "writes them; the first head of a batch follows them, before everything else is edited."),
            ],
            outputs=[
                wires.Head.Output("head", display_name="head", tooltip="The edited head."),
                io.Image.Output("preview", display_name="preview",
                                tooltip="The edited head, shaded, at most 512 pixels wide or high."),
            ])

    @classmethod
    def execute(cls, head, head_model, photo=None, hair=HAIR_STYLES[0], **values) -> io.NodeOutput:
        from ..caphuman_core.head.edit.editor_wire import head_json
        from ..caphuman_core.head.edit.widget_values import edited
        from ..caphuman_core.render.maps import require_same_model
        from ..caphuman_core.render.preview import preview
        require_same_model(head, head_model)
        if photo is not None:
            require_image("photo", photo)
        made = edited(head, head_model, values)
        shown = {**head_json(head, head_model.name), "photo": None if photo is None else _shown_photo(photo, head),
                 "skin": _shown_skin(head, head_model) if head.has_skin else None}
        seen = preview(made, head_model, PREVIEW_SIDE, None if photo is None else host.rgb01(photo),
                       host.progress_callback(len(made)), hair)
        return io.NodeOutput(made, host.to_image(seen), ui={"caphuman_editor": [shown]})


def _photo_side(head, width: int, height: int) -> int:
    """Longest side at which a photo is sharp in the editor, also in its close-up of a small head."""
    from ..caphuman_core.head.pivot import scale_of
    wanted = CLOSE_UP / max(float(scale_of(head)[0]), 1e-3) * max(width, height) / min(width, height)
    return round(min(max(wanted, PHOTO_SIDES[0]), PHOTO_SIDES[1]))


def _shown_photo(photo, head) -> dict[str, str]:
    """The first photo as a file in the host's temp folder, for the editor to fetch; its name cannot be guessed."""
    from ..caphuman_core.pixels import image_of
    picture = image_of(host.rgb01(photo[:1])[0].float())
    side = _photo_side(head, *picture.size)
    picture.thumbnail((side, side))
    return _sent(picture, "jpg", quality=90)


def _shown_skin(head, head_model) -> dict[str, str]:
    """The first head's albedo texture with the skin of a photo in it, as such a file."""
    from ..caphuman_core.head.model.texture import albedo_sheets
    from ..caphuman_core.pixels import image_of
    return _sent(image_of(albedo_sheets(head_model, head[0])[0][0]), "png", compress_level=1)


def _sent(picture, kind: str, **options) -> dict[str, str]:
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    name = f"caphuman_editor_{secrets.token_hex(12)}.{kind}"
    picture.save(folder / name, **options)
    return {"filename": name, "subfolder": "", "type": "temp"}


NODES = [EditHead]
