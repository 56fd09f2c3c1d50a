"""Writes a synthetic head model in the file formats of the real one.

The real FLAME files cannot be shipped.  This module puts a stand-in with the
same names, keys, shapes and pickle conventions into a folder, so that loaders
and the renderer can be tested:

    generic_model.pkl          plain numpy arrays (written by Python 3)
    generic_model_chumpy.pkl   the same numbers, written by Python 2.7 with the
                               real chumpy: reading it needs encoding='latin1'
                               and something in place of chumpy.ch.Ch
    head_template.obj          v, vt and f v/vt lines; vt index differs from v
    landmark_embedding.npy     pickled dict, two of its values torch tensors
    FLAME_texture.npz          mean [512,512,3], tex_dir [512,512,3,200]

    from tools.stand_ins import face_synthetic
    face_synthetic.write(folder)                    # all but the texture: fast
    face_synthetic.write_texture(folder)            # 630 MB on disk, 10-30 s
    mean, tex_dir = face_synthetic.texture(50)      # only the first 50 directions
"""
from __future__ import annotations

import lzma
import os
import shutil

import numpy as np

from . import GOLDEN

MODEL = str(GOLDEN / "face_model")


def write(folder, model=MODEL):
    """Write the model files that exist for `model`; returns {name: path}."""
    os.makedirs(folder, exist_ok=True)
    out = {}
    for name in sorted(os.listdir(model)):
        src = os.path.join(model, name)
        if name.endswith(".pkl.xz"):
            dst = os.path.join(folder, name[:-3])
            with lzma.open(src) as a, open(dst, "wb") as b:
                shutil.copyfileobj(a, b)
        elif name in ("head_template.obj", "landmark_embedding.npy"):
            dst = os.path.join(folder, name)
            shutil.copyfile(src, dst)
        else:
            continue
        out[os.path.basename(dst)] = dst
    return out


def texture(n_dirs=200, model=MODEL, dtype=np.float32):
    """mean [512,512,3] and tex_dir [512,512,3,n_dirs] as the .npz holds them (0..255, blue first)."""
    p = np.load(os.path.join(model, "texture_parts.npz"))
    coef = p["coef"][:n_dirs].astype(np.float64)                  # [n,3,16]
    t = (np.arange(512) + 0.5) / 512
    c = np.stack([np.cos(np.pi * k * t) for k in range(4)], 1)     # [512,4]
    flat = np.ascontiguousarray(coef.transpose(2, 1, 0)).reshape(4, 4, -1)
    out = np.empty((512, 512, 3 * n_dirs), dtype=dtype)
    cx = np.einsum("xa,abn->bxn", c, flat)                         # index a runs along x, b along y
    for y in range(512):
        row = np.tensordot(c[y], cx, (0, 0))
        out[y] = np.round(row * 64.0) / 64.0
    return p["mean"].astype(dtype), out.reshape(512, 512, 3, n_dirs)


def write_texture(folder, n_dirs=200, model=MODEL, dtype=np.float32):
    os.makedirs(folder, exist_ok=True)
    mean, tex_dir = texture(n_dirs, model, dtype)
    path = os.path.join(folder, "FLAME_texture.npz")
    np.savez(path, mean=mean, tex_dir=tex_dir)
    return path
