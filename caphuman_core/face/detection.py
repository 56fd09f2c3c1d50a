"""Finding faces in a batch of photos, whatever the back end: order, choice, second looks, and what to do without a face."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..check import fail
from ..flow import Face, Faces
from ..pixels import eight_bit
from .options import FACE_ORDERS
from .search import ORDINARY, Search
from .turned import TURNED, VIEWS, View, quarter_turns_to_upright

SURER_BY = 10.0                          # how much smaller a turned view's doubt must be to win
SURE = 0.999
PHOTOS_AT_ONCE, PIXELS_AT_ONCE = 8, 1 << 24     # photos, and their pixels together, shown to a detector at once


class Detector(Protocol):
    """A back end. The name appears in messages."""

    name: str
    doubtful_below: float                # a surest face less sure than this may be a turned one, misread
    convincing: float                    # confidence from which a face in a turned or padded photo is believed

    def find(self, photos: Tensor, search: Search = ORDINARY) -> Sequence[tuple[Face, ...]]:
        """Faces of each of the photos [B, 3, H, W], red first, of 8 bits or of 0..1; tensors of the faces on the CPU."""
        ...


def detect(
    detector: Detector,
    photos: Tensor,                      # [B, 3, H, W] 0..1, red first
    min_confidence: float = 0.5,
    max_faces: int = 0,                  # 0: all
    order: str = "largest",              # one of FACE_ORDERS
    if_none: str = "error",              # one of IF_NO_FACE
    step: Callable[[int], object] | None = None,
    search: Search = ORDINARY,
) -> Faces:
    """The faces of each photo, in the asked order; photos keep their places.

    A photo in which nothing is found is looked at again with a border and turned by quarter turns; points are mapped back.
    step(i) is called after i photos, for progress. Raises InputError for if_none="error" and a photo without a face.
    """
    height, width = photos.shape[2:]
    found: list[tuple[Face, ...]] = []
    for part in photos.split(max(1, min(PHOTOS_AT_ONCE, PIXELS_AT_ONCE // (height * width)))):
        found += [_confident(faces, min_confidence) for faces in detector.find(eight_bit(part), search)]
        if step is not None:
            step(len(found))
    _look_again(_Eyes(detector, search), photos, found, min_confidence)
    missing = [number for number, faces in enumerate(found, start=1) if not faces]
    if missing and if_none == "error":
        _no_face(missing, detector.name, min_confidence)
    whole = (Face(torch.tensor([0.0, 0.0, width, height]), 0.0),)
    ordered = [tuple(sorted(faces, key=_sort_key(order, width, height))) for faces in found]
    return first(Faces(tuple(faces or (whole if if_none == "whole image" else ()) for faces in ordered), width, height), max_faces)


def first(faces: Faces, most: int) -> Faces:
    """The first so many faces of each photo; all for 0."""
    return replace(faces, per_image=tuple(found[:most or None] for found in faces.per_image))


def _confident(faces: Sequence[Face], least: float) -> tuple[Face, ...]:
    return tuple(face for face in faces if face.confidence >= least)


def _no_face(missing: list[int], backend: str, min_confidence: float) -> None:
    photos = f"photo {missing[0]}" if len(missing) == 1 else f"photos {', '.join(map(str, missing[:8]))}"
    fail(photos, "must show a face", f"none that {backend} finds at min_confidence {min_confidence:g}, upright, turned or padded",
         "use a photo with a visible face, lower min_confidence, or set if_none to skip or whole image")


@dataclass(frozen=True)
class _Eyes:
    """A detector and what is asked of it."""

    detector: Detector
    search: Search

    def on(self, view: View, photo: Tensor) -> Sequence[tuple[Face, ...]]:
        return self.detector.find(view.of(photo)[None], self.search)


def _look_again(eyes: _Eyes, photos: Tensor, found: list[tuple[Face, ...]], min_confidence: float) -> None:
    """Fill the empty places of `found` from other views of those photos, where a view shows a face.

    Of a photo with doubtful faces only (a face lying on its side can pass for a badly drawn upright one) the turned views
    are looked at too; they win if they are surer by far. A face that was found lying is looked at upright.
    """
    detector = eyes.detector
    least = max(min_confidence, detector.convincing)
    for number, given in enumerate(photos):
        surest = _surest(found[number])
        lying = {turns for face in found[number] if (turns := quarter_turns_to_upright(face))}
        if found[number] and surest >= detector.doubtful_below and len(lying) != 1:
            continue
        photo = eight_bit(given)
        if found[number] and surest < detector.doubtful_below:
            much_surer = 1 - (1 - surest) / SURER_BY
            found[number] = _best_view(eyes, photo, TURNED, max(least, much_surer)) or found[number]
            lying = {turns for face in found[number] if (turns := quarter_turns_to_upright(face))}
        if len(lying) == 1:
            found[number] = _best_view(eyes, photo, [View(*lying, padded=False)], least) or found[number]
        found[number] = found[number] or _best_view(eyes, photo, VIEWS, least)


def _best_view(eyes: _Eyes, photo: Tensor, views: Sequence[View], least: float) -> tuple[Face, ...]:
    """The faces of the view that shows the surest one, in the photo's own pixels; looks no further than a sure one."""
    best: tuple[Face, ...] = ()
    for view in views:
        if _surest(best) >= SURE:
            break
        faces = _confident([face for face in eyes.on(view, photo)[0] if _upright(face)], least)
        if _surest(faces) > _surest(best):
            best = tuple(view.back(face, *photo.shape[1:]) for face in faces)
    return best


def _surest(faces: Sequence[Face]) -> float:
    return max((face.confidence for face in faces), default=0.0)


def _upright(face: Face) -> bool:
    """Whether the mouth lies well below the eyes: a face found sideways by mistake does not."""
    if face.points5 is None:
        return True
    drop = face.points5[3:, 1].mean() - face.points5[:2, 1].mean()
    return bool(drop > 0.2 * (face.box_xyxy[3] - face.box_xyxy[1]))


def _sort_key(order: str, width: int, height: int) -> Callable[[Face], float]:
    def key(face: Face) -> float:
        left, top, right, bottom = face.box_xyxy.tolist()
        x, y = (left + right) / 2, (top + bottom) / 2
        return {"largest": -(right - left) * (bottom - top), "left to right": x, "top to bottom": y,
                "most central": (x - width / 2) ** 2 + (y - height / 2) ** 2, "confidence": -face.confidence}[order]
    if order not in FACE_ORDERS:
        fail("order", f"must be one of {', '.join(FACE_ORDERS)}", repr(order), "choose one of them")
    return key


def select(faces: Faces, index: int) -> Faces:
    """One face per photo: the one with that number, counted from 0. A photo without faces stays empty.
    Raises InputError when a photo has too few."""
    chosen = []
    for number, found in enumerate(faces.per_image, start=1):
        if found and not 0 <= index < len(found):
            fail("index", f"must be 0 to {len(found) - 1}, the number of a face in photo {number}", index,
                 "look at the numbers in the preview of CapHuman Detect Faces")
        chosen.append((found[index],) if found else ())
    return Faces(tuple(chosen), faces.width, faces.height)
