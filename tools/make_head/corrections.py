"""What the artist's shapes lack for pictures: lips and lids that meet, and cheeks without a crease.

Only borders are repaired, and the skin beside them follows; everything else stays MakeHuman's.
"""
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from . import anatomy

if TYPE_CHECKING:
    from .rig import Rig

LID_REACH, LIP_REACH = 0.010, 0.007          # metres: skin so far from the border follows it
FRIENDLY = 0.12              # of a smile, in the neutral face
LIP_PRESS = 0.0004           # metres that pressed lips may lie over each other
TONGUE_LIFT = 0.0055        # metres
OVERLAP = 0.0004             # metres: how far a closed border reaches over the other one
BALL_GAP = 0.0005            # metres between lid and eyeball
CLOSED = ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch", "mouthPress", "mouthShrug", "mouthPucker", "mouthLeft",
          "mouthRight", "mouthRoll", "cheekPuff", "cheekSquint", "noseSneer")    # actions that leave the lips together
SMOOTHED = {"cheekPuff": 24, "browOuterUpLeft": 8, "browOuterUpRight": 8, "browInnerUp": 3, "mouthLeft": 4, "mouthRight": 4,
            "noseSneerLeft": 3, "noseSneerRight": 3}         # rounds


def build(rig: Rig) -> Rig:
    """The same head with closed lips, whose actions keep them so, and with blinks that close."""
    near = _Neighbours(rig)
    actions = {name: near.smoothed(offset, SMOOTHED[name]) if name in SMOOTHED else offset for name, offset in rig.actions.items()}
    # a neutral face is read as gloomy where the corners of the mouth do not rise a little
    friendly = rig.verts + FRIENDLY * (actions["mouthSmileLeft"] + actions["mouthSmileRight"])
    rig = replace(rig, verts=friendly + _met_lips(rig, friendly, 0.00012))
    for name in actions:
        if name.startswith(CLOSED):
            actions[name] = actions[name] + _met_lips(rig, rig.verts + actions[name], 0.0)
    actions["tongueOut"] = actions["tongueOut"] + _over_the_lip(rig, rig.verts + actions["tongueOut"])
    for side in ("Left", "Right"):
        name = f"eyeBlink{side}"
        actions[name] = _closed_lid(rig, actions[name], side == "Left")
    return replace(rig, actions=actions)


def _chain(rig: Rig, numbers: tuple, mirrored: bool = False) -> np.ndarray:
    place = {base: i for i, base in enumerate(rig.base_index) if base >= 0}
    found = np.array([place[number] for number in numbers])
    return rig.pair[found] if mirrored else found


def _met_lips(rig: Rig, verts: np.ndarray, overlap: float) -> np.ndarray:
    """Offset [V, 3] that brings parted lips together, each halfway (y only), to `overlap`; or crossed ones apart."""
    offset = np.zeros_like(verts)
    for mirrored in (False, True):
        upper, lower = (_chain(rig, rows, mirrored) for rows in (anatomy.UPPER_LIP_INNER, anatomy.LOWER_LIP_INNER))
        lines = {row: verts[chain][np.argsort(verts[chain][:, 0])] for row, chain in (("upper", upper), ("lower", lower))}
        x = np.linspace(lines["upper"][0, 0], lines["upper"][-1, 0], 40)
        gap = np.interp(x, *lines["upper"][:, :2].T) - np.interp(x, *lines["lower"][:, :2].T)
        towards_middle = np.linspace(0, np.pi / 2, 40) if x[0] < -1e-4 else np.linspace(np.pi / 2, 0, 40)
        part = np.clip(gap + overlap * np.sin(towards_middle), 0, None) + np.clip(gap + LIP_PRESS, None, 0)
        middle = (np.interp(x, *lines["upper"][:, :2].T) + np.interp(x, *lines["lower"][:, :2].T)) / 2
        side = verts[:, 0] <= 1e-6 if not mirrored else verts[:, 0] >= -1e-6
        skin = np.flatnonzero(side & (np.arange(len(verts)) < rig.skin_count) & (rig.base_index < anatomy.SKIN_END))
        for chain, sign in ((upper, -0.5), (lower, 0.5)):
            away = np.linalg.norm(verts[skin][:, None] - verts[chain], axis=2).min(1)
            own = (verts[skin, 1] - np.interp(verts[skin, 0], x, middle)) * -sign > -gap.max() / 2 - 1e-5
            share = _falloff(away / LIP_REACH) * own
            share[np.isin(skin, chain)] = 1
            share[np.isin(skin, np.setdiff1d(np.union1d(upper, lower), chain))] = 0
            inside = (verts[skin, 0] >= x[0] - 1e-9) & (verts[skin, 0] <= x[-1] + 1e-9)
            move = sign * np.interp(verts[skin, 0], x, part) * share * inside
            held = offset[skin, 1]
            offset[skin, 1] = np.where(np.abs(move) > np.abs(held), move, held)
    corner = _chain(rig, (anatomy.UPPER_LIP_INNER[0],))
    offset[[corner[0], rig.pair[corner[0]]]] = 0
    return (offset + offset[rig.pair] * [-1, 1, 1]) / 2 if _even(rig, verts) else offset


