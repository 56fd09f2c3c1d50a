"""Pictures of heads: which way depth, texture and normals run, where dots and overlays lie, how strips are laid out."""
from __future__ import annotations

import contextlib
import io
import json
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from caphuman_core.check import InputError
from caphuman_core.flow import Head
from caphuman_core.head import camera
from caphuman_core.head.light import directional
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.points import NOSE_TIP
from caphuman_core.render import glb, maps, raster
from caphuman_core.render import overlay as overlays
from caphuman_core.render import preview as previews
from caphuman_core.render.dots import SMALL_DOT, draw_dots
from caphuman_core.render.glb import to_glb
from caphuman_core.render.maps import Render, pose, render, vertex_normals
from caphuman_core.render.mesh import textured_mesh
from caphuman_core.render.overlay import blend_over, overlay
from caphuman_core.render.raster import Fragments, rasterize
from caphuman_core.render.strip import GAP, INK, PAPER, noted, strip, told


@pytest.fixture(scope="module")
def model():
    return load_builtin()


@pytest.fixture(scope="module")
def head(model):
    return new_head(model, 96, 96)


@pytest.fixture(scope="module")
def drawn(head, model):
    return render(head, model, 96, 96)


def at(picture, point):
    """Colours [C] of a picture [C, H, W] at pixel coordinates x, y."""
    return picture[:, int(point[1]), int(point[0])]


# --- depth and normals

def test_depth_is_brightest_where_the_head_is_nearest(drawn):
    picture, points = drawn.depth_picture()[0], drawn.landmarks[0]
    inside = picture[0][drawn.mask[0] > 0]
    assert float(inside.max()) == pytest.approx(1.0)
    assert float(inside.min()) == pytest.approx(0.1, abs=1e-5)
    assert float(at(picture, points[NOSE_TIP])[0]) > 0.9 > 0.8 > float(at(picture, points[1] + torch.tensor([3.0, 0.0]))[0])
    assert float(picture[:, drawn.mask[0] == 0].abs().max()) == 0
    assert torch.equal(picture[0], picture[2])


def test_depth_fills_its_range_in_each_picture_by_itself():
    depth = torch.zeros(2, 1, 3)
    depth[0, 0, :2], depth[1, 0, :2] = torch.tensor([5.0, 6.0]), torch.tensor([8.0, 20.0])
    mask = torch.tensor([[[1.0, 1.0, 0.0]]] * 2)
    none = torch.zeros(2, 3, 1, 3)
    seen = Render(none, none, none, mask, depth, torch.zeros(2, 68, 2), torch.ones(2, dtype=torch.bool)).depth_picture()
    torch.testing.assert_close(seen[:, 1, 0], torch.tensor([[1.0, 0.1, 0.0]] * 2))
    flat = Render(none, none, none, mask, 0 * depth + 3, torch.zeros(2, 68, 2), torch.ones(2, dtype=torch.bool)).depth_picture()
    assert flat[0, 0].tolist() == [[1, 1, 0]], "one plane is as near as can be"


def test_normals_are_of_unit_length_and_point_outwards(model, head):
    verts = pose(head, model).verts
    normals = vertex_normals(verts, model.faces)
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(normals.shape[:2]), atol=1e-4, rtol=0)
    used = model.faces.unique()
    outwards = torch.nn.functional.normalize(verts[0, used] - verts[0, used].mean(0), dim=1)
    assert float(((normals[0, used] * outwards).sum(1) > 0).float().mean()) > 0.7       # nostrils and eyelids fold inwards


def test_a_vertex_normal_is_the_mean_of_its_triangles_by_area():
    """A roof: two triangles share the edge 0-1, one twice the other's area. Single corners have their own triangle's normal."""
    verts = torch.tensor([[[0.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, -2], [9, 9, 9]]])
    normals = vertex_normals(verts, torch.tensor([[0, 2, 1], [1, 3, 0]]))[0]
    assert normals[2].tolist() == [0, 0, 1]
    assert normals[3].tolist() == [-1, 0, 0]
    torch.testing.assert_close(normals[0], torch.tensor([-2.0, 0.0, 1.0]) / 5 ** 0.5)
    assert normals[4].tolist() == [0, 0, 0]                                              # in no triangle


