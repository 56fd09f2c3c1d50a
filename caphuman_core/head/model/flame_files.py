"""FLAME's original files as a HeadModel (file formats: FACE.md, the synthetic model)."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...check import InputError, fail, require
from ...files.pickles import read_object_npy, read_pickle, reason_of
from .albedo_files import is_texture, read_texture
from .head_model import HeadModel, from_tensors

IDENTITY_COLUMNS = slice(0, 100)         # of shapedirs: DECA uses 100 of 300
EXPRESSION_COLUMNS = slice(300, 350)     # and the first 50 expression directions
MOST_NUMBERS = 1 << 24                   # of one array; shapedirs has 6 million
MOST_OBJ_BYTES, MOST_OBJ_ENTRIES = 16 << 20, 100_000    # of a template: FLAME's has 1.5 MB and 10,000 triangles
_PICKLE_RANKS = {"v_template": 2, "f": 2, "shapedirs": 3, "posedirs": 3, "J_regressor": 2, "kintree_table": 2, "weights": 2}
# Ours -> theirs and its axes; the full ones carry a batch axis.
_LANDMARKS = {"landmark_faces": ("static_lmk_faces_idx", 1), "landmark_weights": ("static_lmk_bary_coords", 2),
              "contour_faces": ("dynamic_lmk_faces_idx", 2), "contour_weights": ("dynamic_lmk_bary_coords", 3),
              "full_faces": ("full_lmk_faces_idx", 2), "full_weights": ("full_lmk_bary_coords", 3)}
FLAME_FIX = "use generic_model.pkl from flame.is.tue.mpg.de"
LANDMARK_FIX = "use landmark_embedding.npy from DECA's data folder"
OBJ_FIX = "use head_template.obj as it comes with the model"


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
    mean, basis = read_texture(files.texture) if files.texture else _grey_texture()
    return from_tensors({**tensors, "texture_mean": mean, "texture_basis": basis}, name)


def _geometry(path: Path) -> dict[str, np.ndarray]:
    content = read_pickle(path, "head model")
    name = f"head model file '{path.name}'"
    missing = [key for key in _PICKLE_RANKS if not isinstance(content, dict) or not isinstance(content.get(key), np.ndarray)]
    if missing:
        fail(name, "must be a FLAME model", f"no {', '.join(missing)} in it", FLAME_FIX)
    content = {key: _numbers(content[key], name, key, rank, FLAME_FIX) for key, rank in _PICKLE_RANKS.items()}
    shape = content["shapedirs"]                                                  # [V, 3, 400 | 300 + 100]
    require(shape.shape[2] > EXPRESSION_COLUMNS.start, name, "must have shape and expression directions (over 300 columns)",
            f"shapedirs {list(shape.shape)}", FLAME_FIX)
    require(content["kintree_table"].size > 0, name, "must name the parents of its joints", "an empty kintree_table", FLAME_FIX)
    parents = content["kintree_table"][0].astype(np.int64)
    parents[0] = -1                                                               # stored as 4294967295
    return {
        "template": content["v_template"].astype(np.float32),
        "model_faces": content["f"].astype(np.int64),
        "identity_basis": shape[:, :, IDENTITY_COLUMNS].astype(np.float32).transpose(2, 0, 1),
        "expression_basis": shape[:, :, EXPRESSION_COLUMNS].astype(np.float32).transpose(2, 0, 1),
        "pose_basis": content["posedirs"].astype(np.float32).transpose(2, 0, 1),  # [36, V, 3]
        "joint_regressor": content["J_regressor"].astype(np.float32),
        "parents": parents,
        "skinning": content["weights"].astype(np.float32),
    }


def _numbers(value: object, name: str, entry: str, rank: int, fix: str) -> np.ndarray:
    """An entry of a file as an array of real numbers with `rank` axes; InputError that names both for anything else."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):      # lists of lists of different lengths
        fail(name, f"must hold numbers in {entry}", "lists of different lengths", fix)
    require(array.dtype.kind in "biuf", name, f"must hold numbers in {entry}", f"an array of type {array.dtype}"[:60], fix)
    require(array.ndim == rank, name, f"must hold {entry} with {rank} axes", f"shape {list(array.shape)}", fix)
    require(array.size <= MOST_NUMBERS, name, f"must hold at most {MOST_NUMBERS:,} numbers in {entry}", f"{array.size:,}", fix)
    require(bool(np.isfinite(array).all()), name, f"must hold finite numbers in {entry}", "NaN or infinity", fix)
    return array


