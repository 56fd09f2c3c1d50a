"""Caps of hair, made by formula over the skull: caphuman_core/head/model/builtin_hair.safetensors (CC0, like the head).

    python -m tools.make_head.hair

Strands leave the crown in all directions, follow the skull at some distance, sink into the skin where hair ends (so that the
hairline is where the two surfaces cross) and, when long, fall. Each vertex hangs on a few of the skull's.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..devkit.places import ROOT

TARGET = ROOT / "caphuman_core/head/model/builtin_hair.safetensors"
CENTRE = np.array([0.0, 0.035, -0.020])      # metres, inside the skull
CROWN_BACK = np.radians(28.0)                # the crown is so far behind the top
EAR_ROOM = 0.006             # metres more above the ears
ROWS, COLUMNS = 56, 120
ANCHORS = 4
# Height of the hairline by degrees from the front, metres.
LINE_AT = (0, 22, 42, 56, 68, 76, 84, 96, 108, 118, 132, 150, 180)
LINE = (0.094, 0.092, 0.078, 0.054, 0.030, 0.012, 0.010, 0.045, 0.044, 0.016, -0.034, -0.052, -0.056)


@dataclass(frozen=True)
class Style:
    """One cut. Metres."""

    top: float                               # thickness above the forehead and crown
    side: float
    clump: float                             # height of the clumps
    clumps: int                              # around the head
    curl: float = 0.0                        # height of curls
    falls_to: float | None = None            # level of the lower end; None: it ends at the hairline


STYLES = {"short": Style(0.013, 0.0065, 0.0024, 34), "curly": Style(0.030, 0.020, 0.002, 26, curl=0.006),
          "long": Style(0.014, 0.011, 0.0028, 30, falls_to=-0.150)}


def skull(verts: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Vertices [K] of the skull without ears."""
    x, y, z = np.abs(verts[:, 0]), verts[:, 1], verts[:, 2]
    ears = (x > 0.068) & (y < 0.050) & (y > -0.05) & (z > -0.05) & (z < 0.012)
    kept = np.unique(faces)
    kept = kept[(y[kept] > -0.08) & ~ears[kept]]
    return kept[np.linalg.norm(verts[kept] - CENTRE, axis=1) > 0.062]


def build(verts: np.ndarray, faces: np.ndarray, skin: np.ndarray, style: Style, seed: int) -> dict[str, np.ndarray]:
    """verts [V, 3], faces [F, 3] of the neutral head; skin [V] bool: may carry hair."""
    outer = skull(verts, faces[skin[faces].all(1)])
    turn = (np.arange(COLUMNS) + 0.5) / COLUMNS * 2 * np.pi - np.pi                           # 0 in front
    polar = np.radians(np.linspace(3, 158, ROWS))
    directions = _directions(polar, turn)                                                     # [R, C, 3]
    radius = _radius(verts[outer] - CENTRE, directions.reshape(-1, 3)).reshape(ROWS, COLUMNS)
    surface = CENTRE + directions * radius[..., None]
    rng = np.random.default_rng(seed)
    inside = _line_distance(surface, style.falls_to is not None)
    thick = _thickness(surface, inside, turn, style, rng)
    grid = surface + directions * thick[..., None]
    if style.falls_to is not None:
        grid = _falling(grid, style)
    grid = (grid + grid[:, ::-1] * [-1, 1, 1]) / 2 if style.curl == 0 and style.falls_to is None else grid
    return _bound(grid, verts, outer, turn)


def _directions(polar: np.ndarray, turn: np.ndarray) -> np.ndarray:
    axis = np.array([0.0, np.cos(CROWN_BACK), -np.sin(CROWN_BACK)])
    front = np.array([0.0, np.sin(CROWN_BACK), np.cos(CROWN_BACK)])
    flat = np.sin(turn)[:, None] * [1.0, 0, 0] + np.cos(turn)[:, None] * front
    return np.cos(polar)[:, None, None] * axis + np.sin(polar)[:, None, None] * flat


