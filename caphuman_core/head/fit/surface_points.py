"""Points on a head's surface as functions of codes, pose and gaze, with their derivatives.

`pose_head` moves whole heads and torch differentiates it; a fit asks for a few hundred points and all derivatives a few dozen
times. Here the skinned sum over the vertices of each point is taken once, by the part of the head that moves them, so that a
point is linear in the codes and each part's rotation stands before the sum: the same numbers, many times faster (a test
compares). The neck is still: what it does never moves the face (`posing.split_turn`).
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ..model.head_model import HeadModel
from ..model.lids import lid_directions, lid_rates
from ..model.posing import eye_rotations
from ..rotations import matrix_from_axis_angle

DENSE_FILE = Path(__file__).with_name("builtin_points478.safetensors")
PARTS = ((0, 1), (2,), (3,), (4,))       # joints that move together: head and neck, jaw, left eye, right eye
STEP = 1e-5                              # radians, of the numeric derivatives by jaw and gaze (float64)
SMALLEST_AREA, SLACK = 1e-12, 1e-4        # square metres of a triangle; share outside that is rounding
Corners = tuple[Tensor, Tensor]          # [P, n] vertices of each point and their weights, which sum to 1


@dataclass(frozen=True)
class Shape:
    """What moves points beside the turn of the head; float64."""

    identity: Tensor         # [I]
    expression: Tensor       # [E]
    jaw: Tensor              # [3] radians
    gaze: Tensor             # [2, 2] radians, see `flow.Head`


@dataclass(frozen=True)
class Moved:
    """Points of a head that is not turned, and their derivatives; metres."""

    points: Tensor           # [P, 3] against the root joint
    root: Tensor             # [3] the root joint
    by_code: Tensor          # [I + E, P, 3]
    root_by_code: Tensor     # [I + E, 3]
    by_angle: Tensor         # [3 + 4, P, 3] by the jaw's three and the gaze's four angles


@dataclass(frozen=True)
class SurfacePoints:
    """P points of a head model's surface. The codes are identity, expression, then what the lids do for the gaze; float64."""

    rest: Tensor             # [P, 12] neutral place, by part, weighted with the part's share in the point
    codes: Tensor            # [K, P, 12] its change by each code
    correctives: Tensor      # [36, P, 12] by each entry of the rotations of joints 1..4 minus the identity
    share: Tensor            # [P, 4] of each part in the point
    joints: Tensor           # [4, 3] neutral root, jaw, left eye, right eye
    joint_codes: Tensor      # [K, 4, 3]
    lid_angles: Tensor       # [L] which of the gaze's four angles asks for each of the last L codes
    lid_signs: Tensor        # [L] amount by radian of it, where it is positive

    def and_also(self, others: SurfacePoints) -> SurfacePoints:
        """These points, then others of the same model."""
        return replace(self, rest=torch.cat([self.rest, others.rest]), codes=torch.cat([self.codes, others.codes], 1),
                       correctives=torch.cat([self.correctives, others.correctives], 1),
                       share=torch.cat([self.share, others.share]))

    def beside(self, offset_metres: Tensor) -> SurfacePoints:
        """Points that lie [P, 3] beside these, in axes that turn with the parts of the head."""
        return replace(self, rest=self.rest + (self.share[..., None] * offset_metres.double()[:, None]).flatten(1))

    def points(self, shape: Shape) -> tuple[Tensor, Tensor]:
        """Points against the root joint [P, 3] of a head that is not turned, and the root joint [3]."""
        points, root = self._turned(*self._linear(shape), shape.jaw[None], shape.gaze[None])
        return points[0], root[0]

    def moved(self, shape: Shape) -> Moved:
        """Points and derivatives."""
        angles = torch.cat([shape.jaw, shape.gaze.flatten()])
        ahead = torch.cat([angles[None], angles + STEP * torch.eye(7, dtype=angles.dtype)])
        points, root = self._turned(*self._linear(shape), ahead[:, :3], ahead[:, 3:].unflatten(1, (2, 2)))
        known = len(shape.identity) + len(shape.expression)
        parts = _part_rotations(shape.jaw[None], shape.gaze[None])[0]
        by_code = self.codes[:known] @ parts.mT.flatten(0, 1)
        stay = self.joint_codes[:known] - (parts @ self.joint_codes[:known, :, :, None]).squeeze(-1)
        stay[:, 0] = 0
        by_code += self.share @ stay - self.joint_codes[:known, :1]
        return Moved(points[0], root[0], by_code, self.joint_codes[:known, 0], (points[1:] - points[0]) / STEP)

    def _linear(self, shape: Shape) -> tuple[Tensor, Tensor]:
        """Places [P, 12] by part and joints [4, 3] before anything turns, the lids at rest."""
        code = torch.cat([shape.identity, shape.expression])
        places = self.rest + (code @ self.codes[:len(code)].flatten(1)).view_as(self.rest)
        return places, self.joints + (code @ self.joint_codes[:len(code)].flatten(1)).view_as(self.joints)

    def _turned(self, places: Tensor, joints: Tensor, jaw: Tensor, gaze: Tensor) -> tuple[Tensor, Tensor]:
        """The points [S, P, 3] and the root joint [S, 3] at S turns of jaw [S, 3] and eyes [S, 2, 2]."""
        parts = _part_rotations(jaw, gaze)                                                      # [S, 4, 3, 3]
        bends = (parts[:, 1:] - torch.eye(3, dtype=places.dtype)).flatten(1) @ self.correctives[9:].flatten(1)
        lids = self.lid_signs * gaze.flatten(1)[:, self.lid_angles]
        lids = lids.clamp(min=0)
        start = len(self.codes) - lids.shape[1]
        bends = bends + lids @ self.codes[start:].flatten(1)
        joints = joints + (lids @ self.joint_codes[start:].flatten(1)).unflatten(1, (4, 3))
        stay = joints - (parts @ joints[..., None]).squeeze(-1)
        stay[:, 0] = 0
        turned = (places + bends.unflatten(1, places.shape)) @ parts.mT.flatten(1, 2)
        return turned + self.share @ stay - joints[:, :1], joints[:, 0]


