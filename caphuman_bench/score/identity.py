"""Judges of identity: face -> a vector; and what two vectors say."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from caphuman_core.check import InputError, fail

from .faces import DlibPoints, Seen, dlib_file, dlib_package, version_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from caphuman_core.flow import Face

CHIP = 150                               # pixels of dlib's aligned face
FACENET_SOURCE = "put 20180402-114759-vggface2.pt of facenet-pytorch's releases into the models folder 'facenet'"


class Judge(Protocol):
    """key: "facenet", "arcface" or "dlib". version: what exactly it is, for the report; scores of two versions are not mixed."""

    key: str
    version: str

    def embed(self, seen: Sequence[Seen]) -> list[NDArray[np.float64] | None]:
        """One vector per picture; None where there is no face to judge."""
        ...

    def similarity(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        """1 for equal vectors."""
        ...


class _Cosine:
    def similarity(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        """The cosine."""
        return float(a @ b / max(float((a @ a) ** 0.5 * (b @ b) ** 0.5), 1e-12))


class FaceNetJudge(_Cosine):
    """FaceNet, as the paper measures identity; it sees the detector's face crop."""

    key = "facenet"

    def __init__(self, models: Path | None, device: str = "cpu") -> None:
        self._net, self.version = _facenet(models)
        self._net.to(device)
        self._device = device

    def embed(self, seen: Sequence[Seen]) -> list[NDArray[np.float64] | None]:
        """One unit vector per picture; None without a face."""
        import torch
        inputs = {i: _facenet_view(one) for i, one in enumerate(seen) if one.face is not None}
        vectors: list[NDArray[np.float64] | None] = [None] * len(seen)
        if inputs:
            with torch.inference_mode():
                found = self._net(torch.stack(list(inputs.values())).to(self._device)).cpu().double().numpy()
            for row, i in enumerate(inputs):
                vectors[i] = found[row]
        return vectors


def _facenet_view(one: Seen) -> Tensor:
    from caphuman_core.flow import Faces
    from caphuman_core.identity.encode import look
    found = () if one.face is None else (one.face,)
    return look(one.picture[None], Faces((found,), one.picture.shape[2], one.picture.shape[1])).facenet[0]


def _facenet(models: Path | None) -> tuple[Any, str]:
    from caphuman_core.files.weights import fingerprint, read_state_dict
    from caphuman_core.identity.facenet import build_facenet
    folder = models / "facenet" if models else None
    for path in sorted(folder.rglob("*")) if folder and folder.is_dir() else ():
        if path.suffix not in (".pt", ".pth", ".safetensors"):
            continue
        try:
            state = read_state_dict(path, "identity encoder")
            return build_facenet(state, f"identity encoder file '{path.name}'"), f"FaceNet, {path.name}, {fingerprint(dict(state))}"
        except InputError:
            continue                     # MTCNN's networks lie in the same folder
    fail("judge facenet", "needs FaceNet's weights", "none in models/facenet", FACENET_SOURCE)


class ArcFaceJudge(_Cosine):
    """insightface's recognition network, on the face its own detector finds."""

    key = "arcface"

    def __init__(self, models: Path | None) -> None:
        from caphuman_core.face.detectors.insightface import InsightFace
        from caphuman_core.face.detectors.model_files import AUTO

        from .faces import _providers
        self._detector = InsightFace([models / "insightface"] if models else [], AUTO, _providers())
        self.version = f"ArcFace of {version_of(self._detector)}"

    def embed(self, seen: Sequence[Seen]) -> list[NDArray[np.float64] | None]:
        """One unit vector per picture; None where insightface sees no face."""
        vectors: list[NDArray[np.float64] | None] = []
        for one in seen:
            faces = self._detector.find(one.picture[None])[0]
            largest = max(faces, key=lambda face: float((face.box_xyxy[2:] - face.box_xyxy[:2]).prod()), default=None)
            vectors.append(None if largest is None or largest.arcface is None else largest.arcface.double().numpy())
        return vectors


class DlibJudge:
    """dlib's recognition network (CC0), on the face aligned by its own points."""

    key, version = "dlib", "dlib_face_recognition_resnet_model_v1"

    def __init__(self) -> None:
        self._dlib = dlib_package()
        self._net = self._dlib.face_recognition_model_v1(dlib_file("dlib_face_recognition_resnet_model_v1.dat"))
        self._points = DlibPoints()

    def embed(self, seen: Sequence[Seen]) -> list[NDArray[np.float64] | None]:
        """One vector [128] per picture; None without a face."""
        import numpy as np

        from caphuman_core.pixels import bytes_of
        chips = {i: self._chip(bytes_of(one.picture), one.face) for i, one in enumerate(seen) if one.face is not None}
        vectors: list[NDArray[np.float64] | None] = [None] * len(seen)
        if chips:
            for i, vector in zip(chips, self._net.compute_face_descriptor(list(chips.values())), strict=True):
                vectors[i] = np.asarray(vector, dtype=np.float64)
        return vectors

    def similarity(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        """1 - distance; dlib was trained so that distances below 0.6 mean the same person."""
        return 1.0 - float(((a - b) ** 2).sum() ** 0.5)

    def _chip(self, pixels: Any, face: Face) -> Any:
        return self._dlib.get_face_chip(pixels, self._points.shape(pixels, face), CHIP)


def find_judges(models: Path | None, device: str = "cpu") -> tuple[list[Judge], dict[str, str]]:
    """The judges that are complete, and for each other one what it lacks and how to get it (key -> sentence)."""
    judges: list[Judge] = []
    missing: dict[str, str] = {}
    for key, make in (("facenet", lambda: FaceNetJudge(models, device)), ("arcface", lambda: ArcFaceJudge(models)),
                      ("dlib", DlibJudge)):
        try:
            judges.append(make())
        except InputError as error:
            missing[key] = str(error)
    return judges, missing
