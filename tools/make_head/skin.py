"""Skin, lips, brows and eyes, painted from the head's own anatomy: formulas only, no photo."""
from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from . import anatomy, atlas, occlusion
from .atlas import Atlas
from .rig import Rig

FINE = 3                     # samples per texel and axis
SKIN = np.array([0.735, 0.545, 0.452])
LIPS = np.array([0.700, 0.420, 0.385])
BROW = np.array([0.245, 0.170, 0.125])
LASH = np.array([0.085, 0.058, 0.046])
FLESH = np.array([0.42, 0.17, 0.16])
TONGUE = np.array([0.74, 0.37, 0.36])
GUM = np.array([0.80, 0.47, 0.44])
ENAMEL = np.array([0.95, 0.915, 0.845])
WHITE = np.array([0.83, 0.80, 0.775])        # of the eye
IRIS = np.array([0.300, 0.190, 0.110])
IRIS_DEGREES, PUPIL_DEGREES = 24.5, 9.5
# The first seven mean what they meant in the head's first version; sign and size of each are in `directions`.
NAMES = ("skin lightness", "skin warmth", "redness", "lip colour", "brow darkness", "iris lightness", "stubble",
         "brow thickness", "iris blue", "eye shadow", "freckles", "wrinkles")


@dataclass(frozen=True)
class Surface:
    """What a sample of the texture lies on: P samples."""

    where: np.ndarray                        # [P] index in the fine image
    place: np.ndarray                        # [P, 3] metres on the neutral head
    normal: np.ndarray                       # [P, 3]
    island: np.ndarray                       # [P]
    uv: np.ndarray                           # [P, 2]
    open: np.ndarray                         # [P] 0..1 share of the sky that is seen from there


@dataclass(frozen=True)
class Places:
    """Where the painted things are, metres, symmetric."""

    lips: np.ndarray                         # [N, 2] closed outline, front view
    slit: np.ndarray                         # [3, 3] line between the lips, right corner to middle
    brow: np.ndarray                         # [N, 2] right brow's middle line, outer end first
    lids: tuple[np.ndarray, np.ndarray]      # right upper and lower rim, [N, 3]
    points: np.ndarray                       # [68, 3]