def test_the_viewer_sees_surfaces_that_face_the_viewer(drawn):
    assert float(drawn.normal[0, 2][drawn.mask[0] > 0].mean()) > 0.5
    right, left = (drawn.normal[0, 0][:, half][drawn.mask[0][:, half] > 0].mean() for half in (slice(48, 96), slice(0, 48)))
    assert float(right) > 0.2 > -0.2 > float(left)


# --- mesh

def test_the_mesh_has_the_head_s_surface_with_v_down(model, head):
    mesh = textured_mesh(head, model)
    assert torch.equal(mesh.verts[:, mesh.faces], pose(head, model).verts[:, model.faces])
    u, v = model.uvs[model.uv_faces].unbind(-1)
    torch.testing.assert_close(mesh.uvs[mesh.faces], torch.stack([u, 1 - v], -1))
    assert len(mesh.uvs) == mesh.verts.shape[1] == len({(int(a), int(b)) for a, b in
                                                        zip(model.faces.flatten(), model.uv_faces.flatten(), strict=True)})


def test_the_mesh_s_texture_shows_at_its_coordinates_what_the_render_shows(model, head, drawn):
    """glTF: texel (u W, v H), row 0 on top. At the nose tip it is the albedo map's colour there."""
    mesh = textured_mesh(head, model)
    corners, weights = model.faces[model.full_faces[NOSE_TIP]], model.full_weights[NOSE_TIP]
    place = (mesh.uvs[mesh.faces[model.full_faces[NOSE_TIP]]] * weights[:, None]).sum(0)
    height, width = mesh.texture.shape[1:3]
    colour = mesh.texture[0, int(place[1] * height), int(place[0] * width)]
    torch.testing.assert_close(colour, at(drawn.albedo[0], drawn.landmarks[0, NOSE_TIP]), atol=0.05, rtol=0)   # neighbouring texels
    assert bool((mesh.verts[0, mesh.faces[model.full_faces[NOSE_TIP]]] == pose(head, model).verts[0, corners]).all())
    assert 0 <= float(mesh.texture.min()) <= float(mesh.texture.max()) <= 1


def test_normals_are_the_same_on_both_sides_of_a_texture_seam(model, head):
    """So no viewer that reads them shows an edge there; and they are the surface's, not the split mesh's."""
    mesh = textured_mesh(head, model)
    _, shared = torch.unique(mesh.verts[0], dim=0, return_inverse=True)
    assert int(shared.max()) + 1 < len(shared), "the model has a seam"
    first = torch.zeros(int(shared.max()) + 1, 3).index_copy(0, shared, mesh.normals[0])
    torch.testing.assert_close(mesh.normals[0], first[shared], atol=1e-6, rtol=0)
    torch.testing.assert_close(mesh.normals[:, mesh.faces], vertex_normals(pose(head, model).verts, model.faces)[:, model.faces])


