"""From the landmark sets of the back ends to the 68 points of 300-W / iBUG (caphuman_core/points.py)."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..check import fail
from ..flow import Face, Faces
from ..points import five_from_68

# MediaPipe's mesh (its canonical face model's numbering) at the iBUG places.
MEDIAPIPE_68 = (
    127, 234, 93, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 323, 454, 356,      # jaw line
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,                                          # brows
    168, 197, 5, 4, 98, 97, 2, 326, 327,                                                    # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,                              # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,                                    # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,                                                      # inner lips
)

# insightface's 2d106det at the iBUG places.
INSIGHTFACE_68 = (
    1, 10, 12, 14, 16, 3, 5, 7, 0, 23, 21, 19, 32, 30, 28, 26, 17,
    43, 48, 49, 51, 50, 102, 103, 104, 105, 101,
    72, 73, 74, 86, 78, 79, 80, 85, 84,
    35, 41, 42, 39, 37, 36, 89, 95, 96, 93, 91, 90,
    52, 64, 63, 71, 67, 68, 61, 58, 59, 53, 56, 55,
    65, 66, 62, 70, 69, 57, 60, 54,
)


def points68_of_478(points: Tensor) -> Tensor:
    """[..., 468 or 478, D] MediaPipe order -> [..., 68, D]."""
    return points[..., list(MEDIAPIPE_68), :]


def points68_of_106(points: Tensor) -> Tensor:
    """[..., 106, D] insightface order -> [..., 68, D]."""
    return points[..., list(INSIGHTFACE_68), :]


def face_from_478(points478: Tensor, confidence: float, scores: dict[str, float] | None, head_matrix: Tensor | None,
                  box_xyxy: Tensor | None = None) -> Face:
    """A face of MediaPipe's landmarks. Its box, where none is given, is that of the landmarks themselves: brows to chin,
    which is close to what MTCNN draws."""
    points68 = points68_of_478(points478)
    box = torch.cat([points478.amin(0), points478.amax(0)]) if box_xyxy is None else box_xyxy
    return Face(box, confidence, five_from_68(points68), points68, points478=points478, expression_scores=scores,
                head_matrix=head_matrix)


def faces_from_frames(payload: Any) -> Faces:
    """The host's FACE_LANDMARKS ({"frames": per photo a list of faces, "image_size": (H, W)}) as faces, largest first.
    Raises InputError for anything else."""
    try:
        height, width = (int(side) for side in payload["image_size"])
        frames = [tuple(_face_of_entry(entry) for entry in frame) for frame in payload["frames"]]
    except (TypeError, KeyError, ValueError, IndexError) as error:
        fail("face_landmarks", "must be what the host's MediaPipe node makes", f"{type(payload).__name__} without {error}",
             "connect Detect Face Landmarks (MediaPipe)")
    return Faces(tuple(tuple(sorted(found, key=lambda face: -float((face.box_xyxy[2:] - face.box_xyxy[:2]).prod())))
                       for found in frames), width, height)


def _face_of_entry(entry: Any) -> Face:
    points = torch.as_tensor(entry["landmarks_xy"]).float()[:, :2]
    matrix = entry.get("transformation_matrix")
    scores = {name: float(score) for name, score in entry["blendshapes"].items()} if entry.get("blendshapes") else None
    return face_from_478(points, min(max(float(entry.get("score", 1.0)), 1e-6), 1.0), scores,
                         None if matrix is None else torch.as_tensor(matrix).float(), torch.as_tensor(entry["bbox_xyxy"]).float())
