"""Rasterizing with the pytorch3d package, for those who have it; the same rules as `raster`."""
from __future__ import annotations

from torch import Tensor

from ..check import fail
from .raster import Fragments, rasterize


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

    auto is ours, wherever it runs: both draw the same picture, ours is two orders of magnitude faster on a processor
    (benchmarks/RESULTS.md), and a choice by stopwatch would change with the machine's mood.
    """
    if name == "pytorch3d":
        return rasterize_pytorch3d
    if name in ("auto", "torch"):
        return rasterize
    fail("rasterizer", "must be auto, torch or pytorch3d", repr(name), "choose one of them")
