"""Pictures of heads: which way depth, texture and normals run, where dots and overlays lie, how strips are laid out."""
from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from caphuman_core.check import InputError
from caphuman_core.flow import Head
from caphuman_core.head.light import directional
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.points import NOSE_TIP
from caphuman_core.render.dots import SMALL_DOT, draw_dots
from caphuman_core.render.glb import to_glb
from caphuman_core.render.maps import Render, pose, render, vertex_normals
from caphuman_core.render.mesh import textured_mesh
from caphuman_core.render.overlay import blend_over, overlay
from caphuman_core.render.strip import GAP, INK, PAPER, strip, told


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
