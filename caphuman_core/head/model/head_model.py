"""The head model: a FLAME-style linear blend-skinned head, as one object and one .safetensors file.

Layout of the file (format "caphuman-head/1"); J joints are root, neck, jaw, left eye, right eye:

    template          [V, 3]   metres; x to the person's left, y up, z towards the viewer
    faces             [F, 3]   vertex indices
    uvs               [N, 2]   texture coordinates, v up (OBJ)
    uv_faces          [F, 3]   indices into uvs
    identity_basis    [I, V, 3]  metres per unit of code
    expression_basis  [E, V, 3]  metres per unit of code
    pose_basis        [(J-1)*9, V, 3]  per entry of (rotation - identity) of joints 1..J-1; absent: no correctives
    joint_regressor   [J, V]
    parents           [J]      -1 for the root
    skinning          [V, J]   rows sum to 1
    landmark_faces    [51], landmark_weights [51, 3]       the 51 inner landmarks on the surface
    contour_faces     [79, 17], contour_weights [79, 17, 3]  the jaw contour by yaw (see `landmarks.py`)
    full_faces        [68], full_weights [68, 3]           68 fixed landmarks, contour included
    texture_mean      [3, H, W]     0..1, red first, row 0 at v = 1
    texture_basis     [T, 3, H, W]  0..1 per unit of code

Metadata: format, name, fingerprint (of the original tensors), expression_names and identity_names (JSON lists, may be
empty), licence.
Floating point tensors may be stored in half precision; they are float32 in memory.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...check import fail
from ...files.telltale import HEAD_MODEL_FORMAT
from ...files.weights import fingerprint
from ..options import BUILT_IN

if TYPE_CHECKING:
    from torch import Tensor

_FLOATS = ("template", "uvs", "identity_basis", "expression_basis", "pose_basis", "joint_regressor", "skinning",
           "landmark_weights", "contour_weights", "full_weights", "texture_mean", "texture_basis")
_INDICES = ("faces", "uv_faces", "parents", "landmark_faces", "contour_faces", "full_faces")


@dataclass(frozen=True)
class HeadModel:
    """A head model in memory, on the CPU: float32 and int64 tensors with the shapes of the module docstring."""

    name: str
    fingerprint: str
    template: Tensor
    faces: Tensor
    uvs: Tensor
    uv_faces: Tensor
    identity_basis: Tensor
    expression_basis: Tensor
    pose_basis: Tensor
    joint_regressor: Tensor
    parents: Tensor
    skinning: Tensor
    landmark_faces: Tensor
    landmark_weights: Tensor
    contour_faces: Tensor
    contour_weights: Tensor
    full_faces: Tensor
    full_weights: Tensor
    texture_mean: Tensor
    texture_basis: Tensor
    expression_names: tuple[str, ...] = ()
    identity_names: tuple[str, ...] = ()


def from_tensors(tensors: dict[str, Tensor], name: str, expression_names: tuple[str, ...] = (),
                 identity_names: tuple[str, ...] = (), mark: str | None = None) -> HeadModel:
    """Build a model from the tensors of the file layout; refuses tensors that do not fit together.

    mark: the model's fingerprint, where a file carries it; else it is computed from all tensors.
    """
    import torch
    tensors = dict(tensors)
    if "pose_basis" not in tensors and "template" in tensors and "parents" in tensors:
        tensors["pose_basis"] = torch.zeros((len(tensors["parents"]) - 1) * 9, *tensors["template"].shape)
    missing = sorted({*_FLOATS, *_INDICES} - tensors.keys())
    if missing:
        fail(f"head model '{name}'", "must hold every tensor of its format", f"no {', '.join(missing)}",
             "convert it again with python -m caphuman_core.convert")
    mark = mark or fingerprint(tensors)
    cast = {key: tensors[key].float() for key in _FLOATS} | {key: tensors[key].long() for key in _INDICES}
    _check(cast, name)
    return HeadModel(name=name, fingerprint=mark, expression_names=expression_names,
                     identity_names=identity_names, **cast)


def _check(t: dict[str, Tensor], name: str) -> None:
    """Refuse index and shape mismatches that would draw a wrong picture without an error."""
    verts, joints, triangles = t["template"].shape[0], t["parents"].shape[0], t["faces"].shape[0]
    rules = {
        "identity_basis": t["identity_basis"].shape[1:] == (verts, 3),
        "expression_basis": t["expression_basis"].shape[1:] == (verts, 3),
        "pose_basis": t["pose_basis"].shape == ((joints - 1) * 9, verts, 3),
        "joint_regressor": t["joint_regressor"].shape == (joints, verts),
        "skinning": t["skinning"].shape == (verts, joints),
        "parents": joints == 5 and bool((t["parents"][1:] < t["parents"].new_tensor(range(1, joints))).all()),
        "uv_faces": t["uv_faces"].shape == t["faces"].shape and _within(t["uv_faces"], t["uvs"].shape[0]),
        "faces": _within(t["faces"], verts),
        **{key: _within(t[key], triangles) for key in ("landmark_faces", "contour_faces", "full_faces")},
    }
    wrong = [key for key, good in rules.items() if not good]
    wrong += [key for key in _FLOATS if not bool(t[key].sum().isfinite())]     # one pass, no copy: NaN and infinity spread
    if wrong:
        fail(f"head model '{name}'", "must consist of tensors that fit together", f"a mismatch in {', '.join(wrong)}",
             "use files of one and the same model")


def _within(index: Tensor, count: int) -> bool:
    return index.numel() == 0 or (int(index.min()) >= 0 and int(index.max()) < count)


def load_file(path: str | Path, name: str | None = None) -> HeadModel:
    """Read a head model from one .safetensors file of the layout above."""
    from safetensors import safe_open

    from ...files.weights import read_state_dict
    path = Path(path)
    tensors = read_state_dict(path, "head model")
    with safe_open(str(path), framework="pt") as file:
        info = file.metadata() or {}
    if info.get("format") != HEAD_MODEL_FORMAT:
        fail(f"head model file '{path.name}'", f"must be of format {HEAD_MODEL_FORMAT}", info.get("format", "another kind of file"),
             "convert the original files with python -m caphuman_core.convert")
    return from_tensors(tensors, name or info.get("name", path.stem), tuple(json.loads(info.get("expression_names", "[]"))),
                        tuple(json.loads(info.get("identity_names", "[]"))), info.get("fingerprint"))


def load_builtin() -> HeadModel:
    """The head that ships with the pack: CC0, made from MakeHuman by tools/make_head."""
    return load_file(Path(__file__).with_name("builtin_head.safetensors"), BUILT_IN)