def test_a_glb_holds_the_mesh_its_normals_and_its_texture(model, head):
    """glTF 2.0: header, a JSON chunk, a binary chunk; accessors say where each array lies."""
    mesh = textured_mesh(head, model)
    content = to_glb(mesh)
    assert struct.unpack_from("<4sII", content) == (b"glTF", 2, len(content))
    length, kind = struct.unpack_from("<I4s", content, 12)
    scene, binary = json.loads(content[20:20 + length]), content[28 + length:]
    assert (kind, length % 4, struct.unpack_from("<I4s", content, 20 + length)) == (b"JSON", 0, (len(binary), b"BIN\0"))
    views = [binary[view["byteOffset"]:view["byteOffset"] + view["byteLength"]] for view in scene["bufferViews"]]
    (shape,) = scene["meshes"][0]["primitives"]

    def numbers(index, kind="<f4"):
        return torch.from_numpy(np.frombuffer(views[scene["accessors"][index]["bufferView"]], kind).copy())
    for name, expected in (("POSITION", mesh.verts[0]), ("NORMAL", mesh.normals[0]), ("TEXCOORD_0", mesh.uvs)):
        assert torch.equal(numbers(shape["attributes"][name]).view(expected.shape), expected), name
    assert torch.equal(numbers(shape["indices"], "<u4").long().view(-1, 3), mesh.faces)
    assert scene["accessors"][0]["min"] == mesh.verts[0].amin(0).tolist()
    picture = np.asarray(Image.open(io.BytesIO(views[scene["images"][0]["bufferView"]])))
    assert np.abs(picture / 255 - mesh.texture[0].numpy()).max() <= 0.5 / 255 + 1e-6


def test_a_glb_says_what_each_part_is(model, head):
    """The numbers of the glTF 2.0 specification."""
    mesh = textured_mesh(Head.stack([head, head.replace(texture=head.texture + 2)]), model)
    content = to_glb(mesh, 1)
    length, = struct.unpack_from("<I", content, 12)
    scene, binary = json.loads(content[20:20 + length]), content[28 + length:]
    count, corners = mesh.verts.shape[1], mesh.faces.numel()
    assert scene["accessors"] == [
        {"bufferView": 0, "componentType": 5126, "count": count, "type": "VEC3", "min": mesh.verts[1].amin(0).tolist(),
         "max": mesh.verts[1].amax(0).tolist()},
        {"bufferView": 1, "componentType": 5126, "count": count, "type": "VEC3"},
        {"bufferView": 2, "componentType": 5126, "count": count, "type": "VEC2"},
        {"bufferView": 3, "componentType": 5125, "count": corners, "type": "SCALAR"}]
    assert [view.get("target") for view in scene["bufferViews"]] == [34962, 34962, 34962, 34963, None]
    assert [view["byteLength"] for view in scene["bufferViews"]][:4] == [count * 12, count * 12, count * 8, corners * 4]
    assert all(view["byteOffset"] % 4 == 0 and view["buffer"] == 0 for view in scene["bufferViews"])
    assert scene["buffers"] == [{"byteLength": len(binary)}]
    assert len(binary) % 4 == 0
    assert scene["meshes"] == [{"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2}, "indices": 3,
                                                "material": 0,
                                                "mode": 4}]}]
    assert scene["materials"] == [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0,
                                                            "roughnessFactor": 0.7},
                                   "doubleSided": True}]
    assert (scene["asset"]["version"], scene["scene"], scene["scenes"], scene["nodes"]) == (
        "2.0", 0, [{"nodes": [0]}], [{"mesh": 0, "name": "head"}])
    assert scene["textures"] == [{"source": 0, "sampler": 0}]
    assert scene["images"] == [{"bufferView": 4, "mimeType": "image/png"}]
    assert scene["samplers"] == [{"magFilter": 9729, "minFilter": 9729, "wrapS": 33071, "wrapT": 33071}]
    view = scene["bufferViews"][4]
    picture = np.asarray(Image.open(io.BytesIO(binary[view["byteOffset"]:view["byteOffset"] + view["byteLength"]])))
    assert np.abs(picture / 255 - mesh.texture[1].numpy()).max() <= 0.5 / 255 + 1e-6
    assert [glb._padded(size) for size in (0, 1, 4, 5)] == [0, 4, 4, 8]


# --- dots

@pytest.mark.parametrize(("x", "y", "shown"), [
    (5.9, 7.2, True), (0.9, 7.0, False), (5.0, 0.9, False),      # in row or column 0: not drawn, as in the released code
    (1.0, 1.0, True), (-3.0, 7.0, False), (float("nan"), 7.0, False), (5.0, float("inf"), False)])
