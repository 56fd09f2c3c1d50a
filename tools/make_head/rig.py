"""Eyeballs, joints, skinning and the jaw's corrective shape: the parts FLAME has and MakeHuman has otherwise."""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import anatomy, corrections, teeth
from .mesh import eye_ball, mirror_pairs
from .shape import Shape
from .source import Source

JOINTS = ("root", "neck", "jaw", "left eye", "right eye")
PARENTS = np.array([-1, 0, 1, 1, 1])
# Metres, at FLAME's origin: base of the neck, base of the skull, hinge of the jaw (in front of the ears).
ROOT, NECK, JAW = np.array([0, -0.147, -0.04]), np.array([0, -0.045, -0.03]), np.array([0, -0.012, -0.02])
JAW_BONES = ("jaw", "special04", "oris01", "oris02", "oris06.L", "oris06.R", "oris07.L", "oris07.R")
EYE_SEGMENTS = 18
SOCKET_RINGS = 3
# Of the rings that close the neck: share of the rim; metres below it, the middle too.
NECK_RINGS, NECK_SINKS = (0.9995, 0.93, 0.7, 0.35), (0.0002, 0.0025, 0.004, 0.005, 0.005)
LIPS_LEVEL, LIPS_BACK = -0.0387, 0.058       # metres: where the lips meet; skin farther back is cheek
EYE_RADIUS = 0.0150          # metres, of MakeHuman's eye before placing
# MakeHuman's blink carries the upper lid past the lower one; here 1 is about closed, and `corrections` makes it exact.
STRENGTH = {"eyeBlinkLeft": 0.82, "eyeBlinkRight": 0.82}
BODY = ("root", "spine", "clavicle", "shoulder", "breast", "neck01", "upperarm", "lowerarm", "pelvis")


@dataclass(frozen=True)
class Rig:
    """The whole head with its own eyeballs and teeth: skin and tongue first, left eye, right eye, upper teeth, lower teeth."""

    verts: np.ndarray                        # [V, 3]
    faces: np.ndarray                        # [F, 3]
    face_of: np.ndarray                      # [F] triangle of the source, -1 for eyeballs, -2 for teeth, -3 below the neck
    cut_face: np.ndarray                     # [F] triangle of the shape after its cut, -1 for what was added
    base_index: np.ndarray                   # [V] base mesh vertex, -1 for what was added
    actions: dict[str, np.ndarray]           # [V, 3]
    changes: dict[str, np.ndarray]           # [V, 3]
    skinning: np.ndarray                     # [V, 5]
    joint_regressor: np.ndarray              # [5, V]
    joints: np.ndarray                       # [5, 3]
    eye_polar: np.ndarray                    # [E] degrees from the pupil, of one eyeball's vertices
    skin_count: int                          # vertices before the eyes
    face_count: int                          # triangles before the eyes
    pair: np.ndarray                         # [V] mirror twin
    teeth_chart: np.ndarray                  # [T, 2] of the last T vertices (see `teeth.Teeth`)


def build(source: Source, shape: Shape) -> Rig:
    return _with_teeth(_closed_neck(corrections.build(_bare(source, shape))))


