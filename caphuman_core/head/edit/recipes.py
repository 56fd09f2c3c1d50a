"""The named expressions: mixtures of the built-in head's 52 actions (ARKit names) and of jaw turns."""
from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Recipe(NamedTuple):
    """What a named expression is at amount 1."""

    actions: Mapping[str, float] = MappingProxyType({})          # ARKit action -> amount
    jaw_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)    # open, to the person's left, tilt


def _both(**sides: float) -> dict[str, float]:
    """Left and Right of each action."""
    return {f"{name}{side}": amount for name, amount in sides.items() for side in ("Left", "Right")}


EXPRESSIONS: dict[str, Recipe] = {
    "smile": Recipe(_both(mouthSmile=0.9, cheekSquint=0.4, eyeSquint=0.15)),
    "frown": Recipe({**_both(mouthFrown=0.9, browDown=0.25), "mouthShrugLower": 0.3}),
    "brows_up": Recipe({**_both(browOuterUp=0.9), "browInnerUp": 0.9}),
    "brows_down": Recipe(_both(browDown=1.0)),
    "blink_left": Recipe({"eyeBlinkLeft": 1.0}),
    "blink_right": Recipe({"eyeBlinkRight": 1.0}),
    "squint": Recipe(_both(eyeSquint=1.0, eyeBlink=0.25)),
    "mouth_open": Recipe(jaw_degrees=(18.0, 0.0, 0.0)),
    "jaw_left": Recipe({"jawLeft": 0.8}, (0.0, 4.5, 0.0)),
    "jaw_right": Recipe({"jawRight": 0.8}, (0.0, -4.5, 0.0)),
    "pucker": Recipe({"mouthPucker": 1.0}),
    "wide_mouth": Recipe(_both(mouthStretch=1.0, mouthDimple=0.5)),
    "sneer": Recipe(_both(noseSneer=0.9, mouthUpperUp=0.6)),
    "cheek_puff": Recipe({"cheekPuff": 1.3}),
    "surprise": Recipe({**_both(browOuterUp=0.9, eyeWide=0.9), "browInnerUp": 1.0}, (14.0, 0.0, 0.0)),
    "anger": Recipe({**_both(browDown=1.0, eyeSquint=0.35, noseSneer=0.5, mouthPress=0.6, mouthFrown=0.3)}),
    "sadness": Recipe({**_both(mouthFrown=0.7, eyeSquint=0.2), "browInnerUp": 0.9, "mouthShrugLower": 0.4}),
    "disgust": Recipe({**_both(noseSneer=1.0, mouthUpperUp=0.6, browDown=0.5, eyeSquint=0.5, mouthFrown=0.4)}),
    "fear": Recipe({**_both(eyeWide=0.9, mouthStretch=0.7, browOuterUp=0.4), "browInnerUp": 1.0}, (6.0, 0.0, 0.0)),
}
