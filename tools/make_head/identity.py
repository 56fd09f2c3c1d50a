"""Which of MakeHuman's changes become identity directions, and how far one unit of code goes."""
from __future__ import annotations

import numpy as np

from .rig import Rig

LOCAL_UNIT = 0.3             # of MakeHuman's slider, whose ends are extremes: about one standard deviation among people
LIP_UNIT = 0.15              # the neutral lips are thin already: more would turn them in
MACRO_UNIT = 0.8             # half the way between the two ends, e.g. from neither to female
BUST_TOP, BUST_BOTTOM = -0.10, -0.16         # metres; below, the bust belongs to nobody and stays
NAMES = (
    "gender", "age", "weight", "african", "asian",
    "head-scale-vert", "head-scale-horiz", "head-scale-depth", "head-back-scale-depth", "head-fat",
    "forehead-scale-vert", "forehead-temple", "forehead-trans-forward", "eyebrows-trans-up", "eyebrows-angle-up",
    "chin-height", "chin-width", "chin-prominent", "chin-jaw-drop", "chin-bones", "chin-prognathism",
    "cheek-bones", "cheek-volume", "cheek-inner", "cheek-trans-up",
    "nose-scale-vert", "nose-scale-horiz", "nose-scale-depth", "nose-trans-up", "nose-width1", "nose-width2",
    "nose-curve-convex", "nose-point-up", "nose-point-width", "nose-flaring", "nose-nostrils-width",
    "mouth-scale-horiz", "mouth-scale-vert", "mouth-trans-up", "mouth-trans-forward", "mouth-upperlip-height",
    "mouth-lowerlip-height", "mouth-upperlip-volume", "mouth-lowerlip-volume", "mouth-angles-up",
    "eye-scale", "eye-trans-out", "eye-trans-up", "eye-height1", "eye-height2", "eye-corner1-up",
    "eye-corner2-up", "eye-bag", "eye-push1-out", "eye-epicanthus-out",
    "ear-scale", "ear-wing", "ear-rot-forward", "neck-scale-horiz", "neck-double",
)


def basis(rig: Rig) -> np.ndarray:
    """[I, V, 3] metres per unit, in the order of NAMES: coarse traits first, so that a shorter code still says most."""
    y = rig.verts[:, 1]
    free = ((y - BUST_BOTTOM) / (BUST_TOP - BUST_BOTTOM)).clip(0, 1)[:, None]
    return np.stack([rig.changes[name] * _unit(name) * free for name in NAMES])


def _unit(name: str) -> float:
    if "-" not in name:
        return MACRO_UNIT
    return LIP_UNIT if "lip-" in name or name in ("mouth-scale-vert", "mouth-angles-up") else LOCAL_UNIT
