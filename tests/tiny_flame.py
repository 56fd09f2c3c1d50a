"""A head of a few dozen vertices in FLAME's file formats: complete, and read in milliseconds."""
from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

VERTS, TRIANGLES, JOINTS = 40, 76, 5


def model() -> dict[str, Any]:
    """The content of generic_model.pkl."""
    some = np.random.default_rng(0)
    parents = np.array([[4294967295, 0, 1, 1, 1], range(JOINTS)], dtype=np.uint32)
    return {"v_template": some.normal(size=(VERTS, 3)), "f": faces().astype(np.uint32),
            "shapedirs": some.normal(size=(VERTS, 3, 302)).astype(np.float32), "posedirs": some.normal(size=(VERTS, 3, 36)),
            "J_regressor": np.full((JOINTS, VERTS), 1 / VERTS), "kintree_table": parents,
            "weights": np.full((VERTS, JOINTS), 1 / JOINTS), "bs_type": "lrotmin", "J": some.normal(size=(JOINTS, 3))}


def faces() -> np.ndarray:
    """[76, 3] vertex indices."""
    return np.random.default_rng(1).integers(0, VERTS, (TRIANGLES, 3))


def landmarks() -> dict[str, Any]:
    """The content of landmark_embedding.npy: two of its values are tensors, as in DECA's."""
    some = np.random.default_rng(2)

    def at(*shape: int) -> np.ndarray:
        return some.integers(0, TRIANGLES, shape)

    def weights(*shape: int) -> np.ndarray:
        return np.full((*shape, 3), 1 / 3, dtype=np.float32)
    return {"static_lmk_faces_idx": at(51), "static_lmk_bary_coords": weights(51),
            "dynamic_lmk_faces_idx": torch.from_numpy(at(79, 17)), "dynamic_lmk_bary_coords": torch.from_numpy(weights(79, 17)),
            "full_lmk_faces_idx": at(1, 68), "full_lmk_bary_coords": weights(1, 68)}


def write(folder: Path, protocol: int = 2, texture: bool = True) -> Path:
    """Write the four files; returns the model's path."""
    (folder / "generic_model.pkl").write_bytes(pickle.dumps(OrderedDict(model()), protocol))
    np.save(folder / "landmark_embedding.npy", np.array(landmarks(), dtype=object), allow_pickle=True)
    lines = [f"v {x} {y} {z}" for x, y, z in model()["v_template"]] + [f"vt {k / VERTS} {1 - k / VERTS}" for k in range(VERTS)]
    lines += ["f " + " ".join(f"{corner + 1}/{corner + 1}" for corner in triangle) for triangle in faces()]
    (folder / "head_template.obj").write_text("\n".join(lines), encoding="utf-8")
    if texture:
        mean = np.full((512, 512, 3), 128, dtype=np.uint8)
        np.savez_compressed(folder / "FLAME_texture.npz", mean=mean, tex_dir=mean[..., None] // 64)
    return folder / "generic_model.pkl"
