"""Is the head as it was asked for: codes of the asked head against codes fitted to the image.

The head that was asked of a person is the head fitted to the reference photo, with the condition on top: edited by widget values
where the graph does so, else with pose, expression and light of the condition's head. The same fitter looks at photo and image.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from caphuman_core.check import InputError, fail

from ..plan import HeadEntry
from .faces import DlibPoints, Seen

if TYPE_CHECKING:
    from torch import Tensor

    from caphuman_core.flow import Faces, Head
    from caphuman_core.head.model.head_model import HeadModel

DECA_SOURCE = ("put deca_model.tar, generic_model.pkl, FLAME_texture.npz, landmark_embedding.npy and head_template.obj of the DECA "
               "and FLAME projects into the models folder 'flame'")
AGREEING_DEGREES = 15.0                  # dlib's points, made for frontal faces, are believed if they see the head turned alike
FRAME = 512                              # pixels; codes do not depend on it


@dataclass(frozen=True)
class Fitted:
    """One head, and whether its fitter could tell expression and jaw (five points alone cannot)."""

    head: Head                           # a batch of one
    knows_expression: bool


class Fitter(Protocol):
    """version: what exactly it is, for the report."""

    version: str
    model: HeadModel

    def fit(self, seen: Sequence[Seen]) -> list[Fitted | None]:
        """One head per picture; None where there is no face or the fit failed."""
        ...


class LandmarkFitter:
    """The core's landmark fit with the light of the photo: for machines without DECA's weights."""

    def __init__(self, model: HeadModel | None = None) -> None:
        from caphuman_core.head.model.head_model import load_builtin
        from caphuman_core.head.model.reduced import landmark_model
        self.model = model or load_builtin()
        self._small = landmark_model(self.model)
        self._points = _dlib_points()
        more = "; where it has five points, expression and jaw by dlib's 68" if self._points else ""
        self.version = f"landmark fit (not DECA), head model {self.model.name}{more}"

    def fit(self, seen: Sequence[Seen]) -> list[Fitted | None]:
        """See Fitter."""
        return [self._fit_one(one) for one in seen]

    def _fit_one(self, one: Seen) -> Fitted | None:
        from caphuman_core.head.fit.landmark_fit import fit_face
        from caphuman_core.head.fit.photo_light import with_photo_light
        face = one.face
        if face is None or (face.points68 is None and face.points5 is None):
            return None
        told = face.points68 is not None or face.expression_scores is not None
        try:
            head = fit_face(face, self.model, self._small, one.picture.shape[2], one.picture.shape[1])
            if not told and self._points is not None:
                more = replace(face, points68=self._points.of(one.picture, face))
                near = fit_face(more, self.model, self._small, head.width, head.height)
                if told := angle_degrees(head, near) <= AGREEING_DEGREES:
                    head = head.replace(expression=near.expression, jaw_radians=near.jaw_radians)
            head = with_photo_light(one.picture[None], head, self.model)
        except RuntimeError:             # a singular system: torch's LinAlgError is one
            return None
        return Fitted(head, told)


def _dlib_points() -> DlibPoints | None:
    """68 points for detectors that give five, where dlib is there."""
    try:
        return DlibPoints()
    except InputError:
        return None


class DecaFitter:
    """DECA's encoder on FLAME, as the paper measures."""

    def __init__(self, models: Path | None, device: str = "cpu") -> None:
        self.model, self._net, mark = _deca(models)
        self._net.to(device)
        self._device = device
        self.version = f"DECA ({mark}), head model {self.model.name} ({self.model.fingerprint})"

    def fit(self, seen: Sequence[Seen]) -> list[Fitted | None]:
        """See Fitter."""
        return [None if one.face is None else Fitted(self._fit_one(one), True) for one in seen]

    def _fit_one(self, one: Seen) -> Head:
        import torch

        from caphuman_core.head.fit.from_photo import fit_photos_by_deca

        def encode(crops: Tensor) -> Tensor:
            with torch.inference_mode():
                codes = self._net(crops.to(self._device)).cpu()
            return codes.clone()
        return fit_photos_by_deca(one.picture[None], _faces_of(one), encode, self.model)


def _faces_of(one: Seen) -> Faces:
    from caphuman_core.flow import Faces
    found = () if one.face is None else (one.face,)
    return Faces((found,), one.picture.shape[2], one.picture.shape[1])


def _deca(models: Path | None) -> tuple[HeadModel, Any, str]:
    from caphuman_core.files.weights import fingerprint, read_state_dict
    from caphuman_core.head.fit.deca import build_encoder, is_encoder_key
    folder = models / "flame" if models else Path("flame")
    paths = sorted(path for path in folder.rglob("*") if path.is_file()) if models and folder.is_dir() else []
    model = next((found for path in paths if (found := _flame(path, folder))), None)
    for path in paths if model else ():
        if path.suffix in (".tar", ".pt", ".pth", ".safetensors"):
            try:
                state = read_state_dict(path, "head fitter", is_encoder_key)
                return model, build_encoder(state, f"head fitter file '{path.name}'"), fingerprint(dict(state))     # type: ignore[return-value]
            except InputError:
                continue                 # another kind of file of the same folder
    got = "an incomplete folder models/flame" if paths else "no files in models/flame"
    fail("fitter DECA", "needs DECA's encoder and FLAME", got, DECA_SOURCE)