def _bare(source: Source, shape: Shape) -> Rig:
    """The head without teeth."""
    left = np.isin(shape.base_index, anatomy.LEFT_EYE)
    right = np.isin(shape.base_index, anatomy.RIGHT_EYE)
    on_skin = ~(left | right)[shape.cut.faces].any(1) & ~_deep_socket(source, shape)
    kept = np.zeros(len(shape.verts), dtype=bool)
    kept[shape.cut.faces[on_skin]] = True
    renumber = np.cumsum(kept) - 1
    faces = renumber[shape.cut.faces[on_skin]]
    ball, ball_faces, polar = eye_ball(EYE_RADIUS, EYE_SEGMENTS)
    eyes = _Eyes(shape, source, left, right, ball)
    count, each = int(kept.sum()), len(ball)
    verts = np.concatenate([shape.verts[kept], eyes.rest])
    pair = mirror_pairs(verts, 5e-4)
    lining = _mouth_follows_skin(verts[:count], faces, mouth_faces(source)[shape.cut.face_of[on_skin]])
    verts = _even(verts, pair)
    weights = np.zeros((len(verts), 5))
    weights[:count] = _weights(source, shape)[kept]
    weights[count:count + each, 3] = weights[count + each:, 4] = 1
    weights = (weights + weights[pair][:, [0, 1, 2, 4, 3]]) / 2
    joints = np.stack([ROOT, NECK, JAW, verts[count:count + each].mean(0), verts[count + each:].mean(0)])
    joints[3:] = eyes.centres
    return Rig(
        verts=verts, faces=np.concatenate([faces, ball_faces + count, ball_faces[:, ::-1] + count + each]),
        face_of=np.concatenate([shape.cut.face_of[on_skin], np.full(2 * len(ball_faces), -1)]),
        cut_face=np.concatenate([np.flatnonzero(on_skin), np.full(2 * len(ball_faces), -1)]),
        base_index=np.concatenate([shape.base_index[kept], np.full(2 * each, -1)]),
        actions=_mirrored({name: np.concatenate([offset[kept], eyes.turned(offset)]) * STRENGTH.get(name, 1)
                           for name, offset in shape.actions.items()}, pair),
        changes={name: _keep_parity(np.concatenate([lining @ offset[kept], eyes.carried(offset)]), pair)
                 for name, offset in shape.changes.items()},
        skinning=weights, joint_regressor=_regressor(verts, joints, count, each), joints=joints,
        eye_polar=polar, skin_count=count, face_count=int(on_skin.sum()), pair=pair, teeth_chart=np.zeros((0, 2)))


def _closed_neck(rig: Rig) -> Rig:
    """A lid on the cut neck: rings that shrink and sink towards its middle, with vertices of their own at the rim, so that the
    neck's shading stays as it was. Every vertex is a fixed mixture of the rim's, and moves with it."""
    rim = _rim(rig.faces[rig.face_of >= 0])
    count, before = len(rim), len(rig.verts)
    mixes = [np.eye(count) * share + (1 - share) / count for share in NECK_RINGS] + [np.full((1, count), 1 / count)]
    mix, sunk = np.concatenate(mixes), np.repeat([*NECK_SINKS], [*[count] * len(NECK_RINGS), 1])
    ring = np.arange(count)
    after = np.roll(ring, -1)
    faces = [np.array([ring + k * count, ring + (k + 1) * count, after + (k + 1) * count]).T for k in range(len(NECK_RINGS) - 1)]
    faces += [np.array([ring + k * count, after + (k + 1) * count, after + k * count]).T for k in range(len(NECK_RINGS) - 1)]
    last = (len(NECK_RINGS) - 1) * count
    faces = np.concatenate([*faces, np.array([ring + last, np.full(count, last + count), after + last]).T])[:, ::-1] + before
    verts = mix @ rig.verts[rim] - sunk[:, None] * [0, 1, 0]
    twin = np.concatenate([np.abs(verts * [-1, 1, 1] - place).sum(1).argmin()[None] for place in verts])
    many = len(verts)

    def follow(offset: np.ndarray) -> np.ndarray:
        return np.concatenate([offset, mix @ offset[rim]])

    return replace(
        rig, verts=_even(np.concatenate([rig.verts, verts]), np.append(rig.pair, twin + before)),
        faces=np.concatenate([rig.faces, faces]), face_of=np.append(rig.face_of, np.full(len(faces), -3)),
        cut_face=np.append(rig.cut_face, np.full(len(faces), -1)), base_index=np.append(rig.base_index, np.full(many, -1)),
        actions={name: follow(offset) for name, offset in rig.actions.items()},
        changes={name: follow(offset) for name, offset in rig.changes.items()}, skinning=follow(rig.skinning),
        joint_regressor=np.concatenate([rig.joint_regressor, np.zeros((5, many))], 1), pair=np.append(rig.pair, twin + before))


