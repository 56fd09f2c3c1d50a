"""The FLAME-format test head, and heads of the golden cases on it."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from caphuman_core.flow import Head
from caphuman_core.head.model.flame_files import FlameFiles, load_flame


@pytest.fixture(scope="session")
def flame_folder(tmp_path_factory):
    """The synthetic model in FLAME's original file formats."""
    from tools.stand_ins import face_synthetic
    folder = tmp_path_factory.mktemp("flame")
    face_synthetic.write(folder)
    mean, basis = face_synthetic.texture(50)
    np.savez(folder / "FLAME_texture.npz", mean=mean, tex_dir=basis)
    return folder


@pytest.fixture(scope="session")
def flame_files(flame_folder):
    return FlameFiles(flame_folder / "generic_model.pkl", flame_folder / "landmark_embedding.npy",
                      flame_folder / "head_template.obj", flame_folder / "FLAME_texture.npz")


@pytest.fixture(scope="session")
def model(flame_files):
    return load_flame(flame_files)


@pytest.fixture(scope="session")
def head_of():
    """head_of(case, model, size, placing="decode_tform") -> the Head of a golden case's codes."""
    def make(case, model, size, placing="decode_tform"):
        codes = {key: torch.from_numpy(np.asarray(case[key])) for key in ("shape", "exp", "tex", "pose", "light", "cam", placing)}
        return Head(model_fingerprint=model.fingerprint, identity=codes["shape"], expression=codes["exp"], texture=codes["tex"],
                    rotation_radians=codes["pose"][:, :3], jaw_radians=codes["pose"][:, 3:], light=codes["light"],
                    camera=codes["cam"], crop_to_picture=codes[placing], width=size, height=size,
                    present=torch.ones(len(codes["pose"]), dtype=torch.bool))
    return make
