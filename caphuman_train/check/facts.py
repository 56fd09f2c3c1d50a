"""What the records of some shards are like, in numbers."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from caphuman_core.head.light import terms
from caphuman_core.head.rotations import matrix_from_axis_angle, yaw_pitch_roll_from_matrix

if TYPE_CHECKING:
    from ..data.record import Record

FRONT = torch.tensor([[0.0, 0.0, 1.0]])
SIDES = torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])        # of the picture: left, right


@dataclass(frozen=True)
class Facts:
    """One record. Angles in degrees; light as shading of a surface that faces the viewer."""

    key: str
    person: str
    words: int                           # of the caption
    yaw: float
    pitch: float
    roll: float
    face_share: float                    # height of the face in the height of the picture
    expression: float                    # root mean square of the expression code
    jaw: float
    brightness: float                    # shading of a surface that faces the viewer
    side_light: float                    # shading of the picture's right side less that of its left
    face_area: float                     # share of latent cells that the face target opens
    sharpness: float
    expression_known: bool


def facts_of(record: Record) -> Facts:
    """Of one record."""
    head, measures = record.head, record.measures
    yaw, pitch, roll = (float(angle) for angle in yaw_pitch_roll_from_matrix(matrix_from_axis_angle(head.rotation_radians)))
    front, left, right = ((terms(torch.cat([FRONT, SIDES])) @ head.light[0]).mean(1)).tolist()
    return Facts(
        key=record.key, person=record.person, words=len(record.text.split()), yaw=yaw, pitch=pitch, roll=roll,
        face_share=measures["face_pixels"] / head.height, expression=float(head.expression.square().mean().sqrt()),
        jaw=float(torch.rad2deg(head.jaw_radians[0, 0])), brightness=front, side_light=right - left,
        face_area=float(record.face_target.mean()), sharpness=measures["sharpness"],
        expression_known=bool(measures.get("expression_known", 1.0)))


def column(facts: Iterable[Facts], name: str) -> list[Any]:
    """One number of each."""
    return [getattr(one, name) for one in facts]