def _rim(faces: np.ndarray) -> np.ndarray:
    """The vertices [N] of the lowest open border, in order, against the way the border runs in its own triangles."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    known = {tuple(edge) for edge in edges.tolist()}
    follow = {b: a for a, b in edges.tolist() if (b, a) not in known}
    loops, left = [], set(follow)
    while left:
        loop = [left.pop()]
        while follow[loop[-1]] in left:
            loop.append(follow[loop[-1]])
            left.discard(loop[-1])
        loops.append(loop)
    return np.array(max(loops, key=len))


def _with_teeth(rig: Rig) -> Rig:
    """Upper teeth stay with the skull, lower ones with the jaw; with a person's shape both go where the lips go."""
    for name, joint in (("upper", 1), ("lower", 2)):
        arch = teeth.build(name)
        before, many = len(rig.verts), len(arch.verts)
        carried = _carrier(rig, arch.verts, name)
        moved = {action: _jaw_turn(rig, offset, arch.verts) if name == "lower" and action.startswith("jaw")
                 else np.zeros((many, 3)) for action, offset in rig.actions.items()}
        skinning = np.zeros((many, 5))
        skinning[:, joint] = 1
        rig = replace(
            rig, verts=np.concatenate([rig.verts, arch.verts]), faces=np.concatenate([rig.faces, arch.faces + before]),
            face_of=np.append(rig.face_of, np.full(len(arch.faces), -2)),
            cut_face=np.append(rig.cut_face, np.full(len(arch.faces), -1)), base_index=np.append(rig.base_index, np.full(many, -1)),
            actions={action: np.concatenate([offset, moved[action]]) for action, offset in rig.actions.items()},
            changes={change: np.concatenate([offset, carried(offset)]) for change, offset in rig.changes.items()},
            skinning=np.concatenate([rig.skinning, skinning]),
            joint_regressor=np.concatenate([rig.joint_regressor, np.zeros((5, many))], 1),
            pair=np.append(rig.pair, arch.pair + before), teeth_chart=np.concatenate([rig.teeth_chart, arch.chart]))
    return rig


def _carrier(rig: Rig, points: np.ndarray, name: str):
    """What a change of the person does to teeth: the affine move that follows the lips and the skin around them best."""
    x, y, z = rig.verts[:rig.skin_count].T
    around = (z > LIPS_BACK) & (np.abs(x) < 0.03) & ((y > LIPS_LEVEL) & (y < LIPS_LEVEL + 0.02) if name == "upper" else
                                                   (y < LIPS_LEVEL) & (y > LIPS_LEVEL - 0.02))
    near = np.flatnonzero(around & (rig.base_index[:rig.skin_count] < anatomy.SKIN_END))
    middle = rig.verts[near].mean(0)
    flat = np.concatenate([(rig.verts[near] - middle) * 30, np.ones((len(near), 1))], 1)
    solve = np.linalg.solve(flat.T @ flat + 0.05 * len(near) * np.diag([1, 1, 1, 0]), flat.T)
    at = np.concatenate([(points - middle) * 30, np.ones((len(points), 1))], 1)
    return lambda offset: at @ (solve @ offset[near])


def _jaw_turn(rig: Rig, offset: np.ndarray, points: np.ndarray) -> np.ndarray:
    """An action of the jaw: the rigid move that takes the chin where the action takes it."""
    chin = np.flatnonzero(rig.skinning[:, 2] > 0.95)
    chin = chin[chin < rig.skin_count]
    before, after = rig.verts[chin], rig.verts[chin] + offset[chin]
    turn = _rotation(before, after)
    return (points - before.mean(0)) @ turn.T + after.mean(0) - points


def socket_faces(source: Source) -> np.ndarray:
    """[F] of the source: the lining behind the lids, which has charts of its own."""
    u, v = source.uvs[source.uv_faces].mean(1).T
    return (u < 0.17) & (v > 0.53) & (v < 0.65) & (source.verts[source.faces, 1].mean(1) > 0.85)


