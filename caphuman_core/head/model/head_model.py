"""The head model: a FLAME-style linear blend-skinned head, as one object and one .safetensors file.

Layout of the file (format "caphuman-head/1" or "caphuman-head/2"); J joints are root, neck, jaw, left eye, right eye:

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
    gloss             [V]      0 dull .. 1 wet, for highlights in previews (may be absent: dull)

In format 2 two tensors may be packed; a reader of format 1 alone would take them for whole, so the number tells them apart:

    pose_rows         [K]      pose_basis holds only K of its directions, these; the others are zero
    texture_scale     [T]      what each direction of an int8 texture_basis is multiplied with

What a reader may leave out without a wrong result, like gloss, needs no new number.

Metadata: format, name, fingerprint (of the original tensors), replaces (JSON list: fingerprints of earlier versions of this
head, whose codes mean the same on it), expression_names, identity_names and texture_names (JSON lists, may be empty or shorter
than the basis), licence.
Floating point tensors may be stored in half precision; they are float32 in memory.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...check import fail
from ...files.telltale import HEAD_MODEL_FAMILY, HEAD_MODEL_PACKED, HEAD_MODEL_WHOLE
from ...files.weights import fingerprint, read_metadata, read_state_dict
from ..options import BUILT_IN

if TYPE_CHECKING:
    from torch import Tensor, dtype

BUILT_IN_FILE = Path(__file__).with_name("builtin_head.safetensors")
JOINTS = 5                               # root, neck, jaw, left eye, right eye
NAMES = ("expression_names", "identity_names", "texture_names")
_FLOATS = ("template", "uvs", "identity_basis", "expression_basis", "pose_basis", "joint_regressor", "skinning",
           "landmark_weights", "contour_weights", "full_weights", "texture_mean", "texture_basis", "gloss")
PACKED = frozenset(("pose_rows", "texture_scale"))
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
    gloss: Tensor
    expression_names: tuple[str, ...] = ()
    identity_names: tuple[str, ...] = ()
    texture_names: tuple[str, ...] = ()


def from_tensors(tensors: dict[str, Tensor], name: str, expression_names: tuple[str, ...] = (),
                 identity_names: tuple[str, ...] = (), mark: str | None = None, texture_names: tuple[str, ...] = ()) -> HeadModel:
    """Build a model from the tensors of the file layout; refuses tensors that do not fit together.

    mark: the model's fingerprint, where a file carries it; else it is computed from all tensors.
    """
    import torch
    tensors = dict(tensors)
    strange = sorted(key for key, value in tensors.items() if value.dtype not in _plain_types())
    if strange:
        fail(f"head model '{name}'", "must hold plain numbers", f"{tensors[strange[0]].dtype} in {strange[0]}",
             "convert it again with python -m caphuman_core.convert")
    if "pose_basis" not in tensors and "template" in tensors:
        tensors["pose_basis"] = torch.zeros((JOINTS - 1) * 9, *tensors["template"].shape)
    missing = sorted({*_FLOATS, *_INDICES} - {"gloss"} - tensors.keys())
    if missing:
        fail(f"head model '{name}'", "must hold every tensor of its format", f"no {', '.join(missing)}",
             "convert it again with python -m caphuman_core.convert")
    mark = mark or fingerprint(tensors)
    tensors.setdefault("gloss", torch.zeros(tensors["template"].shape[:1]))
    _unpack_texture(tensors, name)
    _unpack_pose(tensors, name)
    cast = {key: tensors[key].float() for key in _FLOATS} | {key: tensors[key].long() for key in _INDICES}
    _check(cast, name)
    return HeadModel(name=name, fingerprint=mark, expression_names=expression_names,
                     identity_names=identity_names, texture_names=texture_names, **cast)


def _unpack_texture(tensors: dict[str, Tensor], name: str) -> None:
    """Texture directions that are stored as whole numbers get their scale, in place."""
    scale, basis = tensors.pop("texture_scale", None), tensors["texture_basis"]
    if scale is None:
        return
    if basis.dim() != 4 or scale.shape != basis.shape[:1]:
        fail(f"head model '{name}'", "must have one texture_scale for each direction of its texture_basis",
             f"{list(scale.shape)} and {list(basis.shape)}", "use the file as it was published")
    tensors["texture_basis"] = basis.float() * scale.float()[:, None, None, None]


def _unpack_pose(tensors: dict[str, Tensor], name: str) -> None:
    """Pose directions of which only some are stored get the others, in place."""
    rows, basis = tensors.pop("pose_rows", None), tensors["pose_basis"]
    if rows is None:
        return
    count = (JOINTS - 1) * 9
    if basis.dim() != 3 or rows.shape != basis.shape[:1] or not _within(rows, count):
        fail(f"head model '{name}'", f"must have one pose_rows entry below {count} for each direction of its pose_basis",
             f"{list(rows.shape)} and {list(basis.shape)}", "use the file as it was published")
    whole = basis.new_zeros(count, *basis.shape[1:])
    whole[rows.long()] = basis
    tensors["pose_basis"] = whole


def _plain_types() -> set[dtype]:
    """Types that become float32 and int64 without a change of meaning."""
    import torch
    return {torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8,
            torch.uint8}


def _check(t: dict[str, Tensor], name: str) -> None:
    """Refuse index and shape mismatches that would draw a wrong picture without an error."""
    verts, triangles, uvs = (t[key].shape[0] if t[key].dim() else 0 for key in ("template", "faces", "uvs"))
    shapes = {
        "template": (verts, 3), "faces": (triangles, 3), "uvs": (uvs, 2),
        "uv_faces": (triangles, 3), "joint_regressor": (JOINTS, verts), "parents": (JOINTS,), "skinning": (verts, JOINTS),
        "pose_basis": ((JOINTS - 1) * 9, verts, 3), "landmark_faces": (51,), "landmark_weights": (51, 3),
        "contour_faces": (79, 17), "contour_weights": (79, 17, 3), "full_faces": (68,), "full_weights": (68, 3),
        "identity_basis": (None, verts, 3), "expression_basis": (None, verts, 3), "texture_mean": (3, None, None),
        "texture_basis": (None, *t["texture_mean"].shape), "gloss": (verts,),
    }
    wrong = {key for key, shape in shapes.items() if not _fits(tuple(t[key].shape), shape)}
    counts = {"faces": verts, "uv_faces": uvs, "landmark_faces": triangles, "contour_faces": triangles, "full_faces": triangles}
    wrong |= {key for key, count in counts.items() if not _within(t[key], count)}
    if "parents" not in wrong and bool((t["parents"][1:] >= t["parents"].new_tensor(range(1, JOINTS))).any()):
        wrong.add("parents")
    wrong |= {key for key in _FLOATS if not bool(t[key].sum().isfinite())}     # one pass, no copy: NaN and infinity spread
    if wrong or not verts:
        fail(f"head model '{name}'", "must consist of tensors that fit together", f"a mismatch in {', '.join(sorted(wrong))}",
             "use files of one and the same model")


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    """Whether a shape is as wanted; None is any number but 0."""
    return len(shape) == len(wanted) and all(side > 0 if want is None else side == want
                                             for side, want in zip(shape, wanted, strict=True))


def _within(index: Tensor, count: int) -> bool:
    return index.numel() == 0 or (int(index.min()) >= 0 and int(index.max()) < count)


def load_file(path: str | Path, name: str | None = None) -> HeadModel:
    """Read a head model from one .safetensors file of the layout above."""
    path = Path(path)
    info = read_metadata(path, "head model")
    kind = info.get("format", "another kind of file")
    if kind not in (HEAD_MODEL_WHOLE, HEAD_MODEL_PACKED):
        fail(f"head model file '{path.name}'", f"must be of format {HEAD_MODEL_WHOLE} or {HEAD_MODEL_PACKED}", kind,
             "update ComfyUI-CapHuman" if kind.startswith(HEAD_MODEL_FAMILY) else
             "convert the original files with python -m caphuman_core.convert")
    tensors = read_state_dict(path, "head model")
    strange = sorted(tensors.keys() - {*_FLOATS, *_INDICES, *(PACKED if kind == HEAD_MODEL_PACKED else ())})
    if strange:
        fail(f"head model file '{path.name}'", f"must hold the tensors of format {kind}", f"{', '.join(strange)[:80]} too",
             "use the file as it was published")
    expression_names, identity_names, texture_names = (_names(info.get(key, "[]"), path, key) for key in NAMES)
    return from_tensors(tensors, name or info.get("name", path.stem), expression_names, identity_names, info.get("fingerprint"),
                        texture_names)


def _names(text: str, path: Path, key: str) -> tuple[str, ...]:
    """A JSON list of texts."""
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        fail(f"head model file '{path.name}'", f"must hold {key} as a list of names", repr(text[:60]),
             "convert the original files again with python -m caphuman_core.convert")
    return tuple(names)


def load_builtin() -> HeadModel:
    """The head that ships with the pack: CC0, made from MakeHuman by tools/make_head."""
    return load_file(BUILT_IN_FILE, BUILT_IN)


@lru_cache(maxsize=1)
def _builtin_info() -> tuple[str, frozenset[str], int]:
    """Fingerprint of the built-in head, those of its earlier versions, and how many texture directions it has."""
    info = read_metadata(BUILT_IN_FILE, "head model")
    return info["fingerprint"], frozenset(json.loads(info["replaces"])), len(json.loads(info["texture_names"]))


def up_to_date(mark: str, texture: Tensor) -> tuple[str, Tensor]:
    """Fingerprint and texture code [B, T] of a head that an earlier built-in model drew, as the present one has them.

    Its codes have kept their order and meaning; directions that came later are 0. Heads of other models stay as they are.
    """
    now, earlier, count = _builtin_info()
    if mark not in earlier:
        return mark, texture
    padded = texture.new_zeros(len(texture), max(count, texture.shape[1]))
    padded[:, :texture.shape[1]] = texture
    return now, padded
