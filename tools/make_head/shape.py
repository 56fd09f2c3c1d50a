"""The neutral head in FLAME's proportions, and every change and action carried along.

Three steps: MakeHuman's own local changes bring the neutral face near FLAME's points, a similarity places it in
FLAME's metres, and a smooth warp (thin-plate spline) takes up what is left. Changes go through the same warp.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import anatomy
from .mesh import Cut, cut_below, mirror_pairs, nearest_on_mesh
from .source import MACROS, Source

Y_SHIFT = 1.5                # metres from the model file's own template to the published one (flame_proportions.json)
USED = np.array([8, *range(17, 68)])         # landmarks that both heads define alike
TUNED = ("head", "forehead", "eyebrows", "eye", "cheek", "nose", "mouth", "chin")
STIFFNESS = 1.5e-4          # square metres per unit of local change, in the tuning
SMOOTHING = 4e-2             # metres, of the warp: a millimetre or two may stay where the two heads differ in kind
SKULL_FRONT, SKULL_LOW, SKULL_BOTTOM = -0.02, 0.05, -0.01    # metres: where its stretching in z and y begins; its lower end
Move = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Shape:
    """The head after warping and cutting, eyes still MakeHuman's; metres, FLAME's axes and origin."""

    cut: Cut
    verts: np.ndarray                        # [V, 3]
    base_index: np.ndarray                   # [V] base mesh vertex (of the nearer parent where cut)
    actions: dict[str, np.ndarray]           # ARKit name -> [V, 3]
    changes: dict[str, np.ndarray]           # change, left and right joined -> [V, 3]
    landmark_faces: np.ndarray               # [52] triangle of landmarks 8 and 17..67, after the cut
    landmark_weights: np.ndarray             # [52, 3]
    bones: dict[str, np.ndarray]             # [3]


@dataclass(frozen=True)
class Anchors:
    """Points that stay on the same place of the surface."""

    corners: np.ndarray                      # [L, 3] vertices
    weights: np.ndarray                      # [L, 3]

    def of(self, data: np.ndarray) -> np.ndarray:
        return (data[self.corners] * self.weights[..., None]).sum(1)


def build(source: Source, flame: np.ndarray, box: np.ndarray) -> Shape:
    """flame [68, 3]: FLAME's neutral landmarks, box [2, 3] its bounding box, both at the model file's origin."""
    changes = symmetric_changes(source)
    found = np.concatenate([anatomy.chin_point(source.verts, source.base_index)[None],
                            anatomy.inner_points(source.verts, source.base_index, flame)])
    skin = np.flatnonzero((source.base_index < anatomy.SKIN_END)[source.faces].all(1))
    near, weights = nearest_on_mesh(found, source.verts, source.faces[skin])
    anchors = Anchors(source.faces[skin[near]], weights)
    tuned = source.verts + tune(source, changes, anchors, flame[USED])
    carry = placing(tuned, anchors, flame[USED], box)
    verts = carry(tuned)
    cut = cut_below(verts, source.faces, neck_height)

    def moved(offset: np.ndarray) -> np.ndarray:
        return cut.apply(carry(tuned + offset) - verts)

    return Shape(
        cut=cut, verts=cut.apply(verts), base_index=source.base_index[np.where(cut.share < 0.5, cut.low, cut.high)],
        actions={name: moved(offset) for name, offset in source.actions.items()},
        changes={name: moved(offset) for name, offset in changes.items()},
        landmark_faces=np.array([np.flatnonzero(cut.face_of == face)[0] for face in skin[near]]), landmark_weights=weights,
        bones={name: carry(point[None])[0] for name, point in source.bones.items()})


def symmetric_changes(source: Source) -> dict[str, np.ndarray]:
    """Left and right halves of a change joined into one; a leading "l-" goes, and the end that says which way is +1."""
    joined: dict[str, np.ndarray] = {}
    for name, offset in source.changes.items():
        if name.startswith("r-"):
            continue
        other = source.changes.get("r" + name[1:], 0) if name.startswith("l-") else 0
        joined[name.removeprefix("l-").removesuffix("-incr")] = offset + other
    eyes = np.isin(source.base_index, [*anatomy.LEFT_EYE, *anatomy.RIGHT_EYE])
    for name in MACROS:                      # a taller body also lifts the head: only the shape counts here
        joined[name] = joined[name] - joined[name][eyes].mean(0)
    pair = mirror_pairs(source.verts)
    return {name: _cleaned(offset, pair) for name, offset in joined.items()}


def _cleaned(offset: np.ndarray, pair: np.ndarray) -> np.ndarray:
    """Exactly symmetric or exactly mirrored-negative, whichever the change is meant to be."""
    twin = offset[pair] * [-1, 1, 1]
    return (offset + twin) / 2 if (offset * twin).sum() >= 0 else (offset - twin) / 2


def tune(source: Source, changes: dict[str, np.ndarray], anchors: Anchors, target: np.ndarray) -> np.ndarray:
    """Offset [V, 3] by local changes within -1..1 that brings the anchors nearest to `target`, up to a similarity."""
    names = [name for name in changes if name.split("-")[0] in TUNED and not name.endswith(("out", "angle-out"))]
    moves = np.stack([anchors.of(changes[name]) for name in names])                      # [K, L, 3]
    amount = np.zeros(len(names))
    neutral = anchors.of(source.verts)
    for _ in range(30):
        _, scale, middle, goal = similarity(neutral + np.tensordot(amount, moves, 1), target)
        wanted = (target - goal) / scale + middle - neutral
        free = moves.reshape(len(names), -1)
        amount = np.linalg.solve(free @ free.T + STIFFNESS * np.eye(len(names)), free @ wanted.ravel()).clip(-1, 1)
    return np.tensordot(amount, np.stack([changes[name] for name in names]), 1)


def similarity(points: np.ndarray, target: np.ndarray) -> tuple[Move, float, np.ndarray, np.ndarray]:
    """Best scale and shift, no turn (both heads look along +z): the move, its scale, and the two centres."""
    middle, goal = points.mean(0), target.mean(0)
    scale = float(((points - middle) * (target - goal)).sum() / ((points - middle) ** 2).sum())
    return lambda p: (p - middle) * scale + goal, scale, middle, goal


def placing(verts: np.ndarray, anchors: Anchors, target: np.ndarray, box: np.ndarray) -> Move:
    """The move from MakeHuman's space to FLAME's: similarity, then the warp to the landmarks and the skull's extent."""
    place = similarity(anchors.of(verts), target)[0]
    placed = place(verts)
    skull, wanted = _skull(placed, box)
    still = np.array([[x, -0.25, z] for x in (-0.12, 0.12) for z in (-0.12, 0.08)])      # the shoulders stay
    warp = Warp(np.concatenate([anchors.of(placed), skull, still]), np.concatenate([target, wanted, still]))
    return lambda p: warp(place(p))