def mouth_faces(source: Source) -> np.ndarray:
    """[F] of the source: the mouth's lining, which has a chart of its own, and the tongue."""
    u, v = source.uvs[source.uv_faces].mean(1).T
    tongue = (source.base_index >= anatomy.SKIN_END) & (source.base_index < anatomy.TONGUE_END)
    return ((u > 0.74) & (v < 0.14)) | tongue[source.faces].all(1)


def _mouth_follows_skin(verts: np.ndarray, faces: np.ndarray, inside: np.ndarray):
    """Sparse [N, N]: the mouth's inside takes the movement of the skin around it, or it would come out at the chin
    of people whose jaw is far from the average; all else keeps its own."""
    from scipy.sparse import csr_matrix
    from scipy.spatial import KDTree
    outer = np.unique(faces[~inside])
    inner = np.setdiff1d(np.unique(faces[inside]), outer)
    gap, near = KDTree(verts[outer]).query(verts[inner], k=24)
    share = 1 / (gap ** 2 + 1e-6)
    share /= share.sum(1, keepdims=True)
    rows = np.concatenate([outer, np.repeat(inner, 24)])
    columns = np.concatenate([outer, outer[near].ravel()])
    return csr_matrix((np.concatenate([np.ones(len(outer)), share.ravel()]), (rows, columns)), shape=(len(verts),) * 2)


def _deep_socket(source: Source, shape: Shape) -> np.ndarray:
    """[F] after the cut: lining farther than SOCKET_RINGS triangles from the rim; the eyeball always hides it."""
    lining = socket_faces(source)[shape.cut.face_of]
    reached = np.zeros(len(shape.verts), dtype=bool)
    reached[shape.cut.faces[~lining]] = True
    for _ in range(SOCKET_RINGS):
        reached[shape.cut.faces[reached[shape.cut.faces].any(1)]] = True
    return lining & ~reached[shape.cut.faces].all(1)


class _Eyes:
    """Our eyeballs, carried by MakeHuman's: affinely through the warp and the changes, rigidly through looks."""

    def __init__(self, shape: Shape, source: Source, left: np.ndarray, right: np.ndarray, ball: np.ndarray) -> None:
        original = shape.cut.apply(source.verts)
        self.old = [shape.verts[side] for side in (left, right)]
        self.sides = (left, right)
        rests, centres = [], []
        for side, sign in ((left, 1), (right, -1)):
            middle = (original[side].min(0) + original[side].max(0)) / 2
            middle[2] = original[side][:, 2].min() + np.ptp(original[side][:, 0]) / 2
            fit = _affine(original[side], shape.verts[side])
            rests.append(fit(ball * [sign, 1, 1] + middle))
            centres.append(fit(middle[None])[0])
        self.rests, self.centres = rests, np.stack(centres)
        self.rest = np.concatenate(rests)

    def carried(self, offset: np.ndarray) -> np.ndarray:
        """A change of the person: stretch and shift with MakeHuman's eye."""
        return np.concatenate([_affine(old, offset[side])(rest)
                               for old, side, rest in zip(self.old, self.sides, self.rests, strict=True)])

    def turned(self, offset: np.ndarray) -> np.ndarray:
        """An action: turn about the eye's own centre."""
        moved = []
        for old, side, rest, centre in zip(self.old, self.sides, self.rests, self.centres, strict=True):
            turn = _rotation(old, old + offset[side])
            moved.append((rest - centre) @ turn.T + centre - rest)
        return np.concatenate(moved)


def _affine(points: np.ndarray, values: np.ndarray):
    flat = np.concatenate([points, np.ones((len(points), 1))], 1)
    matrix = np.linalg.lstsq(flat, values, rcond=None)[0]
    return lambda p: np.concatenate([p, np.ones((len(p), 1))], 1) @ matrix


