"""Rasterizing with the pytorch3d package, for those who have it; the same rules as `raster`."""
from __future__ import annotations

import importlib.util

import torch
from torch import Tensor

from ..check import fail
from .raster import Fragments, rasterize


def is_installed() -> bool:
    """Whether pytorch3d can be imported; does not import it."""
    return importlib.util.find_spec("pytorch3d") is not None


def rasterize_pytorch3d(verts: Tensor, faces: Tensor, height: int, width: int) -> Fragments:
    """`raster.rasterize` through pytorch3d's rasterize_meshes; raises InputError when it is missing or broken."""
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes  # pyright: ignore[reportMissingImports]
        from pytorch3d.structures import Meshes  # pyright: ignore[reportMissingImports]
    except Exception as error:           # a build for another torch fails with whatever its loader raises
        fail("rasterizer pytorch3d", "must be installed and match this torch", f"{type(error).__name__}: {str(error)[:120]}",
             "choose auto or torch, or install pytorch3d as its INSTALL page says")
    batch = verts.shape[0]
    flipped = verts * verts.new_tensor([-1.0, -1.0, 1.0])                 # pytorch3d: x left, y up
    meshes = Meshes(verts=flipped, faces=faces.to(verts.device).expand(batch, -1, -1))
    found, depth, weights, _ = rasterize_meshes(meshes, image_size=(height, width), blur_radius=0.0, faces_per_pixel=1,
                                                perspective_correct=False)
    face = found.flatten()
    pixel = (face >= 0).nonzero().squeeze(1)
    return Fragments(pixel, face[pixel] % faces.shape[0], weights.view(-1, 3)[pixel], depth.flatten()[pixel], batch, height, width)


def pick(name: str):
    """The rasterizer called auto, torch or pytorch3d.

    auto takes ours on the CPU, where it is two orders of magnitude faster (benchmarks/RESULTS.md), and wherever
    pytorch3d is missing; on a GPU with both it takes the one that was faster there the first time.
    """
    if name == "pytorch3d":
        return rasterize_pytorch3d
    if name == "auto" and torch.cuda.is_available() and is_installed():
        return _auto
    if name in ("auto", "torch"):
        return rasterize
    fail("rasterizer", "must be auto, torch or pytorch3d", repr(name), "choose one of them")


_faster: dict[str, bool] = {}


def _auto(verts: Tensor, faces: Tensor, height: int, width: int) -> Fragments:
    """Whichever was faster on this device the first time both ran."""
    if verts.device.type == "cpu":
        return rasterize(verts, faces, height, width)
    if verts.device.type not in _faster:
        _faster[verts.device.type] = _pytorch3d_is_faster(verts, faces, height, width)
    chosen = rasterize_pytorch3d if _faster[verts.device.type] else rasterize
    return chosen(verts, faces, height, width)


def _pytorch3d_is_faster(verts: Tensor, faces: Tensor, height: int, width: int) -> bool:
    import time
    times = []
    for function in (rasterize, rasterize_pytorch3d):
        try:
            for _ in range(3):           # the last of three: the first ones compile and allocate
                torch.cuda.synchronize()
                start = time.perf_counter()
                function(verts, faces, height, width)
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        except Exception:
            return False                 # a pytorch3d that does not run here is not the faster one
    return times[1] < times[0]