def _flame(path: Path, folder: Path) -> HeadModel | None:
    """The FLAME model in a file; None for files of another kind."""
    from caphuman_core.head.fit.deca import CODES
    from caphuman_core.head.model.flame_files import find_flame_files, load_flame
    from caphuman_core.head.model.head_model import load_file
    try:
        if path.suffix == ".pkl":
            model = load_flame(find_flame_files(path, [folder]))
        elif path.suffix == ".safetensors":
            model = load_file(path)
        else:
            return None
    except InputError:
        return None
    return model if len(model.identity_basis) == CODES["identity"] and not model.expression_names else None


def find_fitter(models: Path | None, device: str = "cpu") -> tuple[Fitter, dict[str, str]]:
    """DECA where its files are there, else the landmark fit and the sentence that says what DECA lacks."""
    try:
        return DecaFitter(models, device), {}
    except InputError as error:
        return LandmarkFitter(), {"DECA": str(error)}


def asked_head(base: Fitted, condition: HeadEntry, model: HeadModel, edits: bool = True, of_photo: Fitted | None = None,
               folder: Path = Path()) -> Fitted | None:
    """The head a condition gives for a person whose fitted head is `base`.

    edits: the graph edits the person's own head by widget values; else it takes the condition's head, light included, and keeps
    only who it is. of_photo: the fitted head of the condition's photo (kind "photo"); None without a face in it: then nothing
    can be asked. folder: what the condition's file is relative to.
    """
    from caphuman_core.head.edit.widget_values import edited
    from caphuman_core.head.new import new_head
    from caphuman_core.head.storage import load_head
    if condition.kind == "values" and edits:
        told = base.knows_expression or condition.values.get("mode") == "set"
        return Fitted(edited(base.head, model, condition.values), told)
    if condition.kind == "values":
        return _with(base, Fitted(edited(new_head(model, FRAME, FRAME), model, condition.values), True))
    if condition.kind == "photo":
        return None if of_photo is None else _with(base, of_photo)
    head = load_head(folder / condition.file)
    return _with(base, Fitted(head, head.model_fingerprint == model.fingerprint))


def _with(base: Fitted, asked: Fitted) -> Fitted:
    """The person of `base` with the rest of `asked`; an expression code of another head model means nothing and is left out."""
    head = asked.head[0]
    changes = {name: getattr(head, name) for name in ("rotation_radians", "jaw_radians", "light")}
    if asked.knows_expression:
        changes["expression"] = head.expression
    return Fitted(base.head.replace(**changes), asked.knows_expression)


def errors(asked: Fitted, obtained: Fitted) -> dict[str, float | None]:
    """Values by metric (metrics.py); None for what one of the two fits cannot tell."""
    import torch

    a, b = asked.head, obtained.head
    told = asked.knows_expression and obtained.knows_expression
    jaws = a.jaw_radians, b.jaw_radians
    poses = [torch.cat([turn, jaw], 1) for turn, jaw in zip(_nearest(a.rotation_radians, b.rotation_radians), jaws, strict=True)]
    return {
        "shape_rmse": _rmse(a.identity, b.identity),
        "pose_rmse": _rmse(*poses) if told else None,
        "expression_rmse": _rmse(a.expression, b.expression) if told else None,
        "light_rmse": _rmse(a.light, b.light),
        "head_angle": angle_degrees(a, b),
    }


def _nearest(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two rotations as the axis-angles [1, 3] that are nearest each other: 179 and -179 degrees about an axis are 2 apart.

    A rotation by an angle is also one by 360 degrees less. Below 90 degrees the codes stay as they are.
    """
    choices = [(a, b), (a, _other_way(b)), (_other_way(a), b)]
    return min(choices, key=lambda pair: float((pair[0] - pair[1]).norm()))


def _other_way(turn: Tensor) -> Tensor:
    angle = turn.norm().clamp(min=1e-9)
    return turn * (1 - 2 * math.pi / angle)


def angle_degrees(a: Head, b: Head) -> float:
    """Angle between the rotations of two heads, 0..180."""
    import torch

    from caphuman_core.head.rotations import matrix_from_axis_angle
    turns = [matrix_from_axis_angle(head.rotation_radians.double())[0] for head in (a, b)]
    # |R - S| = 2 sqrt(2) sin(angle / 2): unlike the arc cosine of the trace it is exact for small angles.
    return float(torch.rad2deg(2 * torch.asin(((turns[0] - turns[1]).norm() / 8 ** 0.5).clamp(max=1))))


def _rmse(a: Tensor, b: Tensor) -> float | None:
    return float((a.double() - b.double()).square().mean().sqrt()) if a.shape == b.shape and a.numel() else None