def _radius(points: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """A smooth star-shaped surface through the skull's points: weighted mean radius of the nearest in direction."""
    far = np.linalg.norm(points, axis=1)
    cosine = directions @ (points / far[:, None]).T
    weight = np.exp((cosine - 1) / 0.004)
    return (weight * far).sum(1) / weight.sum(1).clip(1e-12)


def _line_distance(surface: np.ndarray, falling: bool) -> np.ndarray:
    """Signed metres above the hairline; hair that falls has none around the ears."""
    azimuth = np.degrees(np.abs(np.arctan2(surface[..., 0], surface[..., 2] - CENTRE[2])))
    line = np.interp(azimuth, LINE_AT, LINE)
    return surface[..., 1] - (np.where(azimuth > 70, np.minimum(line, 0.012), line) if falling else line)


def _smooth(value: np.ndarray, low: float, high: float) -> np.ndarray:
    t = ((value - low) / (high - low)).clip(0, 1)
    return t * t * (3 - 2 * t)


def _thickness(surface: np.ndarray, inside: np.ndarray, turn: np.ndarray, style: Style, rng: np.random.Generator) -> np.ndarray:
    high = _smooth(surface[..., 1], 0.04, 0.11)
    full = style.side + (style.top - style.side) * high
    ears = np.array([[0.078, 0.046, -0.020], [-0.078, 0.046, -0.020]])
    full = full + EAR_ROOM * np.exp(-(np.linalg.norm(surface[..., None, :] - ears, axis=-1).min(-1) / 0.018) ** 2)
    row = np.linspace(0, 1, len(surface))[:, None]
    phase = rng.uniform(0, 2 * np.pi, 6)
    bent = turn + 0.12 * np.sin(5 * row * 2 + phase[0]) + 0.05 * np.sin(turn * 7 + phase[1])
    clumps = np.sin(style.clumps * bent + phase[2]) + 0.6 * np.sin(style.clumps * 1.7 * bent + phase[3] + 4 * row)
    lump = style.clump * clumps * _smooth(row, 0.04, 0.25)
    if style.curl:
        waves = [np.cos(surface @ k + p) for k, p in zip(rng.normal(size=(40, 3)) * 330, rng.uniform(0, 6.3, 40), strict=True)]
        lump = lump + style.curl * np.clip(np.sum(waves, 0) / 5, -1.5, 1.5)
    # a soft start: the fringe's clumps cross the skin unevenly
    ragged = inside + 0.0014 * clumps
    # far below the line it goes deep: eyes and mouth lie lower than the smooth surface
    return -0.0035 + (full + lump + 0.0035) * _smooth(ragged, -0.005, 0.016) - 0.03 * _smooth(-inside, 0.012, 0.03)


def _falling(grid: np.ndarray, style: Style) -> np.ndarray:
    """Sides and back: from the widest place on, strands hang down to the style's level, waving a little."""
    made = grid.copy()
    for column in range(grid.shape[1]):
        strand = grid[:, column]
        side = abs((column + 0.5) / grid.shape[1] * 360 - 180)
        if side < 62:
            continue
        start = int(np.argmax(strand[:, 1] < (0.060 if side < 100 else 0.045)))
        if start == 0:
            continue
        from_, count = strand[start], len(strand) - start
        share = np.linspace(0, 1, count)
        level = from_[1] + (style.falls_to + 0.012 * np.sin(7 * np.radians(side)) - from_[1]) * share
        outward = (from_ - [0, from_[1], CENTRE[2]]) * [1, 0, 1]
        outward = outward / np.linalg.norm(outward)
        ear = 0.014 * np.exp(-((side - 100) / 26) ** 2)
        swing = (0.010 + ear) * _smooth(share, 0.0, 0.16) - ear * _smooth(share, 0.4, 0.9)
        swing = swing - 0.012 * _smooth(share, 0.45, 1.0)
        swing = swing + 0.004 * np.sin(share * 9 + side / 9)
        back = 0.012 * _smooth(share, 0.2, 0.9) * (side < 100)
        made[start:, column] = np.stack([from_[0] + outward[0] * swing, level, from_[2] + outward[2] * swing - back], 1)
    for _ in range(2):                                        # neighbours follow each other
        made = made * 0.6 + 0.2 * (np.roll(made, 1, 1) + np.roll(made, -1, 1))
    return made


def _bound(grid: np.ndarray, verts: np.ndarray, outer: np.ndarray, turn: np.ndarray) -> dict[str, np.ndarray]:
    from scipy.spatial import KDTree
    rows, columns = grid.shape[:2]
    points = grid.reshape(-1, 3)
    gap, near = KDTree(verts[outer]).query(points, k=ANCHORS)
    weights = 1 / (gap + 0.002)
    weights /= weights.sum(1, keepdims=True)
    anchors = outer[near]
    offset = points - (verts[anchors] * weights[..., None]).sum(1)
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b = number[:-1], np.roll(number[:-1], -1, 1)
    c, d = np.roll(number[1:], -1, 1), number[1:]
    faces = np.concatenate([np.stack([a, d, c], -1).reshape(-1, 3), np.stack([a, c, b], -1).reshape(-1, 3)])
    along = np.concatenate([number[1:], number[-2:-1]]).ravel()
    length = np.concatenate([np.zeros((1, columns)), np.cumsum(np.linalg.norm(np.diff(grid, axis=0), axis=2), 0)])
    place = np.stack([np.broadcast_to((turn + np.pi) / (2 * np.pi), (rows, columns)), length / length.max()], -1).reshape(-1, 2)
    return {"anchors": anchors.astype(np.int16), "weights": weights.astype(np.float16), "offset": offset.astype(np.float16),
            "faces": faces.astype(np.int16), "along": along.astype(np.int16), "place": place.astype(np.float16)}


def main() -> None:
    from safetensors.numpy import save_file

    from caphuman_core.head.model.head_model import load_builtin
    model = load_builtin()
    verts, faces = model.template.numpy(), model.faces.numpy()
    skin = (model.skinning[:, 3:].sum(1) == 0).numpy()
    tensors = {f"{name}/{key}": np.ascontiguousarray(array) for number, (name, style) in enumerate(STYLES.items())
               for key, array in build(verts, faces, skin, style, 3 + number).items()}
    save_file(tensors, str(TARGET), {"format": "caphuman-hair/1", "head": model.fingerprint, "licence": "CC0-1.0"})


if __name__ == "__main__":
    main()