def _over_the_lip(rig: Rig, verts: np.ndarray) -> np.ndarray:
    """Offset [V, 3] that lifts what of the tongue lies farther out than the teeth, so that it rests on the lower lip."""
    tongue = (rig.base_index >= anatomy.SKIN_END) & (rig.base_index < anatomy.TONGUE_END)
    lift = TONGUE_LIFT * (1 - _falloff((verts[:, 2] - 0.050) / 0.018)) * tongue * (verts[:, 2] > 0.050)
    return lift[:, None] * [0.0, 1.0, 0.0]


def _even(rig: Rig, verts: np.ndarray) -> bool:
    return bool(np.abs(verts[rig.pair] * [-1, 1, 1] - verts).max() < 1e-4)


def _falloff(distance: np.ndarray) -> np.ndarray:
    """1 at 0, smoothly 0 from 1 on."""
    t = (1 - distance).clip(0, 1)
    return t * t * (3 - 2 * t)


def _closed_lid(rig: Rig, offset: np.ndarray, left: bool) -> np.ndarray:
    """A blink whose upper rim lies on the lower one, just over it, all along; the lid stays outside the eyeball."""
    upper, lower = (_chain(rig, rows, left) for rows in (anatomy.UPPER_LID, anatomy.LOWER_LID))
    moved = rig.verts + offset
    line = moved[lower][np.argsort(moved[lower][:, 0])]
    order = np.argsort(moved[upper][:, 0])
    rim = moved[upper][order]
    target = np.stack([rim[:, 0], *(np.interp(rim[:, 0], line[:, 0], line[:, k]) for k in (1, 2))], 1)
    target[:, 1] -= OVERLAP * np.sin(np.linspace(0, np.pi, len(rim)))
    target[:, 2] += OVERLAP * np.sin(np.linspace(0, np.pi, len(rim)))
    error = target - rim
    error[[0, -1]] = 0
    rest = rig.verts[upper][order]
    skin = np.arange(rig.skin_count)
    to_upper = np.linalg.norm(rig.verts[skin][:, None] - rig.verts[upper], axis=2).min(1)
    to_lower = np.linalg.norm(rig.verts[skin][:, None] - rig.verts[lower], axis=2).min(1)
    travelled = np.linalg.norm(offset[skin], axis=1) / np.linalg.norm(offset[upper], axis=1).max()
    share = _falloff(to_upper / LID_REACH) * (to_upper <= to_lower + 1e-9) * (travelled * 1.6).clip(0, 1)
    share[upper], share[lower] = 1, 0
    share[to_upper > LID_REACH] = 0
    fixed = offset.copy()
    for k in range(3):
        fixed[skin, k] += share * np.interp(rig.verts[skin, 0], rest[:, 0], error[:, k])
    fixed[[upper[0], upper[-1]]] = offset[[upper[0], upper[-1]]]
    return _outside_ball(rig, fixed, left, np.flatnonzero((share > 0) | np.isin(skin, lower)))


def _outside_ball(rig: Rig, offset: np.ndarray, left: bool, lid: np.ndarray) -> np.ndarray:
    """Lifts what would lie inside the eyeball to just outside it."""
    each = len(rig.eye_polar)
    start = rig.skin_count + (0 if left else each)
    ball, centre = rig.verts[start:start + each], rig.joints[3 if left else 4]
    rays = ball - centre
    radius = np.linalg.norm(rays, axis=1)
    fixed = offset.copy()
    for vertex in lid:
        place = rig.verts[vertex] + offset[vertex] - centre
        far = np.linalg.norm(place)
        cosine = rays @ place / (radius * far)
        weight = np.clip(cosine - 0.985, 0, None)
        if far > 0.02 or not weight.any():
            continue
        least = (radius * weight).sum() / weight.sum() + BALL_GAP
        if far < least:
            fixed[vertex] += place / far * (least - far)
    return fixed


class _Neighbours:
    """The mesh's own averaging."""

    def __init__(self, rig: Rig) -> None:
        from scipy.sparse import coo_matrix, diags
        faces, count = rig.faces, len(rig.verts)
        ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        links = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (count, count)).tocsr()
        links = ((links + links.T) > 0).astype(float)
        self.average = diags(1 / np.asarray(links.sum(1)).ravel().clip(1)) @ links
        self.skin = np.arange(count) < rig.skin_count

    def smoothed(self, offset: np.ndarray, rounds: int) -> np.ndarray:
        """The offset spread over its neighbours, as large at its largest as before."""
        even = offset
        for _ in range(rounds):
            even = np.where(self.skin[:, None], even + 0.5 * (self.average @ even - even), offset)
        return even * np.linalg.norm(offset, axis=1).max() / max(np.linalg.norm(even, axis=1).max(), 1e-9)
