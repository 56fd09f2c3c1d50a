"""FLAME's original files as a HeadModel (file formats: FACE.md, the synthetic model)."""
from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...check import fail, require
from ...files.pickles import read_object_npy, read_pickle
from .head_model import HeadModel, from_tensors

IDENTITY_COLUMNS = slice(0, 100)         # of shapedirs: DECA uses 100 of 300
EXPRESSION_COLUMNS = slice(300, 350)     # and the first 50 expression directions
TEXTURE_CODES = 50
TEXTURE_SIZE = 256
_PICKLE_KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights")


@dataclass(frozen=True)
class FlameFiles:
    """Paths of the original files of one head model."""

    model: Path                          # generic_model.pkl
    landmarks: Path                      # landmark_embedding.npy
    template: Path                       # head_template.obj
    texture: Path | None = None          # FLAME_texture.npz or the BFM albedo npz; None: plain grey skin


def load_flame(files: FlameFiles, name: str = "FLAME") -> HeadModel:
    """Read FLAME 2020 or 2023 from its original files, chumpy or not; raises InputError for files that do not fit."""
    geometry = _geometry(files.model)
    uvs, uv_faces, faces = read_obj(files.template)
    require(np.array_equal(faces, geometry.pop("model_faces")), f"head template file '{files.template.name}'",
            f"must have the triangles of {files.model.name}", f"{len(faces)} others", "use files of one and the same model")
    tensors = {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in
               {**geometry, "faces": faces, "uvs": uvs, "uv_faces": uv_faces, **_landmarks(files.landmarks)}.items()}
    mean, basis = _texture(files.texture) if files.texture else _grey_texture()
    return from_tensors({**tensors, "texture_mean": mean, "texture_basis": basis}, name)


def _geometry(path: Path) -> dict[str, np.ndarray]:
    content = read_pickle(path, "head model")
    missing = [key for key in _PICKLE_KEYS if not isinstance(content, dict) or not isinstance(content.get(key), np.ndarray)]
    if missing:
        fail(f"head model file '{path.name}'", "must be a FLAME model", f"no {', '.join(missing)} in it",
             "use generic_model.pkl from flame.is.tue.mpg.de")
    shape = np.asarray(content["shapedirs"], dtype=np.float32)                    # [V, 3, 400 | 300 + 100]
    pose = np.asarray(content["posedirs"], dtype=np.float32)                      # [V, 3, 36]
    require(shape.ndim == 3 and shape.shape[2] > EXPRESSION_COLUMNS.start, f"head model file '{path.name}'",
            "must have shape and expression directions (over 300 columns)", f"shapedirs {list(shape.shape)}",
            "use generic_model.pkl from flame.is.tue.mpg.de")
    parents = np.asarray(content["kintree_table"])[0].astype(np.int64)
    parents[0] = -1                                                               # stored as 4294967295
    return {
        "template": np.asarray(content["v_template"], dtype=np.float32),
        "model_faces": np.asarray(content["f"]).astype(np.int64),
        "identity_basis": shape[:, :, IDENTITY_COLUMNS].transpose(2, 0, 1),
        "expression_basis": shape[:, :, EXPRESSION_COLUMNS].transpose(2, 0, 1),
        "pose_basis": pose.transpose(2, 0, 1),
        "joint_regressor": np.asarray(content["J_regressor"], dtype=np.float32),
        "parents": parents,
        "skinning": np.asarray(content["weights"], dtype=np.float32),
    }