def _part_rotations(jaw: Tensor, gaze: Tensor) -> Tensor:
    """Rotation of each part against the head, [S, 4, 3, 3]."""
    still = torch.eye(3, dtype=jaw.dtype).expand(len(jaw), 1, 3, 3)
    return torch.cat([still, matrix_from_axis_angle(jaw)[:, None], eye_rotations(gaze)], 1)


def surface_points(model: HeadModel, corners: Corners) -> SurfacePoints:
    """Points at weighted means of vertices."""
    index, weights = corners[0], corners[1].double()
    by_part = torch.stack([model.skinning[:, list(joints)].sum(1) for joints in PARTS], 1).double()         # [V, 4]
    mix = weights[..., None] * by_part[index]                                                                # [P, n, 4]
    lids, (angles, rates) = lid_directions(model), lid_rates(model)
    regressor = model.joint_regressor[[0, 2, 3, 4]].double()

    def gathered(directions: Tensor) -> Tensor:
        """[K, V, 3] -> [K, P, 12]."""
        return torch.einsum("pna,kpnc->kpac", mix, directions[:, index].double()).flatten(2)

    directions = (model.identity_basis, model.expression_basis, lids)
    return SurfacePoints(
        rest=gathered(model.template[None])[0], codes=torch.cat([gathered(part) for part in directions]),
        correctives=gathered(model.pose_basis), share=mix.sum(1), joints=regressor @ model.template.double(),
        joint_codes=torch.cat([_joint_codes(regressor, part) for part in directions]),
        lid_angles=angles, lid_signs=rates)


def _joint_codes(regressor: Tensor, directions: Tensor) -> Tensor:
    """[4, V], [K, V, 3] -> [K, 4, 3]; only the vertices that joints are made from are looked at."""
    used = regressor.any(0).nonzero().squeeze(1)
    return regressor[:, used] @ directions[:, used].double()


def on_faces(model: HeadModel, at_faces: Tensor, weights: Tensor) -> Corners:
    """Barycentric points as corners."""
    return model.faces[at_faces], weights


def five_corners(model: HeadModel) -> Corners:
    """MTCNN's five points as means of the 68 fixed ones (`points.five_from_68`)."""
    from ...points import LEFT_EYE, MOUTH_CORNERS, NOSE_TIP, RIGHT_EYE
    groups = (RIGHT_EYE, LEFT_EYE, (NOSE_TIP,), *((corner,) for corner in MOUTH_CORNERS))
    index = torch.zeros(5, 18, dtype=torch.long)
    weights = torch.zeros(5, 18)
    for row, group in enumerate(groups):
        index[row, :3 * len(group)] = model.faces[model.full_faces[list(group)]].flatten()
        weights[row, :3 * len(group)] = model.full_weights[list(group)].flatten() / len(group)
    return index, weights


def pupil_corners(model: HeadModel) -> Corners | None:
    """The foremost point of each eyeball's axis, where a straight look pierces it, the person's left eye first; None for a head
    whose eyes are no balls of their own."""
    found = [_pierced(model, joint) for joint in (3, 4)]
    if found[0] is None or found[1] is None:
        return None
    return torch.stack([found[0][0], found[1][0]]), torch.stack([found[0][1], found[1][1]])


def _pierced(model: HeadModel, joint: int) -> Corners | None:
    """Corners [3] and weights of the frontmost point of an eyeball on the line through its joint towards the viewer."""
    centre = model.joint_regressor[joint] @ model.template
    ball = (model.skinning[:, joint] > 0.5)[model.faces].all(1).nonzero().squeeze(1)
    triangles = model.template[model.faces[ball]]                                                            # [F, 3, 3]
    a, b, c = (triangles[:, k, :2] - centre[:2] for k in range(3))
    area = _cross(b - a, c - a)
    flat = area.abs() <= SMALLEST_AREA
    inside = torch.stack([_cross(b, c), _cross(c, a), _cross(a, b)], 1) / area.masked_fill(flat, 1.0)[:, None]
    pierced = ((inside.amin(1) > -SLACK) & ~flat).nonzero().squeeze(1)
    if not len(pierced):
        return None
    best = pierced[(inside * triangles[..., 2]).sum(1)[pierced].argmax()]
    return model.faces[ball[best]], inside[best]


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


@lru_cache(maxsize=1)
def _dense() -> tuple[str, dict[str, Tensor]]:
    from ...files.weights import read_metadata, read_state_dict
    return (read_metadata(DENSE_FILE, "landmark places")["head_model"], read_state_dict(DENSE_FILE, "landmark places"))


def dense_places(model: HeadModel) -> dict[str, Tensor] | None:
    """Which of MediaPipe's 478 points have a place on this head: points [P], faces [P], weights [P, 3], offset_metres [P, 3] beside
    the surface where the detector has the point, error_metres [P] to be expected of it; None for heads
    that nobody has asked the detector about (FLAME's: its 68 points serve)."""
    mark, places = _dense()
    return places if mark == model.fingerprint else None