def _skull(placed: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of the skull's back and top, and where they must go for the skull to end where FLAME's box does."""
    high = placed[(placed[:, 1] > SKULL_BOTTOM) & ((placed[:, 2] < SKULL_FRONT - 0.03) | (placed[:, 1] > SKULL_LOW + 0.05))]
    picked = high[np.argsort(high @ [0.31, 0.77, 0.55])[::len(high) // 20]]
    points = np.concatenate([picked, picked * [-1, 1, 1]])
    depth = (box[0, 2] - SKULL_FRONT) / (high[:, 2].min() - SKULL_FRONT)
    height = (box[1, 1] - SKULL_LOW) / (high[:, 1].max() - SKULL_LOW)
    wanted = points.copy()
    wanted[:, 2] = SKULL_FRONT + (points[:, 2] - SKULL_FRONT) * np.where(points[:, 2] < SKULL_FRONT, depth, 1)
    wanted[:, 1] = SKULL_LOW + (points[:, 1] - SKULL_LOW) * np.where(points[:, 1] > SKULL_LOW, height, 1)
    return points, wanted


class Warp:
    """Smoothing thin-plate spline in space (kernel r): x -> x + a smooth displacement."""

    def __init__(self, points: np.ndarray, targets: np.ndarray) -> None:
        self.points = points
        count = len(points)
        flat = np.concatenate([np.ones((count, 1)), points], 1)
        system = np.block([[-_distance(points, points) + SMOOTHING * np.eye(count), flat], [flat.T, np.zeros((4, 4))]])
        self.weights = np.linalg.solve(system, np.concatenate([targets - points, np.zeros((4, 3))]))

    def __call__(self, places: np.ndarray) -> np.ndarray:
        flat = np.concatenate([np.ones((len(places), 1)), places], 1)
        return places + np.concatenate([-_distance(places, self.points), flat], 1) @ self.weights


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(((a[:, None] - b) ** 2).sum(-1))


def neck_height(verts: np.ndarray) -> np.ndarray:
    """Above zero is kept: a cut like FLAME's, lowest in front, rising to the sides and the nape."""
    x, y, z = verts.T
    return y + 0.1869 - 2.3 * x ** 2 - 0.22 * np.clip(-0.02 - z, 0, None)
