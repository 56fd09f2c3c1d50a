"""The named expressions: mixtures of the built-in head's 52 actions (ARKit names) and of jaw turns."""
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Recipe(NamedTuple):
    """What a named expression is at amount 1."""

    actions: Mapping[str, float] = MappingProxyType({})          # ARKit action -> amount
    jaw_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)    # open, to the person's left, tilt


# Named later than the others: their widgets come last, so that saved graphs keep their places.
APPENDED = ("grin", "laugh", "tongue_out", "smile_left", "smile_right", "brow_left", "brow_right")


def _both(**sides: float) -> dict[str, float]:
    """Left and Right of each action."""
    return {f"{name}{side}": amount for name, amount in sides.items() for side in ("Left", "Right")}


_TEETH = _both(mouthSmile=0.85, cheekSquint=0.7, mouthUpperUp=0.45, mouthLowerDown=0.25)

EXPRESSIONS: dict[str, Recipe] = {
    "smile": Recipe(_both(mouthSmile=0.9, cheekSquint=0.4, eyeSquint=0.15, mouthLowerDown=0.32)),     # else the lips cross
    "frown": Recipe(_both(mouthFrown=1.8, browDown=0.35)),
    "brows_up": Recipe({**_both(browOuterUp=0.9), "browInnerUp": 0.9}),
    "brows_down": Recipe(_both(browDown=1.0)),
    "blink_left": Recipe({"eyeBlinkLeft": 1.0}),
    "blink_right": Recipe({"eyeBlinkRight": 1.0}),
    "squint": Recipe(_both(eyeSquint=1.0, cheekSquint=0.4)),
    "mouth_open": Recipe(jaw_degrees=(18.0, 0.0, 0.0)),
    "jaw_left": Recipe({**_both(mouthFrown=0.3), "jawLeft": 1.1, "mouthLeft": 0.4}, (0.0, 8.0, 0.0)),
    "jaw_right": Recipe({**_both(mouthFrown=0.3), "jawRight": 1.1, "mouthRight": 0.4}, (0.0, -8.0, 0.0)),
    "pucker": Recipe({"mouthPucker": 1.25, "mouthFunnel": 0.25}),
    "wide_mouth": Recipe(_both(mouthStretch=1.5, mouthLowerDown=0.35)),
    "sneer": Recipe(_both(noseSneer=1.5, mouthUpperUp=1.3, mouthFrown=0.2)),
    "cheek_puff": Recipe({"cheekPuff": 1.3}),
    "surprise": Recipe({**_both(browOuterUp=0.9, eyeWide=0.9), "browInnerUp": 1.0}, (17.0, 0.0, 0.0)),
    "anger": Recipe(_both(browDown=1.25, eyeSquint=0.45, noseSneer=0.6, mouthFrown=1.1, mouthPress=0.3)),
    "sadness": Recipe({**_both(mouthFrown=1.4, eyeSquint=0.25, browDown=0.15), "browInnerUp": 1.4, "mouthShrugLower": 0.25}),
    "disgust": Recipe(_both(noseSneer=1.6, mouthUpperUp=1.3, browDown=0.25, eyeSquint=0.4, mouthFrown=0.5)),
    "fear": Recipe({**_both(eyeWide=1.2, mouthStretch=1.1, browOuterUp=0.3), "browInnerUp": 1.4}, (7.0, 0.0, 0.0)),
    "grin": Recipe({**_TEETH, **_both(eyeSquint=0.2)}, (2.5, 0.0, 0.0)),
    "laugh": Recipe({**_TEETH, **_both(eyeSquint=0.4), "browInnerUp": 0.3}, (14.0, 0.0, 0.0)),
    "tongue_out": Recipe({**_both(mouthLowerDown=-0.3), "tongueOut": 1.0, "mouthFunnel": 0.3}, (15.0, 0.0, 0.0)),
    "smile_left": Recipe({"mouthSmileLeft": 1.0, "cheekSquintLeft": 0.5, **_both(mouthLowerDown=0.15)}),
    "smile_right": Recipe({"mouthSmileRight": 1.0, "cheekSquintRight": 0.5, **_both(mouthLowerDown=0.15)}),
    "brow_left": Recipe({"browOuterUpLeft": 1.2}),
    "brow_right": Recipe({"browOuterUpRight": 1.2}),
}
