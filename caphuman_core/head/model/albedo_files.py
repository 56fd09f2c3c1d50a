"""The albedo basis of a head model: FLAME_texture.npz, or the BFM's, of which only what is used is read.

The file holds 200 components at 512 x 512, 630 MB unpacked. Every second texel (nearest neighbour, as the released code does) and
the first 50 components are taken while it is unpacked, so that memory stays small, whatever the file declares.
"""
from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from ...check import InputError, fail, require
from ...files.pickles import reason_of

CODES = 50                               # components that are used
SIDE, STEP = 512, 2                      # texels of the file's side; every second one is used
MOST_COMPONENTS = 400
FIX = "use FLAME_texture.npz as it is published"
NAMES = (("mean.npy", "tex_dir.npy"), ("MU.npy", "PC.npy"))      # FLAME's, of 0..255; the BFM's, of 0..1


def is_texture(path: Path) -> bool:
    """Whether an .npz archive holds an albedo basis; reads its directory only."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except Exception:                    # a damaged directory raises many types
        return False
    return any(set(pair) <= names for pair in NAMES)


def read_texture(path: Path) -> tuple[Tensor, Tensor]:
    """mean [3, 256, 256] and basis [50, 3, 256, 256], red first, 0..1, of FLAME_texture.npz or the BFM albedo."""
    name = f"texture file '{path.name}'"
    entry = "mean and tex_dir (FLAME) or MU and PC (BFM)"
    try:
        with zipfile.ZipFile(path) as archive:
            pair = next((pair for pair in NAMES if set(pair) <= set(archive.namelist())), None)
            if pair is None:
                fail(name, f"must hold {entry}", f"{', '.join(archive.namelist()[:3])[:80] or 'nothing'}", FIX)
            arrays = []
            for entry in pair:
                with archive.open(entry) as file:
                    arrays.append(_picked(file, name, entry))
    except InputError:
        raise
    except MemoryError:
        fail(name, f"must fit into memory in {entry}", "an array of more", FIX)
    except Exception as error:           # zipfile, zlib and numpy raise many types for damaged files
        fail(name, f"must hold {entry}", f"what could not be read ({reason_of(error)})", FIX)
    scale = 255.0 if pair == NAMES[0] else 1.0
    mean, basis = (torch.from_numpy(np.ascontiguousarray(array[:, :, ::-1] / np.float32(scale))) for array in arrays)
    return mean[..., 0].permute(2, 0, 1).contiguous(), basis.permute(3, 2, 0, 1).contiguous()


def _picked(file: IO[bytes], name: str, entry: str) -> np.ndarray:
    """Every second texel of the first K <= 50 components (K = 1 for a mean) of an entry: [256, 256, 3, K] float32."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    require(dtype.kind in "biuf", name, f"must hold numbers in {entry}", f"an array of type {dtype}"[:60], FIX)
    texels, numbers = SIDE * SIDE * 3, math.prod(shape)
    components = numbers // texels
    require(components * texels == numbers and 0 < components <= MOST_COMPONENTS, name,
            f"must hold {SIDE} x {SIDE} texels of 3 colours in {entry}", f"shape {list(shape)[:6]}", FIX)
    kept = min(components, CODES)
    if fortran:                          # the last axis is the slowest; an array in that order has its components one by one
        _require_plain(shape, name, entry)
        first = _read(file, kept * texels, dtype).reshape(SIDE, SIDE, 3, kept, order="F")
        return first[::STEP, ::STEP].astype(np.float32)
    rows = np.empty((SIDE // STEP, SIDE // STEP, 3, kept), dtype=np.float32)
    for row in range(SIDE):
        texel_row = _read(file, SIDE * 3 * components, dtype).reshape(SIDE, 3, components)
        if row % STEP == 0:
            rows[row // STEP] = texel_row[::STEP, :, :kept]
    return rows


def _require_plain(shape: tuple[int, ...], name: str, entry: str) -> None:
    """In Fortran's order only an array with all its axes says which number belongs to which texel."""
    require(shape[:3] == (SIDE, SIDE, 3), name, f"must hold {SIDE} x {SIDE} texels of 3 colours in {entry}",
            f"shape {list(shape)[:6]} in Fortran's order", FIX)


def _read(file: IO[bytes], count: int, dtype: np.dtype) -> np.ndarray:
    data = file.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise ValueError("it was cut short")
    return np.frombuffer(data, dtype)
