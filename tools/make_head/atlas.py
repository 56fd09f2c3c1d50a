"""Texture coordinates: MakeHuman's face chart, magnified where pictures look; own patches for eyes, mouth and neck.

The unit square, v up: the head's chart above NECK_TOP, the neck band below; eyeball, mouth, tongue and eye sockets in
the corners below. Both eyes share one patch, so the texture stays the same on either side.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import anatomy
from .rig import Rig, socket_faces
from .source import Source

SIZE = 320                   # texels
NECK_TOP = 0.085
NECK_SIDES = 0.15            # the band leaves this much free at either side
MARGIN = 2.0 / SIZE
EYE_CENTRE, EYE_RADIUS = np.array([0.070, 0.072]), 0.063
# Degrees from the pupil and their share of the patch's radius: pupil and iris are magnified, so that they stay round and sharp.
EYE_DEGREES, EYE_SHARES = (0.0, 9.0, 26.0, 58.0, 112.0), (0.0, 0.34, 0.78, 0.94, 1.0)
BOXES = {"MOUTH": ((0.875, 0.012), (0.935, 0.072)), "TONGUE": ((0.947, 0.012), (0.988, 0.072)),
         "SOCKET": ((0.875, 0.085), (0.935, 0.130)), "TEETH": ((0.947, 0.102), (0.992, 0.140)),
         "GUM": ((0.947, 0.082), (0.992, 0.094))}
FACE_AXIS = 1 - 529 / 1024   # MakeHuman's v of the face's midline
HEAD, NECK, MOUTH, TONGUE, SOCKET, EYE, TEETH, GUM = range(8)


@dataclass(frozen=True)
class Atlas:
    uvs: np.ndarray                          # [N, 2]
    uv_faces: np.ndarray                     # [F, 3]
    island: np.ndarray                       # [F] one of the numbers above


def build(rig: Rig, source: Source) -> Atlas:
    """A corner of each triangle gets its own coordinate first; equal ones of one vertex are then shared."""
    corner = np.zeros((len(rig.faces), 3, 2))
    old = np.maximum(rig.face_of, 0)
    makehuman = source.uvs[source.uv_faces[old]]                                          # [F, 3, 2]
    island = _islands(rig, makehuman, socket_faces(source)[old])
    # a cut triangle's corners are not its source's corners: the cut lies in the neck, which has its own coordinates
    corner[island == HEAD] = _head(makehuman[island == HEAD])
    corner[island == NECK] = _neck(rig.verts[rig.faces[island == NECK]])
    for part, name in ((MOUTH, "MOUTH"), (TONGUE, "TONGUE"), (SOCKET, "SOCKET")):
        corner[island == part] = _boxed(makehuman[island == part], np.array(BOXES[name]))
    below = rig.verts[rig.faces[rig.face_of == -3]]
    corner[rig.face_of == -3] = [0.5, NECK_TOP / 2] + below[..., [0, 2]] * [0.5, 0.1]     # shares the neck's skin
    corner[island == EYE] = _eye(rig)
    corner[island == TEETH], corner[island == GUM] = _teeth(rig, island)
    keyed = np.concatenate([rig.faces.reshape(-1, 1), np.round(corner.reshape(-1, 2), 6)], 1)
    unique, index = np.unique(keyed, axis=0, return_inverse=True)
    return Atlas(unique[:, 1:], index.reshape(-1, 3), island)


def _islands(rig: Rig, makehuman: np.ndarray, socket: np.ndarray) -> np.ndarray:
    middle = makehuman.mean(1)
    base = rig.base_index[rig.faces].max(1)
    island = np.full(len(rig.faces), NECK)
    island[socket] = SOCKET
    island[(middle[:, 0] > 0.635) & (middle[:, 1] > 0.14) & (middle[:, 1] < 0.83)] = HEAD
    island[(middle[:, 0] > 0.74) & (middle[:, 1] < 0.14)] = MOUTH
    island[base >= anatomy.SKIN_END] = TONGUE
    island[rig.face_of == -1] = EYE
    island[rig.face_of == -3] = NECK
    teeth = rig.face_of == -2
    island[teeth] = np.where(_teeth_chart(rig, rig.faces[teeth])[..., 1].max(1) < 0, GUM, TEETH)
    return island


def _teeth_chart(rig: Rig, corners: np.ndarray) -> np.ndarray:
    return rig.teeth_chart[corners - (len(rig.verts) - len(rig.teeth_chart))]


def _teeth(rig: Rig, island: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Along the arch to the right, towards the edge upwards; upper and lower, left and right share it."""
    crowns, gums = (_teeth_chart(rig, rig.faces[island == part]) for part in (TEETH, GUM))
    (low, high), (gum_low, gum_high) = (np.array(BOXES[name]) for name in ("TEETH", "GUM"))
    return low + crowns * (high - low), gum_low + (gums + [0, 1]) * (gum_high - gum_low)


def _head(uv: np.ndarray) -> np.ndarray:
    """MakeHuman's chart lies on its side (chin to the right): stand it up and stretch the face."""
    across = _stretch(uv[..., 1] - FACE_AXIS, 0.335, 6.0)
    down = np.arcsinh(4.5 * (uv[..., 0] - 0.885) / 0.2)
    top, bottom = np.arcsinh(4.5 * (0.64 - 0.885) / 0.2), np.arcsinh(4.5 * (0.996 - 0.885) / 0.2)
    v = (down - bottom) / (top - bottom)
    low = NECK_TOP + 2 * MARGIN
    return np.stack([0.5 + across * (0.5 - MARGIN), low + v * (1 - MARGIN - low)], -1)


def _stretch(t: np.ndarray, extent: float, strength: float) -> np.ndarray:
    """-extent..extent -> -1..1, monotone, magnifying the middle."""
    return np.arcsinh(strength * t / extent) / np.arcsinh(strength)


def _neck(corners: np.ndarray) -> np.ndarray:
    """A band around the neck: angle and height; the seam is at the nape."""
    angle = np.arctan2(corners[..., 0], corners[..., 2] + 0.04) / (2 * np.pi)             # -0.5..0.5, 0 in front
    wraps = np.ptp(angle, axis=1) > 0.5
    angle = np.where(wraps[:, None] & (angle < 0), angle + 1, angle)
    height = (corners[..., 1] + 0.19) / 0.16
    return np.stack([0.5 + angle * (1 - 2 * NECK_SIDES), MARGIN + height.clip(0, 1) * (NECK_TOP - 2 * MARGIN)], -1)


def _boxed(uv: np.ndarray, box: np.ndarray) -> np.ndarray:
    flat = uv.reshape(-1, 2)
    low, high = flat.min(0), flat.max(0)
    return box[0] + (uv - low) / (high - low) * (box[1] - box[0])


def _eye(rig: Rig) -> np.ndarray:
    """Distance from the patch's centre is the angle from the pupil; the right eye is the left one mirrored."""
    each = len(rig.eye_polar)
    ring = np.arange(each - 1) % 18
    turn = np.append(0.0, (ring + 0.5) / 18 * 2 * np.pi)
    reach = np.interp(rig.eye_polar, EYE_DEGREES, EYE_SHARES)
    flat = np.stack([np.cos(turn), np.sin(turn)], 1) * reach[:, None]
    place = EYE_CENTRE + flat * EYE_RADIUS
    local = rig.faces[rig.face_of == -1] - rig.skin_count
    return place[local % each]
