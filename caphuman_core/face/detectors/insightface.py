"""The insightface back end: boxes, 5 points, 68 or 106 points and an ArcFace embedding, as far as the pack has them."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...check import fail
from ...flow import Face
from ...pixels import bytes_of
from ..landmarks import points68_of_106
from ..search import ORDINARY, Search
from .model_files import AUTO, find_packs

INSTALL = "run `pip install insightface onnxruntime` in ComfyUI's Python, or choose another backend"
PACK = "unpack buffalo_l.zip or antelopev2.zip of the insightface project into models/<pack> in the models folder 'insightface'"
DETECTION_SIDE = 640                     # pixels; photos are fitted into a square of this side, as the packs expect
PREFERRED = ("buffalo_l", "antelopev2")


@dataclass
class _Seen:
    """What insightface's models read of a face, and where they write their results."""

    bbox: Any                            # [4]
    kps: Any                             # [5, 2]
    det_score: float
    landmark_2d_106: Any = None
    landmark_3d_68: Any = None
    pose: Any = None
    embedding: Any = None

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value)


class InsightFace:
    """An insightface pack: one detector and whatever else it holds for landmarks and recognition."""

    name, doubtful_below, convincing = "insightface", 0.5, 0.6   # its detectors are seldom surer than 0.9

    def __init__(self, folders: Sequence[Path], model_name: str, providers: Sequence[str]) -> None:
        get_model, usable = _packages(providers)
        pack = _pack(folders, model_name)
        self.files = tuple(sorted(pack.glob("*.onnx")))              # what it was made from
        models = [_open(get_model, path, usable) for path in self.files]
        self._models = {model.taskname: model for model in models if model is not None}
        if "detection" not in self._models:
            fail(f"insightface pack '{pack.name}'", "must hold a detection model (det_*.onnx)",
                 ", ".join(sorted(self._models)) or "none", PACK)
        # A negative context means the CPU; the providers were chosen when the files were opened.
        self._models["detection"].prepare(0 if usable[0] != "CPUExecutionProvider" else -1,
                                          input_size=(DETECTION_SIDE, DETECTION_SIDE))

    def find(self, photos: Tensor, search: Search = ORDINARY) -> list[tuple[Face, ...]]:
        """Faces in photos [B, 3, H, W], red first, of 0..1 or 8 bits; its detectors have one size of their own."""
        found = []
        for photo in photos:
            search.heed()
            found.append(self._find_in(photo))
        return found

    def _find_in(self, photo: Tensor) -> tuple[Face, ...]:
        pixels = bytes_of(photo.flip(0))                             # insightface takes blue first
        boxes, points = self._models["detection"].detect(pixels)
        return tuple(self._read(pixels, box, None if points is None else points[number]) for number, box in enumerate(boxes))

    def _read(self, pixels: Any, box: Any, points: Any) -> Face:
        seen = _Seen(box[:4], points, float(box[4]))
        for task in ("landmark_2d_106", "landmark_3d_68", "recognition"):
            if task in self._models:
                self._models[task].get(pixels, seen)
        points106, points68 = _points(seen.landmark_2d_106), _points(seen.landmark_3d_68)
        if points68 is None and points106 is not None:
            points68 = points68_of_106(points106)
        arcface = None if seen.embedding is None else torch.nn.functional.normalize(torch.tensor(seen.embedding).float(), dim=0)
        return Face(torch.tensor(box[:4]).float(), seen.det_score, _points(points), points68, points106, arcface=arcface)


def _points(values: Any) -> Tensor | None:
    return None if values is None else torch.tensor(values[:, :2]).float()


def _packages(providers: Sequence[str]) -> tuple[Any, list[str]]:
    """insightface's file opener, and those of the wanted onnxruntime providers that are installed."""
    try:
        onnxruntime, zoo = import_module("onnxruntime"), import_module("insightface.model_zoo")
    except ImportError as error:
        fail("backend insightface", "needs the Python packages insightface and onnxruntime", str(error), INSTALL)
    available = onnxruntime.get_available_providers()
    return zoo.get_model, [name for name in providers if name in available] or ["CPUExecutionProvider"]


def _pack(folders: Sequence[Path], model_name: str) -> Path:
    packs = find_packs(folders)
    known = [name for name in PREFERRED if name in packs] or sorted(packs)
    name = (known[0] if known else AUTO) if model_name == AUTO else model_name
    if name not in packs:
        fail("backend insightface", "needs a model pack", repr(model_name) if packs else "none", PACK)
    return packs[name]


def _open(get_model: Any, path: Path, providers: list[str]) -> Any:
    """One model of the pack; None for a file of a kind that insightface does not know."""
    try:
        return get_model(str(path), providers=providers)
    except Exception as error:           # onnxruntime raises many types of its own for broken files
        fail(f"insightface file '{path.name}'", "must be a complete .onnx model",
             f"{path.stat().st_size} bytes that could not be read ({str(error).splitlines()[0][:100]})", "download the pack again")