def _rotation(points: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """The rotation that best takes points to moved (Kabsch), [3, 3]."""
    u, _, vt = np.linalg.svd((points - points.mean(0)).T @ (moved - moved.mean(0)))
    return vt.T @ np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T


def _even(verts: np.ndarray, pair: np.ndarray) -> np.ndarray:
    return (verts + verts[pair] * [-1, 1, 1]) / 2


def _keep_parity(offset: np.ndarray, pair: np.ndarray) -> np.ndarray:
    twin = offset[pair] * [-1, 1, 1]
    return (offset + twin) / 2 if (offset * twin).sum() >= 0 else (offset - twin) / 2


def _mirrored(actions: dict[str, np.ndarray], pair: np.ndarray) -> dict[str, np.ndarray]:
    """Left and right actions made exact mirror images, all others exactly symmetric (the artist's differ slightly)."""
    even = {}
    for name, offset in actions.items():
        other = name
        for side, opposite in (("Left", "Right"), ("Right", "Left")):
            other = name.removesuffix(side) + opposite if name.endswith(side) else other
        even[name] = (offset + actions[other][pair] * [-1, 1, 1]) / 2
    return even


def _weights(source: Source, shape: Shape) -> np.ndarray:
    """[V, 5]: MakeHuman's bones gathered into FLAME's joints (its lids and lips belong to the skull or the jaw)."""
    weights = np.zeros((len(source.verts), 5))
    for name, weight in source.weights.items():
        if name.startswith(BODY):
            weights[:, 0] += weight
        elif name in JAW_BONES or name.startswith("tongue"):
            weights[:, 2] += weight
        else:
            weights[:, 1] += weight
    cut = shape.cut.apply(weights)
    return cut / cut.sum(1, keepdims=True)


def _regressor(verts: np.ndarray, joints: np.ndarray, count: int, each: int) -> np.ndarray:
    """Sparse rows, each summing to 1, that give the joints and follow the vertices around them."""
    x, y, z = verts[:count].T
    ear_side = (np.abs(x) > 0.05) & (np.hypot(y - JAW[1], z - JAW[2]) < 0.025)
    around = [np.flatnonzero((np.abs(y - ROOT[1]) < 0.012) & (np.abs(x) < 0.08)),
              np.flatnonzero((np.abs(y - NECK[1]) < 0.012) & (z < 0.0)),
              np.flatnonzero(ear_side), np.arange(count, count + each), np.arange(count + each, count + 2 * each)]
    rows = np.zeros((5, len(verts)))
    for row, joint, near in zip(rows, joints, around, strict=True):
        system = np.concatenate([verts[near].T, np.ones((1, len(near)))])
        even = np.full(len(near), 1 / len(near))
        wanted = np.append(joint, 1.0)
        row[near] = even + np.linalg.lstsq(system, wanted - system @ even, rcond=None)[0]
    return rows


def jaw_corrective(rig: Rig) -> tuple[np.ndarray, float]:
    """Pose directions [36, V, 3] that make the turning jaw open as MakeHuman's jawOpen does, and jawOpen's angle.

    FLAME multiplies them with the entries of (rotation - identity) of the joints after the root; about x the entry
    [2, 1] is the sine of the angle and [1, 2] its negative, and each takes half of the shape.
    """
    opened = rig.actions["jawOpen"]
    chin = rig.skinning[:, 2] > 0.95
    angle = _hinge_angle(rig.verts[chin] - JAW, rig.verts[chin] + opened[chin] - JAW)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    share = rig.skinning[:, 2][:, None, None]
    matrix = np.eye(3) * (1 - share) + turn * share
    shift = (share[:, 0] * (JAW - turn @ JAW))
    wanted = np.linalg.solve(matrix, (rig.verts + opened - shift)[..., None])[..., 0]
    basis = np.zeros((36, len(rig.verts), 3))
    part = (wanted - rig.verts) / np.sin(angle) / 2
    part[rig.skin_count:] = 0
    basis[9 + 7], basis[9 + 5] = part, -part
    return basis, float(angle)


def _hinge_angle(before: np.ndarray, after: np.ndarray) -> float:
    """Turn about x, radians, that best takes `before` to `after` (y and z only)."""
    cross = before[:, 1] * after[:, 2] - before[:, 2] * after[:, 1]
    return float(np.arctan2(cross.sum(), (before[:, 1:] * after[:, 1:]).sum()))