def build(rig: Rig, chart: Atlas, points68: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [3, S, S] and basis [12, 3, S, S], 0..1, red first, row 0 at v = 1; basis in the order of NAMES."""
    surface = _sample(rig, chart, occlusion.build(rig, chart))
    places = _places(rig, points68)
    mean, masks = paint(surface, places)
    layers = [mean, *directions(mean, masks)]
    images = np.stack([_image(surface.where, layer) for layer in layers])
    return images[0].clip(0.02, 0.98), images[1:]


def _sample(rig: Rig, chart: Atlas, seen_sky: np.ndarray) -> Surface:
    import torch

    from caphuman_core.render.maps import vertex_normals
    from caphuman_core.render.raster import rasterize
    size = atlas.SIZE * FINE
    # the atlas as a flat mesh; pushed outwards a little, so that chart borders are covered
    flat = np.concatenate([chart.uvs * [2, -2] + [-1, 1], np.ones((len(chart.uvs), 1))], 1)
    own = np.flatnonzero(rig.face_of != -3)                                                # what closes the neck shares its skin
    seen = rasterize(torch.tensor(flat)[None].float(), torch.tensor(chart.uv_faces[own]), size, size)
    face, weights = own[seen.face.numpy()], seen.weights.numpy()[..., None]
    weights = weights / weights.sum(1, keepdims=True)
    normals = vertex_normals(torch.tensor(rig.verts)[None].float(), torch.tensor(rig.faces))[0].numpy()
    corner = rig.faces[face]
    return Surface(seen.pixel.numpy(), (rig.verts[corner] * weights).sum(1), (normals[corner] * weights).sum(1), chart.island[face],
                   (chart.uvs[chart.uv_faces[face]] * weights).sum(1), (seen_sky[corner] * weights[..., 0]).sum(1))


def _places(rig: Rig, points68: np.ndarray) -> Places:
    place = {base: i for i, base in enumerate(rig.base_index) if base >= 0}

    def chain(rows) -> np.ndarray:
        return np.array([rig.verts[[place[b] for b in (row if isinstance(row, tuple) else (row,))]].mean(0) for row in rows])

    upper, lower = chain(anatomy.UPPER_LIP)[:, :2], chain(anatomy.LOWER_LIP)[:, :2]
    half = np.concatenate([lower[::-1], upper[1:]])                                    # middle below, corner, middle above
    other = half[::-1][1:-1] * [-1, 1]
    slit = (points68[[60, 61, 62]] + points68[[60, 67, 66]]) / 2
    return Places(np.concatenate([half, other]), slit, _rounded(points68[17:22, :2] - [0, 0.0012]),
                  (chain(anatomy.UPPER_LID), chain(anatomy.LOWER_LID)), points68)


def _rounded(line: np.ndarray) -> np.ndarray:
    """A polyline with its corners cut twice (Chaikin), ends kept."""
    for _ in range(2):
        a, b = line[:-1], line[1:]
        line = np.concatenate([line[:1], np.stack([a * 0.75 + b * 0.25, a * 0.25 + b * 0.75], 1).reshape(-1, 2), line[-1:]])
    return line


def paint(on: Surface, places: Places) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Colour [P, 3] of each sample, and how much [P] of each named thing it is."""
    right = on.place * np.where(on.place[:, :1] > 0, -1.0, 1.0) ** [1, 0, 0]            # folded onto the right side
    masks = _skin_masks(on, right, places)
    tint = 1 + 0.012 * _noise(on.place, 0.012, 1) + 0.012 * _noise(on.place, 0.0035, 2) + 0.012 * _noise(on.place, 0.05, 3)
    colour = SKIN * tint[:, None]
    colour = colour + masks["blush"][:, None] * [0.030, -0.030, -0.024]
    colour = colour * (1 - masks["under eye"][:, None] * [0.05, 0.08, 0.06])
    colour = colour * (1 - masks["hollow"][:, None] * [0.55, 0.68, 0.70])
    colour = colour * (1 - masks["scalp"][:, None] * [0.05, 0.05, 0.04])
    lip = LIPS * (1 + 0.04 * _noise(on.place * [3, 0.6, 1], 0.002, 4)[:, None]) * (1 - 0.42 * masks["slit"][:, None])
    colour = _mix(colour, lip, 0.92 * masks["lips"])
    colour = _mix(colour, BROW, 0.72 * masks["brow"])
    colour = _mix(colour, LASH, 0.88 * masks["lash"])
    # little light reaches hollows; what does is coloured by the skin around
    colour = colour * on.open[:, None] ** [0.34, 0.46, 0.50]
    for part, own in ((atlas.MOUTH, FLESH), (atlas.TONGUE, _tongue(on)), (atlas.SOCKET, _socket(on, right, places)),
                      (atlas.TEETH, _enamel(on.uv)), (atlas.GUM, GUM)):
        here = on.island == part
        least = {atlas.GUM: 0.55, atlas.TEETH: 0.5, atlas.TONGUE: 0.6}.get(part, 0.35)
        light = least + (1 - least) * on.open[here, None] ** 0.5
        if part in (atlas.MOUTH, atlas.TONGUE):                                            # little light reaches the back
            inwards = _smooth(places.slit[-1, 2] - on.place[here, 2], 0.006, 0.045)
            light = light * (1 - (0.75 if part == atlas.MOUTH else 0.45) * inwards[:, None])
        colour[here] = np.broadcast_to(own, colour.shape)[here] * light
    eye = on.island == atlas.EYE
    colour[eye], masks["iris"][eye] = _eye(on.uv[eye])
    return colour, masks


def _tongue(on: Surface) -> np.ndarray:
    """A furrow along the middle, and small bumps."""
    furrow = np.exp(-(on.place[:, 0] / 0.0016) ** 2) * _smooth(on.normal[:, 1], 0.0, 0.5)
    return TONGUE * (1 - 0.22 * furrow + 0.05 * _noise(on.place, 0.0016, 7))[:, None]


def _socket(on: Surface, right: np.ndarray, places: Places) -> np.ndarray:
    """The lids' rims: moist and pink at the edge, dark behind it."""
    deep = np.minimum(_line(right, places.lids[0])[0], _line(right, places.lids[1])[0])
    upper = _smooth(_line(right, places.lids[1])[0] - _line(right, places.lids[0])[0], -0.0005, 0.0005)
    rim = _mix(np.broadcast_to(SKIN * [0.80, 0.60, 0.58], on.place.shape), np.broadcast_to(LASH, on.place.shape), 0.85 * upper)
    return _mix(rim, np.broadcast_to(FLESH, on.place.shape), _smooth(deep, 0.001, 0.003))


def _enamel(uv: np.ndarray) -> np.ndarray:
    """Creamy at the gum, a little clear at the edge, darker towards the molars."""
    low, high = np.array(atlas.BOXES["TEETH"])
    along, crown = ((uv - low) / (high - low)).T
    front = _smooth(-crown, -0.75, -0.55)                                                  # what lies behind the edge is in shadow
    colour = ENAMEL * (1 - np.array([0.02, 0.06, 0.14]) * _smooth(-crown, -0.25, 0.0)[:, None])
    colour = colour * (1 - np.array([0.10, 0.08, 0.05]) * _smooth(crown, 0.55, 0.8)[:, None])
    return colour * (1 - 0.50 * _smooth(along, 0.20, 1.0))[:, None] * (0.5 + 0.5 * front)[:, None]


def _skin_masks(on: Surface, right: np.ndarray, places: Places) -> dict[str, np.ndarray]:
    skin = np.isin(on.island, (atlas.HEAD, atlas.NECK)).astype(float)
    front = skin * _smooth(on.place[:, 2], -0.005, 0.02)
    p = places.points
    x, y, z = right.T
    inside = _inside(on.place[:, :2], places.lips)
    corner = _smooth(np.abs(p[48, 0]) - np.abs(x), -0.0005, 0.006)                         # lips fade out towards their corners
    lips = front * _smooth(inside / (0.4 + 0.6 * corner), -0.0016, 0.0016) * _smooth(z, 0.03, 0.045) * (0.35 + 0.65 * corner)
    slit = _smooth(-_line(right[:, :2], places.slit[:, :2])[0], -0.0018, -0.0001)
    slit = np.maximum(slit, _smooth(np.interp(x, *places.slit[:, [0, 2]].T) - z, -0.0002, 0.0022))
    cheek = (p[36] + p[48]) / 2 * [1.45, 1, 0.6]
    blush = front * (1.0 * _blob(right, cheek, 0.021) + 0.7 * _blob(right, p[30] * [1, 1, 1], 0.013)
                     + 0.3 * _blob(right, p[8], 0.02)) + skin * 0.5 * _blob(right, np.array([-0.085, 0.005, -0.03]), 0.03)
    low, high = places.lids[1].mean(0), places.lids[0].mean(0)
    under = front * (0.7 * _blob(right, low - [0, 0.006, 0], 0.009) + 0.6 * _blob(right, high + [0, 0.005, 0], 0.009)
                     + 0.5 * _blob(right, p[39] + [0.004, 0.002, 0], 0.007))
    nostril = (p[31] + p[33]) / 2 + [-0.0005, 0.0035, -0.004]
    hollow = front * (_blob(right, nostril, 0.0042) * _smooth(-on.normal[:, 1], 0.0, 0.35)
                      + 0.6 * _smooth(-z + p[31, 2] - 0.004, 0, 0.004) * _blob(right, nostril - [0, 0, 0.006], 0.008))
    lash = front * np.maximum(_smooth(-_line(right, places.lids[0])[0], -0.0015, -0.0004),
                              0.30 * _smooth(-_line(right, places.lids[1])[0], -0.0011, -0.0004))
    beard = front * _smooth(-y, -p[33, 1] - 0.004, -p[33, 1] + 0.012) * _smooth(z, -0.02, 0.02) \
        * _smooth(y, p[8, 1] - 0.035, p[8, 1] - 0.01) * (1 - lips) * (1 - _blob(right, np.array([-0.036, -0.02, 0.05]), 0.018))
    scalp = skin * _smooth(y - 1.1 * np.clip(z - 0.02, 0, None), 0.052, 0.075)
    scalp = np.maximum(scalp, skin * _smooth(-z, 0.05, 0.08) * _smooth(y, -0.05, -0.02))
    lid = front * (_smooth(-_line(right, places.lids[0])[0], -0.0085, -0.001) * _smooth(y - np.interp(x, *places.lids[0][:, :2].T),
                                                                                      -0.0005, 0.001))
    brow, wide = _brow(right, places.brow, 1.0), _brow(right, places.brow, 1.75)
    return {"skin": skin, "lips": lips, "slit": slit, "blush": blush, "under eye": under, "hollow": hollow.clip(0, 1),
            "lash": lash * (1 - lips), "beard": beard.clip(0, 1), "scalp": scalp, "brow": front * brow, "lid": lid,
            "brow rim": front * (wide - brow).clip(0, 1), "iris": np.zeros(len(skin)),
            "freckles": front * _freckles(on.place, cheek, p), "wrinkles": front * _wrinkles(right, p)}


def _freckles(place: np.ndarray, cheek: np.ndarray, p: np.ndarray) -> np.ndarray:
    folded = place * np.where(place[:, :1] > 0, -1.0, 1.0) ** [1, 0, 0]
    where = (_blob(folded, cheek + [0.008, 0.006, 0.004], 0.016) + _blob(folded, p[29], 0.011)).clip(0, 1)
    return where * _smooth(_noise(place, 0.0016, 21) + 0.5 * _noise(place, 0.003, 22), 0.7, 1.7)


def _wrinkles(right: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Lines beside nose and mouth, on the forehead, and at the eyes' outer corners."""
    fold = np.array([p[31] + [-0.007, 0.004, 0], (p[31] + p[48]) / 2 + [-0.009, 0.002, 0], p[48] + [-0.008, -0.004, 0]])[:, :2]
    lines = 0.8 * _stroke(right, fold, 0.0012)
    for height, depth in ((0.012, 0.6), (0.021, 0.7), (0.030, 0.5)):
        middle = p[19, 1] + height
        across = np.array([[-0.034, middle - 0.003], [-0.016, middle + 0.001], [0, middle - 0.001]])
        lines = lines + depth * _stroke(right, across, 0.0011)
    for rise in (0.006, 0.0, -0.006):
        lines = lines + 0.6 * _stroke(right, p[36, :2] + np.array([[-0.004, rise * 0.4], [-0.014, rise * 1.5]]), 0.0009)
    return lines.clip(0, 1)


def _stroke(right: np.ndarray, line: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-(_line(right[:, :2], _rounded(line))[0] / width) ** 2)


def _brow(right: np.ndarray, line: np.ndarray, size: float) -> np.ndarray:
    """Hairs along the brow: dense in the middle line, thinning at the tail and the inner end."""
    gap, along, side = _line(right[:, :2], line)
    t = along / along.max()                                                                # 0 outer end, 1 inner end
    half = size * np.interp(t, [0, 0.2, 0.5, 0.8, 1], [0.0004, 0.0015, 0.0025, 0.0031, 0.0026])
    body = _smooth(half - gap, -0.0014, 0.0018)
    ends = _smooth(t, 0.0, 0.16) * _smooth(1 - t, -0.01, 0.16)
    hairs = 0.5 + 0.5 * np.sin(along / 0.00055 + side * 800 * (0.4 + t) + 2 * np.sin(along / 0.0027))
    return body * ends * (0.82 + 0.18 * hairs)


def _eye(uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour and iris share of the eyeball's patch."""
    offset = (uv - atlas.EYE_CENTRE) / atlas.EYE_RADIUS
    polar = np.interp(np.hypot(*offset.T), atlas.EYE_SHARES, atlas.EYE_DEGREES)
    turn = np.arctan2(offset[:, 1], offset[:, 0])
    veins = 0.5 + 0.5 * np.sin(turn * 23 + 4 * np.sin(polar / 7) + 2 * np.sin(turn * 7))
    red = 0.03 * veins ** 4 * _smooth(polar, 32, 60)
    white = WHITE - _smooth(polar, 27, 75)[:, None] * [0.08, 0.17, 0.17] - red[:, None] * [0, 1, 1]
    streak = 1 + 0.20 * np.sin(turn * 37 + 3 * np.sin(turn * 5)) + 0.12 * np.sin(turn * 61 + 1)
    ring = 1 - 0.62 * _smooth(polar, IRIS_DEGREES * 0.76, IRIS_DEGREES) + 0.45 * _smooth(-polar, -17, -10)
    # light that enters above gathers below
    ring = ring * (1 - 0.30 * np.sin(turn) * _smooth(polar, 6, 14))
    iris = IRIS * (streak * ring)[:, None]
    share = _smooth(-polar, -IRIS_DEGREES - 1.2, -IRIS_DEGREES + 1.2)
    pupil = _smooth(-polar, -PUPIL_DEGREES - 0.6, -PUPIL_DEGREES + 0.6)
    shadow = 1 - 0.30 * _smooth(np.sin(turn) * polar, 6, 24)                               # the upper lid's
    return _mix(_mix(white, iris, share), np.array([0.022, 0.018, 0.018]), pupil) * shadow[:, None], share * (1 - pupil)


def directions(mean: np.ndarray, masks: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Texture directions, colour per unit of code (about one standard deviation among people), in the order of NAMES.

    Lips, brows and lashes go along with the skin's lightness, hairs by less.
    """
    skin, lips = masks["skin"][:, None], masks["lips"][:, None]
    hair = (masks["brow"] + masks["lash"]).clip(0, 1)[:, None]
    bare = skin * (1 - hair)
    iris = masks["iris"][:, None]
    return [skin * mean * [0.185, 0.215, 0.230] * (1 - 0.45 * hair), bare * [0.018, 0.0, -0.030],
            (masks["blush"][:, None] * skin) * [0.016, -0.020, -0.016], lips * [0.030, -0.060, -0.045],
            -masks["brow"][:, None] * (0.35 * mean + 0.06), iris * np.array([0.035, 0.075, 0.105]),
            -masks["beard"][:, None] * bare * mean * [0.13, 0.11, 0.08],
            -masks["brow rim"][:, None] * bare * mean * [0.24, 0.27, 0.28], iris * [-0.045, 0.055, 0.150],
            -masks["lid"][:, None] * skin * mean * [0.16, 0.19, 0.15] - masks["lash"][:, None] * skin * 0.03,
            -masks["freckles"][:, None] * bare * mean * [0.10, 0.15, 0.17],
            -masks["wrinkles"][:, None] * bare * mean * [0.09, 0.11, 0.11] - masks["under eye"][:, None] * bare * 0.02]


def gloss(rig: Rig, chart: Atlas, points68: np.ndarray) -> np.ndarray:
    """[V] 0 dull .. 1 wet, for highlights in previews."""
    shiny = np.full(len(rig.verts), 0.05)
    right = rig.verts * np.where(rig.verts[:, :1] > 0, -1.0, 1.0) ** [1, 0, 0]
    shiny += 0.10 * _blob(right, points68[30], 0.009) + 0.05 * _blob(right, points68[27] + [0, 0.03, 0], 0.022)
    shiny += 0.05 * _blob(right, (points68[36] + points68[31]) / 2 * [1.15, 1, 1], 0.014)
    lips = _inside(rig.verts[:, :2], _places(rig, points68).lips)
    shiny += 0.16 * _smooth(lips, -0.0005, 0.002) * (rig.verts[:, 2] > 0.05)
    for part, value in ((atlas.MOUTH, 0.05), (atlas.TONGUE, 0.20), (atlas.GUM, 0.30), (atlas.TEETH, 0.42), (atlas.EYE, 1.0)):
        shiny[rig.faces[chart.island == part]] = value
    shiny[rig.faces[chart.island == atlas.SOCKET]] = 0.1
    return shiny


def _image(where: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Samples [P, 3] -> [3, S, S]: averaged per texel, and spread over the empty texels."""
    from scipy.spatial import KDTree
    fine = atlas.SIZE * FINE
    total, count = np.zeros((fine * fine, 3)), np.zeros(fine * fine)
    total[where], count[where] = values, 1
    shape = (atlas.SIZE, FINE, atlas.SIZE, FINE)
    total = total.reshape(*shape, 3).sum((1, 3))
    count = count.reshape(shape).sum((1, 3))
    filled = total / np.maximum(count, 1)[..., None]
    known = np.argwhere(count > 0)
    nearest = known[KDTree(known).query(np.argwhere(count == 0))[1]]
    filled[count == 0] = filled[nearest[:, 0], nearest[:, 1]]
    return filled.transpose(2, 0, 1)


def _smooth(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = ((value - low) / (high - low)).clip(0, 1)
    return t * t * (3 - 2 * t)


def _mix(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    return a + (b - a) * share[:, None]


def _blob(points: np.ndarray, centre: np.ndarray, size: float) -> np.ndarray:
    return np.exp(-((points - centre) ** 2).sum(1) / (2 * size * size))


def _line(points: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance [P] to a polyline, length [P] along it, and signed side [P] (metres; 0 for 3-D lines)."""
    gap, along, side = np.full(len(points), np.inf), np.zeros(len(points)), np.zeros(len(points))
    start = 0.0
    for a, b in pairwise(line):
        length = float(np.linalg.norm(b - a))
        t = ((points - a) @ (b - a) / length ** 2).clip(0, 1)
        here = points - a - t[:, None] * (b - a)
        near = np.linalg.norm(here, axis=1)
        take = near < gap
        gap[take], along[take] = near[take], (start + t * length)[take]
        if line.shape[1] == 2:
            side[take] = ((here[:, 1] * (b - a)[0] - here[:, 0] * (b - a)[1]) / length)[take]
        start += length
    return gap, along, side


def _inside(points: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Signed distance to a closed outline, positive inside."""
    from matplotlib.path import Path
    gap = _line(points, np.concatenate([outline, outline[:1]]))[0]
    return np.where(Path(outline).contains_points(points), gap, -gap)


def _noise(points: np.ndarray, size: float, seed: int) -> np.ndarray:
    """Smooth noise of about unit deviation, symmetric in x, with features of `size` metres."""
    rng = np.random.default_rng(seed)
    folded = points * np.where(points[:, :1] > 0, -1.0, 1.0) ** [1, 0, 0]
    waves = rng.normal(size=(24, 3)) / size
    return np.cos(folded @ waves.T + rng.uniform(0, 2 * np.pi, 24)).mean(1) * np.sqrt(2 * 24)
