"""What is taken from MakeHuman's head (CC0) through the anny package: neutral shape, changes, actions, bones, weights."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Adult, average in everything: the person FLAME's mean comes closest to.
NEUTRAL = {"gender": 0.5, "age": 2 / 3, "muscle": 0.5, "weight": 0.5, "height": 0.5, "proportions": 0.5,
           "african": 1 / 3, "asian": 1 / 3, "caucasian": 1 / 3}
# Low and high end of each macro direction; half their difference is the direction.
MACROS: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "gender": ({"gender": 0.0}, {"gender": 1.0}),
    "age": ({"age": 0.55}, {"age": 1.0}),
    "weight": ({"weight": 0.1}, {"weight": 0.9}),
    "muscle": ({"muscle": 0.1}, {"muscle": 0.9}),
    "african": ({"african": 0.0, "asian": 0.5, "caucasian": 0.5}, {"african": 1.0, "asian": 0.0, "caucasian": 0.0}),
    "asian": ({"african": 0.5, "asian": 0.0, "caucasian": 0.5}, {"african": 0.0, "asian": 1.0, "caucasian": 0.0}),
    "caucasian": ({"african": 0.5, "asian": 0.5, "caucasian": 0.0}, {"african": 0.0, "asian": 0.0, "caucasian": 1.0}),
}
LOWEST = 0.60                # metres, MakeHuman's y: well below FLAME's neck cut (shape.py cuts exactly)
WIDEST = 0.20                # metres: leaves the arms out
EYELASHES_AND_TEETH = range(13606, 14598)    # of the base mesh; FLAME has none
PARTS = ("head", "forehead", "eyebrows", "eye", "cheek", "nose", "mouth", "chin", "ear", "neck")


@dataclass(frozen=True)
class Source:
    """MakeHuman's head in FLAME's axes (x to the person's left, y up, z to the viewer), metres."""

    verts: np.ndarray                        # [V, 3]
    faces: np.ndarray                        # [F, 3]
    uvs: np.ndarray                          # [N, 2]
    uv_faces: np.ndarray                     # [F, 3]
    base_index: np.ndarray                   # [V] vertex number in MakeHuman's base mesh
    bones: dict[str, np.ndarray]             # name -> [3] where the bone starts
    weights: dict[str, np.ndarray]           # name -> [V] skinning weight
    actions: dict[str, np.ndarray]           # ARKit name -> [V, 3] offset at amount 1
    changes: dict[str, np.ndarray]           # local change or macro -> [V, 3] offset at amount 1


def load(cache: Path) -> Source:
    """The source, from `cache` when an earlier run wrote it (anny takes minutes)."""
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(cache, allow_pickle=False, **_flat(extract()))
    with np.load(cache, allow_pickle=False) as content:
        arrays = {key: content[key] for key in content.files}

    def group(name: str) -> dict[str, np.ndarray]:
        return {key.partition("/")[2]: array for key, array in arrays.items() if key.startswith(name + "/")}

    return Source(verts=arrays["verts"], faces=arrays["faces"], uvs=arrays["uvs"], uv_faces=arrays["uv_faces"],
                  base_index=arrays["base_index"], bones=group("bones"), weights=group("weights"),
                  actions=group("actions"), changes=group("changes"))


def _flat(source: Source) -> dict[str, np.ndarray]:
    flat: dict[str, np.ndarray] = {}
    for key in Source.__dataclass_fields__:
        value = getattr(source, key)
        flat.update({f"{key}/{name}": array for name, array in value.items()} if isinstance(value, dict) else {key: value})
    return flat


def extract() -> Source:
    """Ask anny (0.6.2, with roma and trimesh) for everything that moves the head.

    anny's topology "head" is the same mesh, cut off above FLAME's neck: "anny" has the neck too.
    """
    import anny  # pyright: ignore[reportMissingImports]
    model = anny.Anny(rig="makehuman", topology="anny", local_changes="default", facial_actions="all", phenotypes="all")
    neutral = _verts(model)
    base_index = model.base_mesh_vertex_indices.numpy()
    keep = (neutral[:, 1] > LOWEST) & (np.abs(neutral[:, 0]) < WIDEST) & ~np.isin(base_index, EYELASHES_AND_TEETH)
    faces, uv_faces = model.faces.numpy(), model.face_texture_coordinate_indices.numpy()
    drawn = keep[faces].all(1)
    keep[np.setdiff1d(np.flatnonzero(keep), faces[drawn])] = False
    renumber = np.cumsum(keep) - 1
    labels = [label for label in model.local_change_labels if _part(label) in PARTS]
    changes = {label: (_verts(model, local={label: 1.0}) - _verts(model, local={label: -1.0}))[keep] / 2
               for label in labels}
    for name, (low, high) in MACROS.items():
        changes[name] = (_verts(model, **high) - _verts(model, **low))[keep] / 2
    heads = _output(model)["rest_bone_heads"][0].numpy()
    return Source(
        verts=neutral[keep], faces=renumber[faces[drawn]], uvs=model.texture_coordinates.numpy(),
        uv_faces=uv_faces[drawn], base_index=base_index[keep],
        bones={name: _axes(heads[i]) for i, name in enumerate(model.bone_labels)},
        weights={name: model.dense_vertex_bone_weights[keep, i].numpy() for i, name in enumerate(model.bone_labels)},
        actions={name: (_verts(model, action={name: 1.0}) - neutral)[keep] for name in model.facial_action_labels},
        changes=changes)


def _part(label: str) -> str:
    words = label.split("-")
    return words[1] if words[0] in ("l", "r") else words[0]


def _output(model, local: dict[str, float] | None = None, action: dict[str, float] | None = None, **phenotypes: float):
    import torch
    pose = torch.eye(4, dtype=torch.float64)[None, None].repeat(1, model.bone_count, 1, 1)
    known = {name: value for name, value in {**NEUTRAL, **phenotypes}.items() if name in model.phenotype_labels}
    return model(pose_parameters=pose, phenotype_kwargs=known, local_changes_kwargs=local or {}, facial_actions=action or {})


def _verts(model, **kwargs) -> np.ndarray:
    return _axes(_output(model, **kwargs)["rest_vertices"][0].numpy())


def _axes(points: np.ndarray) -> np.ndarray:
    """anny: z up, the face looks along -y."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)