def read_obj(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """uvs [N, 2], uv_faces [F, 3] and faces [F, 3] of a triangle OBJ with texture coordinates."""
    uvs: list[list[float]] = []
    corners: list[list[list[int]]] = []
    try:
        for line in path.read_text().splitlines():
            kind, *words = line.split() or [""]
            if kind == "vt":
                uvs.append([float(word) for word in words[:2]])
            elif kind == "f":
                corners.append([[int(number) - 1 for number in word.split("/")[:2]] for word in words])
        index = np.asarray(corners, dtype=np.int64)                               # [F, 3, 2]
    except (ValueError, UnicodeDecodeError) as error:
        fail(f"head template file '{path.name}'", "must be an OBJ of triangles with texture coordinates", str(error)[:100],
             "use head_template.obj as it comes with the model")
    require(index.ndim == 3 and index.shape[1:] == (3, 2), f"head template file '{path.name}'",
            "must be an OBJ of triangles with texture coordinates", f"faces of shape {list(index.shape)}",
            "use head_template.obj as it comes with the model")
    return np.asarray(uvs, dtype=np.float32), index[:, :, 1], index[:, :, 0]


def _landmarks(path: Path) -> dict[str, np.ndarray]:
    content = read_object_npy(path, "landmark")
    names = {"landmark_faces": "static_lmk_faces_idx", "landmark_weights": "static_lmk_bary_coords",
             "contour_faces": "dynamic_lmk_faces_idx", "contour_weights": "dynamic_lmk_bary_coords",
             "full_faces": "full_lmk_faces_idx", "full_weights": "full_lmk_bary_coords"}
    missing = [theirs for theirs in names.values() if not isinstance(content, dict) or theirs not in content]
    if missing:
        fail(f"landmark file '{path.name}'", "must be DECA's landmark embedding", f"no {', '.join(missing)} in it",
             "use landmark_embedding.npy from DECA's data folder")
    found: dict[str, np.ndarray] = {}
    for ours, theirs in names.items():
        array = np.asarray(content[theirs])
        kind = np.int64 if ours.endswith("faces") else np.float32
        found[ours] = (array[0] if ours.startswith("full") else array).astype(kind)   # the full ones carry a batch axis
    return found


def _texture(path: Path) -> tuple[Tensor, Tensor]:
    """mean [3, 256, 256] and basis [50, 3, 256, 256], red first, 0..1, of FLAME_texture.npz or the BFM albedo.

    Every second texel of the 512 map is used (nearest neighbour), as the released code does.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            keys = ("mean", "tex_dir") if "tex_dir" in content else ("MU", "PC")
            mean = np.asarray(content[keys[0]], dtype=np.float32).reshape(512, 512, 3)
            basis = np.asarray(content[keys[1]], dtype=np.float32).reshape(512, 512, 3, -1)[..., :TEXTURE_CODES]
    except (KeyError, ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        fail(f"texture file '{path.name}'", "must hold mean and tex_dir (FLAME) or MU and PC (BFM)",
             f"a file that could not be read so ({str(error)[:80]})", "use FLAME_texture.npz as it is published")
    step = 512 // TEXTURE_SIZE
    scale = 255.0 if keys[0] == "mean" else 1.0
    picked = [torch.from_numpy(np.ascontiguousarray(array[::step, ::step, ::-1] / scale)) for array in (mean, basis)]
    return picked[0].permute(2, 0, 1).contiguous(), picked[1].permute(3, 2, 0, 1).contiguous()


def _grey_texture() -> tuple[Tensor, Tensor]:
    return torch.full((3, 8, 8), 0.7), torch.zeros(1, 3, 8, 8)



def find_flame_files(model: Path, folders: list[Path]) -> FlameFiles:
    """The companions of a FLAME model file, recognised by what they hold: first beside it, then in `folders`.

    Raises InputError that names what is missing and where it comes from.
    """
    nearby = [path for folder in [model.parent, *folders] if folder.is_dir() for path in sorted(folder.iterdir())]
    landmarks = _first(nearby, ".npy", lambda path: path.stat().st_size < 64 << 20)
    template = _first(nearby, ".obj", lambda path: path.stat().st_size < 64 << 20)
    texture = _first(nearby, ".npz", _is_texture)
    if landmarks is None or template is None:
        missing = "landmark_embedding.npy" if landmarks is None else "head_template.obj"
        fail(f"head model file '{model.name}'", f"must have {missing} beside it", "no such file in its folder",
             f"copy {missing} from DECA's data folder to {model.parent}")
    return FlameFiles(model, landmarks, template, texture)


def _first(paths: list[Path], suffix: str, good: Callable[[Path], bool]) -> Path | None:
    return next((path for path in paths if path.suffix.lower() == suffix and good(path)), None)


def _is_texture(path: Path) -> bool:
    """Whether an .npz archive holds an albedo basis; reads its directory only."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False
    return {"mean.npy", "tex_dir.npy"} <= names or {"MU.npy", "PC.npy"} <= names
