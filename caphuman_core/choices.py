"""Names, limits and curves that node schemas show. It imports nothing, so that showing them costs no start-up time."""
from __future__ import annotations

from collections.abc import Callable

MAX_SIDE = 8192                                          # pixels of a rendered picture
EDIT_MODES = ("add", "set")
FRAMINGS = ("contain", "cover", "stretch")
BUILT_IN = "built-in"                                    # the head model that ships with the pack
FACE_ORDERS = ("largest", "left to right", "top to bottom", "most central", "confidence")
IF_NO_FACE = ("error", "skip", "whole image")
IF_FRAME_WITHOUT_FACE = ("interpolate", "leave empty", "error")
CLIP_VIEWS = ("centre crop", "on the face")
MTCNN_FILES = ("pnet.pt", "rnet.pt", "onet.pt")
HEAD_SUFFIX = ".head.safetensors"
IDENTITY_SUFFIX = ".identity.safetensors"

# How something gets from 0 to 1 while time goes from 0 to 1.
EASINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda t: t,
    "ease in": lambda t: t * t,
    "ease out": lambda t: t * (2 - t),
    "ease in and out": lambda t: t * t * (3 - 2 * t),
}
