"""One check at every socket of every node: what arrives is what the socket's type says.

The host checks links against each other, but lets a prompt of the API put any literal where a link belongs, and lets NaN
pass for a number. `checked` stands between the host and `execute`, so that no node has to.
"""
from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..caphuman_core.check import fail


@dataclass(frozen=True)
class Kind:
    """What a socket takes: what it must be, how to tell, and what to do about anything else."""

    rule: str
    fits: Callable[[Any], bool]
    fix: str


def _instance(name: str) -> Callable[[Any], bool]:
    """By the class's name: a pack that was reloaded in a running server has its classes twice."""
    return lambda value: any(base.__name__ == name for base in type(value).__mro__)


def _ours(what: str, name: str, source: str) -> Kind:
    return Kind(f"must be {what}", _instance(name), f"connect it to {source}")


def _number(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, ValueError, OverflowError):
        return isinstance(value, int)


def _conditioning(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, (list, tuple)) and len(entry) == 2 and isinstance(entry[1], dict)
                                           for entry in value)


def _segments(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(part, (list, tuple)) for part in value)


def _boxes(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, (list, tuple)) and all(map(_boxes, value)))


def _tensor(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "isfinite")


_NUMBER = Kind("must be a number", _number, "type a number")
_TEXT = Kind("must be a text", lambda value: isinstance(value, str), "type a text")
KINDS: Mapping[str, Kind] = {
    "CAPHUMAN_CAPFACE": _ours("CapFace", "CapFace", "CapHuman Load CapFace"),
    "CAPHUMAN_FACE_DETECTOR": _ours("a face detector", "FaceDetector", "CapHuman Load Face Detector"),
    "CAPHUMAN_FACE_PARSER": _ours("a face parser", "FaceParser", "CapHuman Load Face Parser"),
    "CAPHUMAN_IDENTITY_ENCODER": _ours("an identity encoder", "IdentityEncoder", "CapHuman Load Identity Encoder"),
    "CAPHUMAN_HEAD_MODEL": _ours("a head model", "HeadModel", "CapHuman Load Head Model"),
    "CAPHUMAN_HEAD_FITTER": _ours("a head fitter", "HeadFitter", "CapHuman Load Head Fitter"),
    "CAPHUMAN_FACES": _ours("faces", "Faces", "CapHuman Detect Faces"),
    "CAPHUMAN_IDENTITY": _ours("an identity", "Identity", "CapHuman Encode Identity or CapHuman Load Identity"),
    "CAPHUMAN_HEAD": _ours("a head", "Head", "a node that gives a head, such as CapHuman New Head"),
    "CAPHUMAN_KEYFRAMES": _ours("keyframes", "Keyframes", "CapHuman Head Keyframe"),
    "CAPHUMAN_HINT": _ours("a hint", "HeadHint", "CapHuman Render Head"),
    "FACE_LANDMARKS": Kind("must be face landmarks", lambda value: isinstance(value, dict),
                           "connect it to Detect Face Landmarks (MediaPipe)"),
    "SEGS": Kind("must be segments", _segments, "connect it to a SEGS output of the Impact Pack"),
    "BOUNDING_BOX": Kind("must be boxes", _boxes, "connect it to a node that gives boxes"),
    "CONDITIONING": Kind("must be a conditioning", _conditioning, "connect it to CLIP Text Encode"),
    "CLIP_VISION": Kind("must be a CLIP vision model", lambda value: hasattr(value, "model"), "connect it to Load CLIP Vision"),
    "MODEL": Kind("must be a model", lambda value: hasattr(value, "model"), "connect it to Load Checkpoint"),
    "VIDEO": Kind("must be a video", lambda value: hasattr(value, "get_components"), "connect it to Load Video"),
    "IMAGE": Kind("must be a picture", _tensor, "connect a Load Image node"),
    "MASK": Kind("must be a mask", _tensor, "connect a MASK output"),
    "FLOAT": _NUMBER, "INT": _NUMBER, "STRING": _TEXT, "COLOR": _TEXT,
}


def checked(node: type) -> type:
    """The node class, whose `execute` refuses what does not fit its sockets with one sentence that names the input."""
    plain: Any = getattr(node.execute, "__func__", node.execute)           # type: ignore[attr-defined]
    if hasattr(plain, "__wrapped__"):
        return node
    order = list(inspect.signature(plain).parameters)[1:]
    types: dict[str, tuple[str, bool]] = {}             # input -> its type, and whether it may be absent; asked for when first run

    @functools.wraps(plain)
    def execute(cls: Any, *given: Any, **named: Any) -> Any:
        if not types:
            inputs = node.define_schema().inputs                            # type: ignore[attr-defined]
            types.update({entry.id: (entry.io_type, bool(entry.optional)) for entry in inputs})
        for name, value in (dict(zip(order, given, strict=False)) | named).items():
            io_type, optional = types.get(name, ("", True))
            if not (optional and value is None):
                check(name, io_type, value)
        return plain(cls, *given, **named)
    node.execute = classmethod(execute)                                     # type: ignore[attr-defined]
    return node


def check(name: str, io_type: str, value: Any) -> None:
    """Refuse a value that a socket of that type cannot take."""
    kind = KINDS.get(io_type)
    if kind is not None and not kind.fits(value):
        fail(name, kind.rule, _told(value), kind.fix)


def _told(value: Any) -> str:
    """What came, in words."""
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    if value is None or isinstance(value, (bool, int, float)):
        return str(value)[:60]
    return f"a {type(value).__name__}"