def test_a_dot_lies_in_the_pixel_of_its_point_and_none_in_row_or_column_0(x, y, shown):
    picture = draw_dots(torch.tensor([[[x, y]]]), 20, 16, radius=0)[0]
    assert picture.shape == (16, 20)
    assert picture.nonzero().tolist() == ([[int(y), int(x)]] if shown else [])


def test_dots_are_cut_off_at_the_border():
    """OpenCV's filled circle of radius 3 is 1, 5, 5, 7, 5, 5, 1 pixels wide."""
    whole = draw_dots(torch.tensor([[[8.0, 8.0]]]), 20, 16)[0]
    assert whole.sum(1).tolist() == [0] * 5 + [1, 5, 5, 7, 5, 5, 1] + [0] * 4
    cut = draw_dots(torch.tensor([[[1.0, 1.0], [19.0, 15.0]]]), 20, 16)[0]
    assert torch.equal(cut[:5, :5], whole[7:12, 7:12])
    assert torch.equal(cut[12:, 16:], whole[5:9, 5:9])
    small = draw_dots(torch.tensor([[[8.0, 8.0]]]), 20, 16, radius=SMALL_DOT)[0]
    assert small.nonzero().tolist() == [[7, 8], [8, 7], [8, 8], [8, 9], [9, 8]]


def test_heads_that_are_not_there_get_no_dots():
    points = torch.full((2, 68, 2), 8.0)
    assert draw_dots(points, 16, 16, torch.tensor([True, False])).amax((1, 2)).tolist() == [1, 0]


# --- overlay

def shown(mask, landmarks, shaded=0.5):
    none = torch.zeros(1, 3, *mask.shape[1:])
    return Render(none, none, none + shaded, mask, mask, landmarks, torch.tensor([True]))


def test_an_overlay_is_three_quarters_head_and_shows_its_points_in_green():
    mask = torch.zeros(1, 20, 20)
    mask[:, 10:] = 1
    laid = blend_over(torch.ones(1, 3, 20, 20), shown(mask, torch.full((1, 68, 2), 5.0), shaded=2.0))
    assert laid[0, :, 0, 0].tolist() == [1, 1, 1]                                       # beside the head: the photo
    torch.testing.assert_close(laid[0, :, 15, 15], torch.ones(3))                       # shading over 1 is cut off
    dark = blend_over(torch.ones(1, 3, 20, 20), shown(mask, torch.full((1, 68, 2), 5.0), shaded=0.0))
    torch.testing.assert_close(dark[0, :, 15, 15], torch.full((3,), 0.25))
    torch.testing.assert_close(laid[0, :, 5, 5], torch.tensor([0.2, 1.0, 0.35]))


@pytest.mark.parametrize(("size", "pixels"), [(350.0, 5), (351.0, 29)])
def test_small_faces_get_small_dots(size, pixels):
    landmarks = torch.full((1, 68, 2), 20.0)
    landmarks[0, 1] += torch.tensor([size, 0.0])
    laid = blend_over(torch.zeros(1, 3, 40, 400), shown(torch.zeros(1, 40, 400), landmarks))
    assert int((laid[0, 1] > 0).sum()) == 2 * pixels


def test_the_overlay_draws_each_head_over_its_photo(model, head):
    photos = torch.stack([torch.zeros(3, 96, 96), torch.ones(3, 96, 96)])
    heads, seen = Head.stack([head, head]), []
    laid = overlay(photos, heads, model, step=seen.append)
    drawn = render(heads, model, 96, 96)
    apart = (laid - blend_over(photos, drawn)).abs().amax(1)
    assert float(apart.median()) < 0.01
    edge = (apart > 0.2).float().mean()
    assert 0 < float(edge) < 0.1, "edges and dots are smoother, nothing else is moved"
    assert seen == [1, 2]
    assert float(laid[0, :, 0].max()) == 0
    assert float(laid[1, :, 0].min()) == 1