def read_obj(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """uvs [N, 2], uv_faces [F, 3] and faces [F, 3] of a triangle OBJ with texture coordinates."""
    name, rule = f"head template file '{path.name}'", "must be an OBJ of triangles with texture coordinates"
    size = path.stat().st_size
    require(size <= MOST_OBJ_BYTES, name, f"must have at most {MOST_OBJ_BYTES >> 20} MB", f"{size >> 20} MB", OBJ_FIX)
    uvs: list[list[float]] = []
    corners: list[list[list[int]]] = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            kind, *words = line.split() or [""]
            if kind == "vt":
                uvs.append([float(word) for word in words[:2]])
            elif kind == "f":
                corners.append([[int(number) - 1 for number in word.split("/")[:2]] for word in words])
            require(max(len(uvs), len(corners)) <= MOST_OBJ_ENTRIES, name,
                    f"must have at most {MOST_OBJ_ENTRIES:,} triangles and texture coordinates", "more", OBJ_FIX)
        index = np.asarray(corners, dtype=np.int64)                               # [F, 3, 2]
        places = np.asarray(uvs, dtype=np.float32)
    except InputError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        fail(name, rule, reason_of(error), OBJ_FIX)
    require(index.ndim == 3 and index.shape[1:] == (3, 2), name, rule, f"faces of shape {list(index.shape)}", OBJ_FIX)
    require(places.ndim == 2 and places.shape[1] == 2, name, rule, f"texture coordinates of shape {list(places.shape)}", OBJ_FIX)
    return places, index[:, :, 1], index[:, :, 0]


def _landmarks(path: Path) -> dict[str, np.ndarray]:
    content = read_object_npy(path, "landmark")
    name = f"landmark file '{path.name}'"
    missing = [theirs for theirs, _ in _LANDMARKS.values() if not isinstance(content, dict) or theirs not in content]
    if missing:
        fail(name, "must be DECA's landmark embedding", f"no {', '.join(missing)} in it", LANDMARK_FIX)
    found: dict[str, np.ndarray] = {}
    for ours, (theirs, rank) in _LANDMARKS.items():
        array = _numbers(content[theirs], name, theirs, rank, LANDMARK_FIX)
        require(array.size > 0, name, f"must hold numbers in {theirs}", "none", LANDMARK_FIX)
        found[ours] = (array[0] if ours.startswith("full") else array).astype(np.int64 if ours.endswith("faces") else np.float32)
    return found


def _grey_texture() -> tuple[Tensor, Tensor]:
    return torch.full((3, 8, 8), 0.7), torch.zeros(1, 3, 8, 8)


def find_flame_files(model: Path, folders: list[Path]) -> FlameFiles:
    """The companions of a FLAME model file, recognised by what they hold: first beside it, then in `folders`.

    Raises InputError that names what is missing and where it comes from.
    """
    nearby = [path for folder in [model.parent, *folders] if folder.is_dir() for path in sorted(folder.iterdir())]
    landmarks = _first(nearby, ".npy", lambda path: path.stat().st_size < 64 << 20)
    template = _first(nearby, ".obj", lambda path: path.stat().st_size < 64 << 20)
    texture = _first(nearby, ".npz", is_texture)
    if landmarks is None or template is None:
        missing = "landmark_embedding.npy" if landmarks is None else "head_template.obj"
        fail(f"head model file '{model.name}'", f"must have {missing} beside it", "no such file in its folder",
             f"copy {missing} from DECA's data folder to {model.parent}")
    return FlameFiles(model, landmarks, template, texture)


def _first(paths: list[Path], suffix: str, good: Callable[[Path], bool]) -> Path | None:
    return next((path for path in paths if path.suffix.lower() == suffix and good(path)), None)
