"""The head nodes through the real host."""
from __future__ import annotations

import math

import pytest
import torch


@pytest.fixture
def core(pack):
    """core("head.edit.edit") -> the pack's own module of that name."""
    import importlib
    return lambda name: importlib.import_module(f"{pack.__name__}.caphuman_core.{name}")


@pytest.fixture
def model(call):
    return call("CapHumanLoadHeadModel", head_model_name="built-in")[0]


@pytest.fixture
def neutral(core):
    return dict.fromkeys(core("head.edit.expressions").EXPRESSIONS, 0.0)


def edit(call, neutral, head, model, **changes):
    values = {"yaw_degrees": 0.0, "pitch_degrees": 0.0, "roll_degrees": 0.0, "x": 0.0, "y": 0.0, "scale": 1.0, "jaw_degrees": 0.0,
              **neutral, "mode": "add", **changes}
    return call("CapHumanEditHead", head=head, head_model=model, **values)


def test_new_edit_render(call, core, neutral, model):
    head, = call("CapHumanNewHead", head_model=model, width=256, height=320)
    edited, preview = edit(call, neutral, head, model, yaw_degrees=30.0, smile=0.8)
    torch.testing.assert_close(edited.rotation_radians, torch.tensor([[0.0, math.pi / 6, 0.0]]), atol=1e-5, rtol=0)
    seen = core("render.maps").render(edited, model, 256, 320).shaded.movedim(1, -1).clamp(0, 1)
    assert float((preview - seen).abs().mean()) < 0.01, "what is rendered, but for edges and highlights"
    covered = core("render.portrait").portrait(edited, model, 256, 320).cover
    assert bool(((covered > 0) & (covered < 1)).any()), "edges are smooth"
    hint, normal, albedo, shaded, mask, dots, mesh, depth, _ = call(
        "CapHumanRenderHead", head=edited, head_model=model, width=192, height=240, rasterizer="auto")
    assert hint.maps.shape == (1, 9, 240, 192)
    maps, there = hint.maps.movedim(1, -1), mask[..., None]
    torch.testing.assert_close(normal, (maps[..., :3] * 0.5 + 0.5) * there)          # colours of -1..1, black outside
    torch.testing.assert_close(albedo, maps[..., 3:6].clamp(0, 1))
    torch.testing.assert_close(shaded, maps[..., 6:].clamp(0, 1))
    assert torch.equal(mask, hint.mask)
    assert 0.1 < float(mask.mean()) < 0.9
    assert float(depth.max()) == 1
    assert bool(((depth > 0.09) == (there > 0)).all()), "0.1 to 1 on the head, 0 beside it"
    assert dots.unique().tolist() == [0, 1]
    assert 68 * 10 < int(dots[..., 0].sum()) <= 68 * 29, "68 dots of 29 pixels, some of them overlapping"
    assert mesh.uvs.shape[1] == mesh.vertices.shape[1]
    assert int(mesh.faces.max()) < mesh.vertices.shape[1]


def test_relight_transfer_blend_save_load(call, neutral, model, host):
    head, = call("CapHumanNewHead", head_model=model, width=128, height=128)
    lit, = call("CapHumanRelightHead", head=head, azimuth=60.0, elevation=10.0, intensity=1.0, ambient=0.3, colour="#ff8040")
    turned, _ = edit(call, neutral, lit, model, yaw_degrees=-45.0)
    mixed, = call("CapHumanTransferHead", source=head, target=turned, position=False, pose=True, expression=False, lighting=True)
    assert torch.equal(mixed.rotation_radians, turned.rotation_radians)
    assert torch.equal(mixed.light, lit.light)
    frames, _strip = call("CapHumanBlendHeads", head_a=head, head_b=mixed, frames=3, easing="linear")
    call("CapHumanSaveHead", head=frames, filename_prefix="caphuman/test")
    name = "caphuman/test_00001.head.safetensors [output]"
    assert name in host.NODE_CLASS_MAPPINGS["CapHumanLoadHead"].define_schema().inputs[0].options
    again, = call("CapHumanLoadHead", name=name)
    assert torch.equal(again.rotation_radians, frames.rotation_radians)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "nothing.head.safetensors"])
def test_names_cannot_leave_their_folder(call, name):
    with pytest.raises(Exception, match=r"head file must be a \.head\.safetensors file in the input or output folder"):
        call("CapHumanLoadHead", name=name)


def test_a_missing_model_is_one_sentence(call):
    for node, field in (("CapHumanLoadHeadModel", "head_model_name"), ("CapHumanLoadHeadFitter", "model_name")):
        with pytest.raises(Exception, match=r"file must be in the models folder 'flame', but got 'gone\.pkl'") as caught:
            call(node, **{field: "gone.pkl"})
        assert "\n" not in str(caught.value)


def test_a_head_of_another_model_is_refused(call, neutral, model):
    head, = call("CapHumanNewHead", head_model=model, width=64, height=64)
    sentence = rf"with the head model it was made with \(other\), but got 'built-in' \({model.fingerprint}\)"
    with pytest.raises(Exception, match=sentence):
        edit(call, neutral, head.replace(model_fingerprint="other"), model)


def test_mesh_saves_as_glb(call, model, host, tmp_path):
    """The host's own GLB writer takes the mesh: texture coordinates, texture and all."""
    from comfy_extras.nodes_save_3d import get_mesh_batch_item, save_glb
    head, = call("CapHumanNewHead", head_model=model, width=64, height=64)
    mesh = call("CapHumanRenderHead", head=head, head_model=model, width=64, height=64, rasterizer="torch")[6]
    vertices, faces, colors, uvs = get_mesh_batch_item(mesh, 0)
    save_glb(vertices, faces, str(tmp_path / "head.glb"), uvs=uvs, vertex_colors=colors)
    assert (tmp_path / "head.glb").read_bytes()[:4] == b"glTF"


def test_the_3d_file_goes_into_the_host_s_preview_and_saver(call, model, host):
    """One .glb whose triangles are the mesh's, with normals, which the host's own writer leaves out."""
    from comfy_extras import nodes_load_3d, nodes_save_3d
    head, = call("CapHumanNewHead", head_model=model, width=64, height=64)
    *_, mesh, _, file = call("CapHumanRenderHead", head=head.expand(2), head_model=model, width=64, height=64, rasterizer="torch")
    assert file.format == "glb"
    assert len(file.get_bytes()) > 12 * mesh.faces.shape[1] + 24 * mesh.vertices.shape[1]
    assert b'"NORMAL"' in file.get_bytes()
    for taker, name in ((nodes_load_3d.Preview3D, "model_file"), (nodes_save_3d.SaveGLB, "mesh")):
        (socket,) = (entry for entry in taker.define_schema().inputs if entry.id == name)
        assert "FILE_3D_GLB" in socket.get_io_type()