# --- render

def test_a_batch_may_hold_heads_that_are_not_there(model, head):
    three, seen = Head.stack([head] * 3).replace(present=torch.tensor([True, False, True])), []
    drawn = render(three, model, 32, 24, step=seen.append)
    assert drawn.hint().maps.shape == (3, 9, 24, 32)
    assert len(drawn.hint()) == 3
    assert (drawn.mask.sum((1, 2)) > 0).tolist() == [True, False, True]
    assert torch.equal(drawn.hint().present, three.present)
    assert seen == [1, 3]


def test_framing_is_passed_on(model, head):
    contain, cover = (float(render(head, model, 96, 48, framing).mask.sum()) for framing in ("contain", "cover"))
    assert cover > 2 * contain


@pytest.mark.parametrize(("width", "height", "words"), [(0, 8, "width must be from 1 to 8192 pixels, but got 0"),
                                                        (8, 8193, "height must be from 1 to 8192 pixels, but got 8193")])
def test_sizes_beyond_reason_are_refused(model, head, width, height, words):
    with pytest.raises(InputError, match=words):
        render(head, model, width, height)
    assert render(head, model, 1, 1).mask.shape == (1, 1, 1)


def test_an_empty_batch_is_refused(model, head):
    with pytest.raises(InputError, match="head must hold at least one head"):
        render(head.replace(**{name: getattr(head, name)[:0] for name in head._tensors()}), model, 8, 8)


def test_shading_is_albedo_times_light(model, head):
    lit = head.replace(light=directional(0, 0, intensity=0.0, ambient=0.5, colour=(1.0, 0.5, 0.0))[None])
    drawn = render(lit, model, 48, 48)
    torch.testing.assert_close(drawn.shaded[0], drawn.albedo[0] * torch.tensor([0.5, 0.25, 0.0])[:, None, None], atol=1e-6, rtol=0)


# --- rows of small pictures

def test_pictures_stand_side_by_side_with_a_gap_and_their_captions():
    one, other = torch.zeros(3, 30, 40), torch.ones(3, 30, 40)
    row = strip([one, other], ["0", ""])
    assert row.shape == (1, 3, 30, 2 * 40 + GAP)
    assert torch.equal(row[0, :, :, 40 + GAP:], other)
    assert (row[0, :, 0, 40:40 + GAP] * 255).T.round().int().tolist() == [list(PAPER)] * GAP
    written = row[0, 0, :, :40] * 255 > INK[0] / 2              # letters have soft edges
    rows, columns = written.nonzero().unbind(1)
    assert len(rows) > 5
    assert rows.max() < 20
    assert 4 <= columns.min() <= columns.max() < 20


def test_words_fit_into_their_picture():
    picture = (told("nothing is there") * 255).round()[0]
    assert picture.shape == (3, 32, 12 + 7 * 16)
    rows, columns = (picture[0] > INK[0] / 2).nonzero().unbind(1)
    assert 8 <= columns.min() <= columns.max() < picture.shape[2]
    assert 8 <= rows.min() <= rows.max() < 28


@pytest.mark.parametrize(("height", "band"), [(40, 20), (20, 20), (12, 12)])
def test_a_note_lies_in_a_dark_band_along_the_lower_edge(height, band):
    picture = (255 * noted(torch.full((3, height, 100), 0.5), "|||")).round()
    assert picture.shape == (3, height, 100)
    assert picture[:, :height - band].flatten().tolist() == [128] * (3 * (height - band) * 100)
    below = picture[:, height - band:]
    assert below[:, 0, 0].tolist() == below[:, -1, -1].tolist() == list(PAPER)
    rows, columns = (below[0] > INK[0] / 2).nonzero().unbind(1)
    assert (columns.min() >= 6, columns.max() < 30, rows.min() >= 4) == (True, True, True)


