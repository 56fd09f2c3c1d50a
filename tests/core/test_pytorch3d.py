"""The pytorch3d back end gives the pictures ours gives."""
from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.render import pytorch3d_raster
from caphuman_core.render.maps import render
from caphuman_core.render.raster import rasterize

needs_pytorch3d = pytest.mark.skipif(importlib.util.find_spec("pytorch3d") is None,
                                     reason="optional: pytorch3d has a wheel for Python 3.11 on Linux only")


@needs_pytorch3d
def test_golden_picture(golden, head_of, model):
    case = golden("face_render_procedural_partly_out256")
    drawn = render(head_of(case, model, 256), model, 256, 256, rasterizer=pytorch3d_raster.rasterize_pytorch3d)
    ours = render(head_of(case, model, 256), model, 256, 256)
    assert float((drawn.mask[0] != torch.from_numpy(case["alpha"])).sum()) <= 5         # face.json: pixels on an edge
    difference = np.abs(drawn.hint().maps[0].numpy() - case["hint"])
    assert np.mean(difference <= 1e-4) >= 0.999                                         # face.json
    assert float(((drawn.hint().maps - ours.hint().maps).abs() <= 1e-4).float().mean()) >= 0.999


@needs_pytorch3d
@pytest.mark.parametrize("size", [(40, 64), (64, 40)])
def test_same_faces_on_other_shapes(size):
    generator = torch.Generator().manual_seed(5)
    verts = torch.randn(2, 30, 3, generator=generator) * 0.5 + torch.tensor([0.0, 0.0, 3.0])
    faces = torch.randint(0, 30, (50, 3), generator=generator)
    first, second = (draw(verts, faces, *size) for draw in (rasterize, pytorch3d_raster.rasterize_pytorch3d))
    assert torch.equal(first.pixel, second.pixel)
    assert (second.batch, second.height, second.width) == (2, *size)
    assert float((first.face == second.face).float().mean()) > 0.999
    torch.testing.assert_close(first.depth, second.depth, atol=1e-4, rtol=0)           # rounding in thin triangles


def test_unknown_names_are_refused_and_auto_works_without_a_gpu():
    with pytest.raises(InputError, match="rasterizer must be auto, torch or pytorch3d"):
        pytorch3d_raster.pick("opengl")
    if not torch.cuda.is_available():
        assert pytorch3d_raster.pick("auto") is rasterize


def test_a_missing_package_is_named(monkeypatch):
    import sys
    for name in [*(n for n in sys.modules if n.startswith("pytorch3d.")), "pytorch3d.renderer.mesh.rasterize_meshes"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match="rasterizer pytorch3d must be installed"):
        pytorch3d_raster.rasterize_pytorch3d(torch.zeros(1, 3, 3), torch.zeros(1, 3, dtype=torch.long), 8, 8)
