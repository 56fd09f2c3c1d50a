"""What `prepare` finds out about photos, known of drawn ones: where the face is, which head it is, what of the picture is face.

A picture is recognised by its pixels, so that `prepare` runs as it does on photos; only nothing in it is guessed.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from caphuman_bench.score.control import Fitted
from caphuman_core.check import InputError, fail
from caphuman_core.face.detection import detect
from caphuman_core.flow import Face, Head
from caphuman_core.head import camera
from caphuman_core.identity.crops import face_crop, facenet_input
from caphuman_core.identity.encode import Encoders
from caphuman_core.pixels import image_of
from caphuman_core.render.maps import pose

from ..prepare.tools import Tools
from .album import mark_of, marks_of
from .eyes import Tokens, facenet_of
from .latents import Latents
from .scene import face_seen, scene_of

if TYPE_CHECKING:
    from caphuman_bench.score.faces import Seen
    from caphuman_core.face.detection import Detector
    from caphuman_core.head.model.head_model import HeadModel

    from .work import Work

CROWN = 0.3                              # of the landmarks' height: how far detectors' boxes reach above the brows


@dataclass(frozen=True)
class Known:
    """Whatever is known of the pictures of one miniature."""

    work: Work
    latents: Latents

    @cached_property
    def marks(self) -> dict[str, tuple[int, int]]:
        """Person and number by the picture's mark."""
        return marks_of(self.work.folder, self.work.recipe.pictures)

    def of(self, picture: Tensor) -> tuple[int, int]:
        """Person and number of a picture [3, H, W] 0..1."""
        found = self.marks.get(mark_of(picture))
        if found is None:
            fail("a picture", "must be one that was drawn", "other pixels", "delete the stage's folder and draw again")
        return found

    def head_of(self, picture: Tensor) -> Head:
        """The head that was drawn."""
        recipe = self.work.recipe.pictures
        return scene_of(self.work.model, recipe.seed, recipe.side, *self.of(picture), recipe.even_light).head

    def face_of(self, picture: Tensor) -> Tensor:
        """[H, W] bool: where the face itself is, under a fringe too: whose hair hangs how is no matter of the hint, and a mask that
        is taught it learns the pictures by heart (error 0.001 on learnt ones, 0.014 on others)."""
        return face_seen(self.head_of(picture), self.work.model)

    def latents_of(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of pictures [B, 3, H, W], straight or mirrored."""
        places = [self._place(picture) for picture in pictures]
        return tuple(torch.stack([values[index, side] for index, side in places])       # type: ignore[return-value]
                     for values in (self.latents.mean, self.latents.std))

    def _place(self, picture: Tensor) -> tuple[int, int]:
        side = 0 if mark_of(picture) in self.marks else 1
        person, number = self.of(picture.flip(-1) if side else picture)
        return person * self.work.recipe.pictures.each + number, side


class KnownFaces:
    """A face detector that was told; see `caphuman_core.face.detection.Detector`.

    eye: who else looks. FaceNet's view is cut out by the box of who found the face, and boxes differ: where the eye finds a face
    its box is taken, so that FaceNet sees in training what it will see in a graph with that detector.
    """

    name, doubtful_below, convincing = "drawn", 0.0, 0.0

    def __init__(self, known: Known, eye: Detector | None = None) -> None:
        self._known, self._eye = known, eye

    def find(self, photos: Tensor, search: Any = None) -> list[tuple[Face, ...]]:
        """The one face of each picture; none in one that was not drawn (`detect` also looks at a picture turned by 90 degrees
        whose face may be lying, as one that is turned far and tilted seems to be)."""
        return [(self._face(photo),) if mark_of(photo) in self._known.marks else () for photo in photos]

    def _face(self, photo: Tensor) -> Face:
        face = face_of_head(self._known.head_of(photo), self._known.work.model)
        seen = () if self._eye is None else detect(self._eye, photo[None], max_faces=1, if_none="skip").per_image[0]
        return replace(face, box_xyxy=seen[0].box_xyxy) if seen and _holds(seen[0], face) else face


def _holds(box: Face, face: Face) -> bool:
    """Whether the middle of a face's inner points lies in another's box."""
    low, high = box.box_xyxy.view(2, 2)
    middle = face.points68[17:].mean(0) if face.points68 is not None else (low + high) / 2
    return bool(((middle > low) & (middle < high)).all())


def find_eye() -> Detector | None:
    """The detector of the demo's graph, where its weights are."""
    from caphuman_bench.score.faces import choose_detector
    try:
        return choose_detector("mtcnn", None)
    except InputError:
        return None


def points_of(head: Head, model: HeadModel) -> Tensor:
    """[68, 2] landmarks of a head in its own frame, pixels."""
    return camera.to_picture(head, pose(head, model).landmarks2d)[0, :, :2]


def face_of_head(head: Head, model: HeadModel) -> Face:
    """Landmarks and box of a head, in its own frame."""
    points = points_of(head, model)
    low, high = points.amin(0), points.amax(0)
    low = torch.stack([low[0], low[1] - CROWN * (high[1] - low[1])])
    five = torch.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
    return Face(torch.cat([low, high]), 1.0, points5=five, points68=points)


class KnownHeads:
    """A fitter that was told; see `caphuman_bench.score.control.Fitter`."""

    version = "drawn heads"

    def __init__(self, known: Known) -> None:
        self._known, self.model = known, known.work.model

    def fit(self, seen: Sequence[Seen]) -> list[Fitted | None]:
        """The head of each picture, expression and light included."""
        return [Fitted(self._known.head_of(one.picture), True) for one in seen]


def facenet_crops(known: Known, pictures: Tensor, eye: Detector | None = None) -> Tensor:
    """What FaceNet sees of pictures [N, 3, H, W] 0..1, cut out as `KnownFaces` says: [N, 3, 160, 160]."""
    rows = []
    for picture, (face,) in zip(pictures, KnownFaces(known, eye).find(pictures), strict=True):
        rows.append(facenet_input(face_crop(image_of(picture), face), face))
    return torch.stack(rows)


def known_tools(known: Known, seed: int, measures: Mapping[str, Tensor]) -> Tools:
    """`prepare`'s networks: nothing guessed, and the identity networks of `eyes`."""
    fitter, eye = KnownHeads(known), find_eye()
    seen_by = KnownFaces.name if eye is None else f"{KnownFaces.name}, boxes by {eye.name}"
    versions = {"detector": seen_by, "fitter": fitter.version, "head_model": fitter.model.name,
                "head_model_fingerprint": fitter.model.fingerprint, "vae": "miniature", "clip": f"miniature {seed}",
                "facenet": f"miniature {seed}", "parser": "drawn faces"}
    encoders = Encoders(torch.no_grad()(facenet_of(seed, measures)), Tokens(seed), versions["facenet"], versions["clip"])
    return Tools(KnownFaces(known, eye), fitter, encoders, known.latents_of, known.face_of, versions)