# --- how they are drawn

def test_heads_are_drawn_one_by_one_on_a_processor_and_together_on_a_card():
    present = torch.tensor([True, True, False, True, True, True])
    cpu, card = torch.device("cpu"), torch.device("cuda")
    assert maps._parts(present, 100, cpu) == [range(0, 1), range(1, 2), range(3, 4), range(4, 5), range(5, 6)]
    assert maps._parts(present, 100, card) == [range(0, 2), range(3, 6)]
    assert maps._parts(present, 1 << 21, card) == [range(0, 2), range(3, 5), range(5, 6)], "four megapixels together"
    assert maps._parts(present, (1 << 21) + 1, card) == maps._parts(present, 1 << 30, card) == maps._parts(present, 100, cpu)
    assert maps._parts(torch.zeros(2, dtype=torch.bool), 100, card) == []


def test_heads_that_are_drawn_together_are_the_heads_drawn_one_by_one(model, head, monkeypatch):
    """Each with its own turn, skin and light; as a card draws them."""
    turn, skin = torch.tensor([[0.0, 0.4, 0.0]]), torch.eye(1, head.texture.shape[1])
    heads = Head.stack([head.replace(rotation_radians=turn * i, texture=head.texture + 2 * i * skin,
                                     light=directional(40.0 * i, 10)[None]) for i in (-2, -1, 0, 1, 2)])
    heads = heads.replace(present=torch.tensor([True, True, True, False, True]))
    alone = render(heads, model, 40, 32)
    plain = maps._parts
    monkeypatch.setattr(maps, "_parts", lambda present, pixels, device: plain(present, pixels, torch.device("cuda")))
    together = render(heads, model, 40, 32)
    assert maps._parts(heads.present, 40 * 32, torch.device("cpu")) == [range(3), range(4, 5)]
    for name in ("normal", "albedo", "shaded", "mask", "depth"):
        torch.testing.assert_close(getattr(together, name), getattr(alone, name), atol=1e-6, rtol=0)
    assert float((alone.albedo[0] - alone.albedo[1]).abs().max()) > 0.05 < float((alone.shaded[0] - alone.shaded[4]).abs().max())


def test_points_of_several_heads_lie_in_their_own_pictures():
    seen = Fragments(pixel=torch.tensor([1, 4, 9]), face=torch.zeros(3, dtype=torch.long), weights=torch.zeros(3, 3),
                     depth=torch.tensor([5.0, 6.0, 7.0]), batch=2, height=2, width=3)
    flat = torch.zeros(4, 11, 6)
    maps._put(flat, range(1, 3), seen, torch.arange(27.0).view(3, 9))
    assert flat[1, :, 1].tolist() == [*range(9), 5, 1]
    assert flat[1, :, 4].tolist() == [*range(9, 18), 6, 1]
    assert flat[2, :, 3].tolist() == [*range(18, 27), 7, 1]
    assert float(flat[[0, 3]].abs().max()) == 0
    single = torch.zeros(4, 11, 12)
    maps._put(single, range(2, 3), seen, torch.arange(27.0).view(3, 9))
    assert single[2, 9].nonzero().flatten().tolist() == [1, 4, 9]


def test_depth_of_the_raster_is_shifted_by_ten(model, head, drawn):
    verts = maps.raster_vertices(head, pose(head, model).verts)
    inside = drawn.depth[0][drawn.mask[0] > 0]
    assert float(inside.min()) == pytest.approx(float(verts[..., 2].min()), abs=0.02)
    plain = camera.to_picture(head, pose(head, model).verts)[..., 2]
    torch.testing.assert_close(verts[..., 2], plain + 10)


@pytest.mark.parametrize("name", ["identity", "expression", "texture", "rotation_radians", "jaw_radians", "light", "camera",
                                  "crop_to_picture",
                                  "gaze_radians", "neck_share"])
