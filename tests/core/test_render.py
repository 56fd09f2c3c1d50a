from __future__ import annotations

import numpy as np
import pytest
import torch

from caphuman_core.head import camera
from caphuman_core.head.model.posing import pose_head
from caphuman_core.render.dots import draw_dots
from caphuman_core.render.raster import rasterize, rasterize_plain
from tools.goldens import heads as goldens


def tensor(array):
    return torch.from_numpy(np.asarray(array))


def test_flame_forward_and_texture_are_golden(model):
    found = {each.name: each for each in goldens.forward(model)}
    for each in found.values():
        each.require()
    assert {f"{batch} {name}" for batch in "AB" for name in ("verts", "landmarks2d", "landmarks3d")} < found.keys()


@pytest.mark.parametrize("case", ["crop224", "square256", "square512"])
def test_projection_is_golden(golden, model, case):
    data = {key.split("/")[1]: tensor(value) for key, value in golden("face_project_procedural").items() if key.startswith(case)}
    size = {"crop224": 224, "square256": 256, "square512": 512}[case]
    posed = pose_head(model, data["shape"], data["exp"], data["pose"][:, :3], data["pose"][:, 3:])
    close = {"atol": 5e-6, "rtol": 0}                           # face.json
    torch.testing.assert_close(camera.project(posed.verts, data["cam"]), data["trans_verts"], **close)
    for points, name in ((posed.verts, "raster_verts"), (posed.landmarks2d, "landmarks2d"), (posed.landmarks3d, "landmarks3d")):
        placed = camera.to_raster(camera.place(camera.project(points, data["cam"]), data["decode_tform"]), size, size)
        torch.testing.assert_close(placed[..., :data[name].shape[-1]], data[name], **close)


@pytest.mark.parametrize("name", goldens.RENDERS)
def test_maps_are_golden(model, name):
    drawn = goldens.picture(name, model)
    assert drawn.holds, drawn


@pytest.mark.parametrize("name", goldens.RENDERS)
def test_landmark_dots_are_golden(golden, name):
    case = golden(f"face_render_procedural_{name}")
    size = case["landmark_map"].shape[-1]
    pixels = (1 + tensor(case["landmarks2d"])) / 2 * size
    assert np.array_equal(draw_dots(pixels[None], size, size)[0].numpy() * 255, case["landmark_map"])


def test_rasterizer_matches_its_oracle_on_odd_shapes():
    generator = torch.Generator().manual_seed(3)
    verts = torch.randn(1, 40, 3, generator=generator) * 0.6 + torch.tensor([0.0, 0.0, 2.0])
    faces = torch.randint(0, 40, (60, 3), generator=generator)
    seen = rasterize(verts, faces, 37, 61)
    face, weights, depth = rasterize_plain(verts[0], faces, 37, 61)
    found = torch.full((37 * 61,), -1)
    found[seen.pixel] = seen.face
    assert torch.equal(found.view(37, 61), face)
    torch.testing.assert_close(seen.weights, weights.view(-1, 3)[seen.pixel], atol=0, rtol=0)
    torch.testing.assert_close(seen.depth, depth.flatten()[seen.pixel], atol=0, rtol=0)


@pytest.mark.parametrize("case", ["plain", "reversed_winding", "shared_edge_off_centres", "nearer_wins", "beyond_the_border",
                                  "behind", "crossing_zero_depth", "sliver", "edges_on_pixel_centres"])
def test_rasterizer_is_golden(golden, case):
    data = {key.split("/")[1]: tensor(value) for key, value in golden("face_raster").items() if key.startswith(case + "/")}
    seen = rasterize(data["verts"][None], data["faces"], 16, 16)
    face = torch.full((256,), -1)
    face[seen.pixel] = seen.face
    weights = torch.full((256, 3), -1.0)
    weights[seen.pixel] = seen.weights
    assert torch.equal(face.view(16, 16), data["pix_to_face"].long())
    covered = face.view(16, 16) >= 0
    torch.testing.assert_close(weights.view(16, 16, 3)[covered], data["bary"][covered], atol=1e-5, rtol=0)
