"""The face of each picture: the core's detectors where their files are there, else dlib's frontal one, which needs none."""
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caphuman_core.check import InputError, fail
from caphuman_core.face.search import ORDINARY, Search

if TYPE_CHECKING:
    from torch import Tensor

    from caphuman_core.face.detection import Detector
    from caphuman_core.flow import Face

DETECTORS = ("mediapipe", "insightface", "mtcnn", "dlib")       # in order of preference: what tells most about a face
DLIB_INSTALL = "run `pip install dlib-bin face_recognition_models`"
LEAST_CONFIDENCE = 0.5


@dataclass(frozen=True)
class Seen:
    """A picture and the largest face in it, if any."""

    picture: Tensor                      # [3, H, W] 0..1
    face: Face | None


def choose_detector(name: str, models: Path | None) -> Detector:
    """The detector of that name; "auto": the first of DETECTORS that is complete. models: a folder laid out like the host's.

    Raises InputError that names what is missing.
    """
    if name != "auto":
        return _make(name, models)
    lacks = []
    for candidate in DETECTORS:
        try:
            return _make(candidate, models)
        except InputError as error:
            lacks.append(str(error))
    fail("score", "needs a face detector", "none that is complete", f"{DLIB_INSTALL}; or: {' '.join(lacks)}")


def _make(name: str, models: Path | None) -> Detector:
    if name == "dlib":
        return DlibFaces()
    from caphuman_core.face.detectors.index import make_detector
    from caphuman_core.face.detectors.model_files import AUTO
    folders = {key: [models / key] if models else [] for key in ("facenet", "detection", "insightface")}
    return make_detector(name, AUTO, folders, _providers())


def _providers() -> tuple[str, ...]:
    return "CUDAExecutionProvider", "CPUExecutionProvider"


def version_of(detector: Any) -> str:
    """What exactly it is: its name, and its files with a mark of their content."""
    files: tuple[Path, ...] = getattr(detector, "files", ())
    if not files:
        return str(detector.name)
    mark = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                mark.update(block)
    return f"{detector.name} ({files[0].name if len(files) == 1 else files[0].parent.name}, {mark.hexdigest()[:12]})"


def look(detector: Detector, pictures: Sequence[Tensor]) -> list[Seen]:
    """The largest face of each picture; pictures of one size are looked at together."""
    import torch

    from caphuman_core.face.detection import detect
    seen: list[Seen | None] = [None] * len(pictures)
    sizes: dict[tuple[int, ...], list[int]] = {}
    for number, picture in enumerate(pictures):
        sizes.setdefault(tuple(picture.shape), []).append(number)
    for numbers in sizes.values():
        faces = detect(detector, torch.stack([pictures[i] for i in numbers]), LEAST_CONFIDENCE, 1, "largest", "skip")
        for number, found in zip(numbers, faces.per_image, strict=True):
            seen[number] = Seen(pictures[number], found[0] if found else None)
    return [one for one in seen if one is not None]


class DlibFaces:
    """dlib's frontal face detector with 68 points: for upright faces that look at the viewer, turned by 40 degrees at most."""

    name, doubtful_below, convincing = "dlib", 0.0, 0.0

    def __init__(self) -> None:
        self._dlib = dlib_package()
        self._find, self._points = self._dlib.get_frontal_face_detector(), DlibPoints().predict

    def find(self, photos: Tensor, search: Search = ORDINARY) -> list[tuple[Face, ...]]:
        """Faces in photos [B, 3, H, W] of 0..1, red first. Confidence is 0.5 at dlib's own threshold."""
        from caphuman_core.pixels import bytes_of
        return [self._find_in(bytes_of(photo)) for photo in photos]

    def _find_in(self, pixels: Any) -> tuple[Face, ...]:
        import torch

        from caphuman_core.flow import Face
        from caphuman_core.points import five_from_68
        boxes, scores, _ = self._find.run(pixels, 1 if max(pixels.shape) < 1000 else 0, 0.0)
        faces = []
        for box, score in zip(boxes, scores, strict=True):
            shape = self._points(pixels, box)
            points = points_of(shape)
            edges = torch.tensor([box.left(), box.top(), box.right() + 1, box.bottom() + 1], dtype=torch.float32)
            faces.append(Face(edges, min(1.0, 0.5 + score / 4), five_from_68(points), points))
        return tuple(faces)


def dlib_package() -> Any:
    """dlib; InputError with the install line where it is missing."""
    try:
        return import_module("dlib")
    except ImportError as error:
        fail("judge dlib", "needs the Python packages dlib-bin and face_recognition_models", str(error), DLIB_INSTALL)


def dlib_file(name: str) -> str:
    """A network of the package face_recognition_models, which is not imported: its own import needs another package."""
    from importlib.util import find_spec
    spec = find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / "models" / name).is_file():
            return str(Path(folder) / "models" / name)
    fail("judge dlib", "needs the Python package face_recognition_models", "no such package", DLIB_INSTALL)


class DlibPoints:
    """dlib's 68-point predictor, for faces that were found by anyone."""

    def __init__(self) -> None:
        self._dlib = dlib_package()
        self.predict = self._dlib.shape_predictor(dlib_file("shape_predictor_68_face_landmarks.dat"))

    def shape(self, pixels: Any, face: Face) -> Any:
        """dlib's own object of the points, in pixels [H, W, 3] uint8."""
        known = face.points68 if face.points68 is not None else face.box_xyxy.view(2, 2)
        low, high = known.amin(0), known.amax(0)
        middle, side = (low + high) / 2, float((high - low).max())
        return self.predict(pixels, self._dlib.rectangle(*(int(v) for v in (*(middle - side / 2), *(middle + side / 2)))))

    def of(self, picture: Tensor, face: Face) -> Tensor:
        """[68, 2] pixels of picture [3, H, W]; dlib counts from the middle of the first pixel."""
        from caphuman_core.pixels import bytes_of
        return points_of(self.shape(bytes_of(picture), face))


def points_of(shape: Any) -> Tensor:
    """dlib's points as [68, 2]."""
    import torch
    return torch.tensor([[point.x + 0.5, point.y + 0.5] for point in shape.parts()], dtype=torch.float32)