def test_no_number_of_a_head_is_infinite_or_none(model, head, name):
    spoilt = getattr(head, name).clone()
    spoilt.view(-1)[-1] = float("nan")
    with pytest.raises(InputError,
                       match=f"head {name.replace('_', ' ')} must be finite numbers, but got NaN or infinity: make or load"):
        render(head.replace(**{name: spoilt}), model, 8, 8)


def test_textures_that_occur_are_made_once_and_each_head_has_its_own(model, head):
    tanned = head.replace(texture=head.texture + torch.eye(1, head.texture.shape[1]))
    looks = maps._looks(Head.stack([tanned, head, tanned]), model, torch.zeros(3, 1, 3), torch.device("cpu"))
    assert looks.albedo.shape[0] == 2
    assert looks.texture[0] == looks.texture[2] != looks.texture[1]
    torch.testing.assert_close(looks.albedo[looks.texture[1]], model.texture_mean)
    torch.testing.assert_close(looks.at, torch.stack([model.uvs[:, 0] * 2 - 1, 1 - model.uvs[:, 1] * 2], 1))


def test_both_windings_edges_and_the_nearest_of_equals(model):
    """A square of 4 x 4 pixels, centres at -0.75 .. 0.75: a centre on an edge belongs to no face, of two as near the first one."""
    verts = torch.tensor([[[-0.8, -0.8, 2.0], [0.8, -0.8, 2.0], [0.8, 0.8, 2.0], [-0.8, 0.8, 2.0]]])
    seen = rasterize(verts, torch.tensor([[0, 1, 2], [0, 3, 2]]), 4, 4)
    rows, columns = seen.pixel // 4, seen.pixel % 4
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(r, c) for r in range(4) for c in range(4) if r != c]
    assert all((face == 0) == (column > row) for face, row, column in zip(seen.face.tolist(), rows, columns, strict=True))
    plain, weights, depth = raster.rasterize_plain(verts[0], torch.tensor([[0, 1, 2], [0, 3, 2]]), 4, 4)
    assert plain.tolist() == [[-1 if r == c else int(r > c) for c in range(4)] for r in range(4)]
    assert weights[0, 0].tolist() == [-1, -1, -1]
    assert float(depth[0, 0]) == float("inf")
    twice = rasterize(verts, torch.tensor([[1, 2, 0], [0, 1, 2]]), 4, 4)
    assert set(twice.face.tolist()) == {0}
    near = verts.clone()
    near[..., 2] = 1e-9
    assert len(rasterize(near, torch.tensor([[0, 1, 2]]), 4, 4).pixel) == 0
    assert len(rasterize(verts * float("nan"), torch.tensor([[0, 1, 2]]), 4, 4).pixel) == 0
    assert len(rasterize(verts, torch.zeros(0, 3, dtype=torch.long), 4, 4).pixel) == 0


@pytest.mark.parametrize("most", [1, 7, 100])
def test_how_much_is_drawn_at_once_changes_nothing(model, head, monkeypatch, most):
    verts = maps.raster_vertices(camera.reframe(head, 24, 20), pose(head, model).verts)
    whole = rasterize(verts[:, model.faces[:400].flatten()], torch.arange(1200).view(400, 3), 20, 24)
    monkeypatch.setattr(raster, "PAIRS_AT_ONCE", most)
    parts = rasterize(verts[:, model.faces[:400].flatten()], torch.arange(1200).view(400, 3), 20, 24)
    assert torch.equal(parts.pixel, whole.pixel)
    assert torch.equal(parts.face, whole.face)


def test_pairs_are_split_into_parts_of_about_so_many():
    assert raster._chunks(torch.tensor([3, 3, 3, 3]), 6) == [slice(0, 2), slice(2, 4)]
    assert raster._chunks(torch.tensor([3, 10, 1]), 4) == [slice(0, 1), slice(1, 3)]
    assert raster._chunks(torch.tensor([]), 4) == []
    assert raster._chunks(torch.tensor([4]), 4) == [slice(0, 1)]


