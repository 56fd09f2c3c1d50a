"""Where things are on MakeHuman's base mesh: landmark chains, read off the mesh's own edge loops (person's right side).

Numbers are vertices of the base mesh (hm08). Landmarks follow the 300-W / iBUG order; the person's right has negative x.
"""
from __future__ import annotations

import numpy as np

# Rim of the right eye's lids, outer corner to inner corner.
UPPER_LID = (6758, 1057, 4848, 4847, 55, 58, 4867, 4872, 66)
LOWER_LID = (6758, 6783, 33, 6776, 6774, 6772, 6771, 6765, 66)
# Vermilion border, corner to middle; the upper one lies between two edge loops.
UPPER_LIP = ((426,), (363,), (375,), (5340,), (5364,), (5334,), (355, 456), (356, 450), (357,), (362, 455))
LOWER_LIP = ((426,), (405,), (406,), (480,), (486,), (492,))
# Where the lips meet, inner corner to middle.
UPPER_LIP_INNER = (431, 469, 5360, 471, 472, 473, 474)
LOWER_LIP_INNER = (431, 446, 475, 481, 517, 493)
NOSE_RIDGE = {27: (134,), 28: (5063,), 29: (201, 291), 30: (294, 5054)}
NOSE_BASE = {31: (358, 360), 32: (285, 314, 359), 33: (317,)}
SKIN_END, TONGUE_END = 13380, 13606          # base mesh: skin below the first, tongue below the second
LEFT_EYE, RIGHT_EYE = range(14598, 14670), range(14670, 14742)
MIRROR68 = np.array([16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17,
                     27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
                     54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65])


def inner_points(verts: np.ndarray, base_index: np.ndarray, flame: np.ndarray) -> np.ndarray:
    """The 51 inner landmarks (17..67) on MakeHuman's head, [51, 3]; `flame` [68, 3] says how far along each chain."""
    place = np.full(base_index.max() + 1, -1)
    place[base_index] = np.arange(len(base_index))
    points = np.full((68, 3), np.nan)

    def chain(rows: tuple) -> np.ndarray:
        return np.array([verts[place[list(row) if isinstance(row, tuple) else [row]]].mean(0) for row in rows])

    def along(rows: tuple, targets: tuple[int, ...], first: int, last: int) -> None:
        """Landmarks at FLAME's share of the way (in x) between two of its landmarks."""
        line = chain(rows)
        for target in targets:
            share = (flame[target, 0] - flame[first, 0]) / (flame[last, 0] - flame[first, 0])
            x = line[0, 0] + share * (line[-1, 0] - line[0, 0])
            points[target] = [np.interp(x, line[:, 0], line[:, k]) for k in range(3)]

    along(UPPER_LID, (36, 37, 38, 39), 36, 39)
    along(LOWER_LID, (41, 40), 36, 39)
    along(UPPER_LIP, (48, 49, 50, 51), 48, 51)
    along(LOWER_LIP, (59, 58, 57), 48, 57)
    along(UPPER_LIP_INNER, (60, 61, 62), 60, 62)
    along(LOWER_LIP_INNER, (67, 66), 60, 66)
    for target, row in {**NOSE_RIDGE, **NOSE_BASE}.items():
        points[target] = chain((row,))[0]
    missing = np.isnan(points[:, 0]) & (np.arange(68) > 26)
    points[missing] = points[MIRROR68[missing]] * [-1, 1, 1]
    points[17:27] = _brows(points, verts[base_index < SKIN_END], flame)
    return points[17:]


def _brows(points: np.ndarray, skin: np.ndarray, flame: np.ndarray) -> np.ndarray:
    """The mesh has no brow loop: FLAME's places relative to the eyes, seen from the front, on the skin."""
    size = np.ptp(points[[36, 45], 0]) / np.ptp(flame[[36, 45], 0])
    from_eyes = (flame[17:27] - flame[36:48].mean(0)) * size + points[36:48].mean(0)
    front = skin[(skin[:, 2] > points[36:48, 2].min() - 0.03) & (skin[:, 1] > points[36, 1])]
    for point in from_eyes:
        near = np.argsort(np.hypot(front[:, 0] - point[0], front[:, 1] - point[1]))[:4]
        gap = np.hypot(front[near, 0] - point[0], front[near, 1] - point[1]) + 1e-6
        point[2] = (front[near, 2] / gap).sum() / (1 / gap).sum()
    return from_eyes


def chin_point(verts: np.ndarray, base_index: np.ndarray) -> np.ndarray:
    """Landmark 8: the underside of the chin on the midline, where it turns to 45 degrees."""
    middle = (np.abs(verts[:, 0]) < 1e-4) & (base_index < SKIN_END)
    chin = verts[middle & (verts[:, 2] > 0.1) & (verts[:, 1] > 0.76) & (verts[:, 1] < 0.80)]
    return chin[(chin[:, 2] - chin[:, 1]).argmax()]
