"""From the widget values of CapHuman Edit Head to the edited head: one way for the node, the benchmark and the trainer.

The table imports nothing heavy: node schemas and lists of head conditions show it.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .recipes import EXPRESSIONS

if TYPE_CHECKING:
    from ...flow import Head
    from ..model.head_model import HeadModel
    from .edit import Edit

# Input name -> neutral value; degrees, and lengths in units of the picture's shorter side.
PLACE: dict[str, float] = {"yaw_degrees": 0.0, "pitch_degrees": 0.0, "roll_degrees": 0.0, "x": 0.0, "y": 0.0, "scale": 1.0,
                           "jaw_degrees": 0.0}
LIGHT: dict[str, Any] = {"light_azimuth": 30.0, "light_elevation": 25.0, "light_intensity": 0.6, "light_ambient": 0.7,
                         "light_colour": "#ffffff", "light_fill": 0.0, "light_rim": 0.0}
GAZE: dict[str, float] = {"gaze_yaw_degrees": 0.0, "gaze_pitch_degrees": 0.0, "gaze_convergence_degrees": 0.0}
DIRECTIONS = 10                          # of shape, and of texture, that have a widget
SHAPE = tuple(f"shape_{place}" for place in range(1, DIRECTIONS + 1))           # standard deviations on top of the head's own
TEXTURE = tuple(f"texture_{place}" for place in range(1, DIRECTIONS + 1))
NEUTRAL: dict[str, Any] = {**PLACE, **dict.fromkeys(EXPRESSIONS, 0.0), "mode": "add", "turn_light": False, "relight": False,
                           **LIGHT, "frame": False, **GAZE, "neck_share": 0.0, **dict.fromkeys((*SHAPE, *TEXTURE), 0.0),
                           "corrections": ""}


def edited(head: Head, model: HeadModel, values: Mapping[str, Any]) -> Head:
    """What CapHuman Edit Head makes of a head with these widget values; those left out are neutral.

    Raises InputError for values outside their ranges and for a head of another model.
    """
    from ..light import rgb01_of
    from .corrections import corrected
    from .edit import edit_head
    from .relight import Others, relight
    values = {**NEUTRAL, **values}
    head = corrected(head, model, str(values["corrections"]))
    head = edit_head(head, model, edit_of(values), values["mode"], bool(values["turn_light"]), bool(values["frame"]))
    if not values["relight"]:
        return head
    azimuth, elevation, intensity, ambient, fill, rim = (float(values[name]) for name in LIGHT if name != "light_colour")
    return relight(head, azimuth, elevation, intensity, ambient, rgb01_of(str(values["light_colour"])), Others(fill, rim))


def edit_of(values: Mapping[str, Any]) -> Edit:
    """The edit that widget values name, without mode and light."""
    from .edit import Edit
    from .shape import used_numbers
    shape, texture = (used_numbers(tuple(float(values[name]) for name in names)) for names in (SHAPE, TEXTURE))
    return Edit(**{name: float(values[name]) for name in (*PLACE, *GAZE, "neck_share")},
                expressions={name: float(values[name]) for name in EXPRESSIONS}, shape=shape, texture=texture)
