"""The detector back ends by name; each lives in a file of its own and is imported when it is chosen."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...check import fail
from ..detection import Detector

BACKENDS = ("mtcnn", "mediapipe", "insightface")


def make_detector(backend: str, model_name: str, folders: Mapping[str, Sequence[Path]], providers: Sequence[str] = ()) -> Detector:
    """The chosen back end, ready to use.

    model_name: AUTO, or a file or pack below one of the back end's folders. folders: the host's folders for the keys
    "facenet", "detection" and "insightface". providers: onnxruntime providers to prefer, for insightface.
    Raises InputError that names what is missing and how to get it.
    """
    if backend == "mtcnn":
        from .mtcnn import Mtcnn
        return Mtcnn(folders["facenet"])
    if backend == "mediapipe":
        from .mediapipe import MediaPipe
        return MediaPipe(folders["detection"], model_name)
    if backend == "insightface":
        from .insightface import InsightFace
        return InsightFace(folders["insightface"], model_name, providers)
    fail("backend", f"must be one of {', '.join(BACKENDS)}", repr(backend), "choose one of them")
