from __future__ import annotations

import numpy as np
import pytest
import torch

from caphuman_core.head import camera
from caphuman_core.head.model.posing import pose_head
from caphuman_core.head.model.texture import albedo_texture
from caphuman_core.render.dots import draw_dots
from caphuman_core.render.maps import pose, raster_vertices, render
from caphuman_core.render.raster import rasterize, rasterize_plain

RENDERS = ["frontal512", "yaw60_512", "roll_offcentre512", "pitch256", "roll256", "expression_jaw256", "partly_out256", "crop224"]


def tensor(array):
    return torch.from_numpy(np.asarray(array))


@pytest.mark.parametrize("batch", ["A", "B"])
def test_flame_forward_is_golden(golden, model, batch):
    case = {key.split("/")[1]: tensor(value) for key, value in golden("face_flame_procedural").items() if key.startswith(batch)}
    posed = pose_head(model, case["shape"], case["exp"], case["pose"][:, :3], case["pose"][:, 3:])
    for name in ("verts", "landmarks2d", "landmarks3d"):        # face.json: 2e-6 absolute, float32 rounding
        torch.testing.assert_close(getattr(posed, name), case[name], atol=2e-6, rtol=0)


def test_texture_is_golden(golden, model):
    case = golden("face_flame_procedural")
    made = albedo_texture(model, tensor(case["texture/tex"]))   # face.json: 6e-4, half precision storage
    torch.testing.assert_close(made, tensor(case["texture/albedo"]).float(), atol=6e-4, rtol=0)


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


@pytest.mark.parametrize("name", RENDERS)
def test_maps_are_golden(golden, head_of, model, name):
    case = golden(f"face_render_procedural_{name}")
    size = case["hint"].shape[-1]
    drawn = render(head_of(case, model, size), model, size, size)
    hint = drawn.hint().maps[0].numpy()
    alpha, wanted = drawn.mask[0].numpy() > 0, case["alpha"] > 0
    allowed = max(3, 5e-4 * wanted.sum())                       # face.json: pixel centres within rounding of an edge
    assert (alpha != wanted).sum() <= allowed
    head = head_of(case, model, size)
    seen = rasterize(raster_vertices(head, pose(head, model).verts), model.faces, size, size)
    face = np.full(size * size, -1)
    face[seen.pixel.numpy()] = seen.face.numpy()
    same = face.reshape(size, size) == case["pix_to_face"]
    assert (~same).sum() <= allowed
    difference = np.abs(hint - case["hint"].astype(np.float32))[:, same]
    half = case["hint"].dtype == np.float16                     # face.json: half precision rounding dominates there
    for channels, limit in ((slice(0, 6), 5e-4 if half else 1e-4), (slice(6, 9), 1.1e-3 if half else 1e-4)):
        assert np.mean(difference[channels] <= limit) >= 0.999
    assert difference.max() <= (4e-3 if half else 2e-3)
    np.testing.assert_allclose(drawn.landmarks[0].numpy() / size * 2 - 1, case["landmarks2d"], atol=5e-6, rtol=0)
    if "zbuf" in case:
        np.testing.assert_allclose(drawn.depth[0].numpy()[same & wanted], case["zbuf"][same & wanted], atol=2e-4)


@pytest.mark.parametrize("name", RENDERS)
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