# --- large and small overlays and previews

def test_an_overlay_is_drawn_finer_where_it_is_small_and_coarser_where_it_is_large(model, monkeypatch):
    sizes = []
    plain = overlays.render

    def watched(head, model, width, height, *framing, **more):
        sizes.append((width, height, *framing))
        return plain(head, model, max(1, width // 100), max(1, height // 100), *framing, **more)
    monkeypatch.setattr(overlays, "render", watched)
    monkeypatch.setattr(overlays, "_pooled", lambda drawn: None)
    monkeypatch.setattr(overlays, "_enlarged", lambda drawn, width, height: None)
    monkeypatch.setattr(overlays, "blend_over", lambda photo, drawn: None)
    for width, height, batch, drawn_at in ((1000, 1000, 1, (2000, 2000, "stretch")), (1001, 1000, 1, (1001, 1000)),
                                           (1000, 500, 2, (2000, 1000, "stretch")), (1000, 501, 2, (1000, 501)),
                                           (2000, 2000, 1, (2000, 2000)), (4000, 4000, 1, (2000, 2000, "stretch")),
                                           (4096, 10, 1, (8192, 20, "stretch")), (4097, 10, 1, (4097, 10))):
        with contextlib.suppress(AttributeError):
            overlay(torch.zeros(1, 3, 1, 1), new_head(model, width, height, batch=batch), model)
        assert sizes.pop() == drawn_at


def test_an_enlarged_drawing_keeps_its_points_on_the_face():
    mask = torch.zeros(1, 10, 20)
    mask[:, 4:6, 8:12] = 1
    large = overlays._enlarged(shown(mask, torch.full((1, 68, 2), 5.0)), 40, 30)
    assert large.landmarks[0, 0].tolist() == [10, 15]
    assert large.mask.shape == (1, 30, 40)
    assert float(large.mask[0, 15, 20]) == 1
    assert float(large.mask[0, 5, 20]) == 0


def test_a_pooled_drawing_has_half_the_size_and_soft_edges():
    mask = torch.zeros(1, 4, 4)
    mask[0, 0, 0] = mask[0, 2:, 2:] = 1
    small = overlays._pooled(shown(mask, torch.full((1, 68, 2), 3.0), shaded=0.5 * mask[:, None]))
    assert small.mask[0].tolist() == [[0.25, 0], [0, 1]]
    torch.testing.assert_close(small.shaded[0, 0], torch.tensor([[0.5, 0], [0, 0.5]]))
    assert small.landmarks[0, 0].tolist() == [1.5, 1.5]


@pytest.mark.parametrize(("width", "height", "longest", "size"), [
    (100, 50, 200, (100, 50)), (400, 100, 200, (200, 50)), (100, 400, 200, (50, 200)),
    (1000, 1, 10, (10, 1)), (1, 1000, 10, (1, 10))])
def test_previews_are_reduced_and_never_enlarged(head, width, height, longest, size):
    assert previews.reduced_size(head.replace(width=width, height=height), longest) == size


def test_a_preview_lies_over_its_own_photo_or_the_first_one(model, head):
    heads = Head.stack([head, head])
    photos = torch.stack([torch.zeros(3, 96, 96), torch.ones(3, 96, 96), torch.ones(3, 96, 96)])
    own = previews.preview(heads, model, 48, photos[:2])
    assert (float(own[0, :, 0, 0].max()), float(own[1, :, 0, 0].min())) == (0, 1)
    first = previews.preview(heads, model, 48, photos)
    assert float(first[:, :, 0, 0].max()) == 0
    assert float(previews.preview(heads, model, 48)[:, :, 0, 0].max()) == 0
    assert own.shape == (2, 3, 48, 48)
