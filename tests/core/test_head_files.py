"""Head models and weight files: what does not fit together is refused by name, what is read is exactly what was written."""
from __future__ import annotations

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from caphuman_core.check import InputError
from caphuman_core.files import weights
from caphuman_core.files.catalogue import CATALOGUE, advice, by_key, known_checksum, plain
from caphuman_core.head.model.flame_files import find_flame_files, load_flame, read_obj
from caphuman_core.head.model.head_model import HeadModel, from_tensors, load_builtin, load_file
from caphuman_core.identity import storage as identities

INFO = ("name", "fingerprint", "expression_names", "identity_names", "texture_names")


@pytest.fixture(scope="module")
def tensors():
    model = load_builtin()
    return {one.name: getattr(model, one.name) for one in fields(HeadModel) if one.name not in INFO}


# --- head models

def test_a_model_of_its_tensors_is_the_model(tensors):
    made = from_tensors(tensors, "mine", ("a",), ("b",), mark="f")
    assert (made.name, made.expression_names, made.identity_names, made.fingerprint) == ("mine", ("a",), ("b",), "f")
    assert all(torch.equal(getattr(made, name), value) for name, value in tensors.items())
    assert from_tensors(tensors, "mine").fingerprint == weights.fingerprint(tensors), "the name plays no part"
    half = from_tensors({**tensors, "template": tensors["template"].half(), "faces": tensors["faces"].int()}, "mine")
    assert (half.template.dtype, half.faces.dtype) == (torch.float32, torch.int64)


def test_without_pose_correctives_they_are_zero(tensors):
    given = {name: value for name, value in tensors.items() if name != "pose_basis"}
    bare = from_tensors(given, "mine")
    assert "pose_basis" not in given, "what came in is as it was"
    assert bare.pose_basis.shape == (36, len(tensors["template"]), 3)
    assert float(bare.pose_basis.abs().max()) == 0


def one_more(value):
    return torch.cat([value, value[:1]])


BREAKS = {
    "identity_basis": lambda t: t[:, :-1], "expression_basis": lambda t: t[:, :-1], "pose_basis": lambda t: t[:-1],
    "joint_regressor": lambda t: t[:, :-1], "skinning": one_more, "parents": lambda t: t.new_tensor([-1, 0, 1, 3, 1]),
    "uv_faces": one_more, "faces": lambda t: t.clamp(min=-1) - (t == 0).long(), "landmark_faces": lambda t: t + 10**6,
    "contour_faces": lambda t: t - 10**6, "full_faces": lambda t: t + 10**6, "uvs": lambda t: t[:5],
    "texture_mean": lambda t: t * float("nan"), "template": lambda t: t + float("inf"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_tensors_that_do_not_fit_together_are_named(tensors, name):
    rule = "head model 'mine' must consist of tensors that fit together, but got a mismatch in "
    with pytest.raises(InputError, match=rule) as caught:
        from_tensors({**tensors, name: BREAKS[name](tensors[name])}, "mine")
    assert {"uvs": "uv_faces"}.get(name, name) in str(caught.value).split("a mismatch in ")[1]


def test_a_missing_tensor_is_named(tensors):
    with pytest.raises(InputError, match="head model 'mine' must hold every tensor of its format, but got no faces, uvs: convert"):
        from_tensors({name: value for name, value in tensors.items() if name not in ("faces", "uvs")}, "mine")


def test_a_file_of_another_format_is_refused(tmp_path):
    weights.write_safetensors(tmp_path / "a.safetensors", {"x": torch.zeros(1)}, {"format": "other"})
    with pytest.raises(InputError, match=r"must be of format caphuman-head/1 or caphuman-head/2, but got other: convert"):
        load_file(tmp_path / "a.safetensors")


def test_the_number_of_the_layout_says_whether_tensors_are_packed(tmp_path, tensors):
    """Format 1 holds them whole, 2 may pack two of them; what is packed is never taken for whole, nor a newer one for ours."""
    def load(held, kind):
        save_file({name: value.contiguous() for name, value in held.items()}, tmp_path / "a.safetensors",
                  {"format": kind, "fingerprint": "f"})
        return load_file(tmp_path / "a.safetensors")
    one, two = (load(tensors, kind) for kind in ("caphuman-head/1", "caphuman-head/2"))
    scale = tensors["texture_basis"].abs().amax((1, 2, 3)).clamp(min=1e-6) / 127
    whole = (tensors["texture_basis"] / scale[:, None, None, None]).round().to(torch.int8)
    packed = {**tensors, "texture_basis": whole, "texture_scale": scale, "pose_basis": tensors["pose_basis"][:2],
              "pose_rows": torch.tensor([3, 5])}
    small = load(packed, "caphuman-head/2")
    assert torch.equal(one.texture_basis, two.texture_basis)
    torch.testing.assert_close(small.texture_basis, one.texture_basis, atol=float(scale.max()) * 0.51, rtol=0)
    assert torch.equal(small.pose_basis[[3, 5]], one.pose_basis[:2])
    assert not bool(small.pose_basis[[0, 1, 2, 4]].any())
    with pytest.raises(InputError, match="must hold the tensors of format caphuman-head/1, but got pose_rows, texture_scale too"):
        load(packed, "caphuman-head/1")
    with pytest.raises(InputError, match="but got wrinkle_maps too"):
        load({**tensors, "wrinkle_maps": scale}, "caphuman-head/2")
    with pytest.raises(InputError, match=r"must be of format .* but got caphuman-head/3: update ComfyUI-CapHuman"):
        load(tensors, "caphuman-head/3")


# --- FLAME's files

def test_a_texture_that_holds_objects_runs_nothing(tmp_path, flame_files):
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return open, (str(ran), "w")
    np.savez(tmp_path / "evil.npz", mean=np.array([Evil()], dtype=object), tex_dir=np.zeros(1))
    with pytest.raises(InputError, match=r"texture file 'evil.npz' must hold numbers in mean.npy, but got an array of type object"):
        load_flame(replace(flame_files, texture=tmp_path / "evil.npz"))
    assert not ran.exists()


def test_without_a_texture_the_skin_is_grey(flame_files):
    made = load_flame(replace(flame_files, texture=None), "plain")
    assert made.name == "plain"
    assert bool((made.texture_mean == 0.7).all())
    assert float(made.texture_basis.abs().max()) == 0


@pytest.mark.parametrize("text", ["f 1 2 3\n", "vt 0 0\nf 1/1 2/1\n", "vt a b\n", "vt 0 0\nf 1/1 2/1 3/1 4/1\n", ""])
def test_other_meshes_than_triangles_with_texture_are_refused(tmp_path, text):
    (tmp_path / "a.obj").write_text(text)
    with pytest.raises(InputError, match=r"head template file 'a.obj' must be an OBJ of triangles with texture coordinates"):
        read_obj(tmp_path / "a.obj")


def test_a_mesh_is_read_with_indices_from_zero(tmp_path):
    (tmp_path / "a.obj").write_text("# mesh\nv 0 0 0\nvt 0.25 0.5 9\nvt 1 0\nf 1/2/7 3/1/7 2/2/7\n\n")
    uvs, uv_faces, faces = read_obj(tmp_path / "a.obj")
    assert uvs.tolist() == [[0.25, 0.5], [1, 0]]
    assert uv_faces.tolist() == [[1, 0, 1]]
    assert faces.tolist() == [[0, 2, 1]]


@pytest.mark.parametrize(("change", "words"), [
    (lambda content: [content], "no v_template, f, shapedirs, posedirs, J_regressor, kintree_table, weights in it"),
    (lambda content: {name: value for name, value in content.items() if name != "weights"}, "no weights in it"),
    (lambda content: {**content, "shapedirs": content["shapedirs"][:, :, :300]}, r"over 300 columns\), but got shapedirs \["),
    (lambda content: {**content, "shapedirs": content["shapedirs"][:, :, 0]}, r"hold shapedirs with 3 axes, but got shape \["),
])
def test_what_a_flame_model_lacks_is_named(tmp_path, flame_files, change, words):
    from caphuman_core.files.pickles import read_pickle
    content = read_pickle(flame_files.model, "head model")
    (tmp_path / "generic_model.pkl").write_bytes(pickle.dumps(change(content)))
    with pytest.raises(InputError, match=rf"head model file 'generic_model.pkl' must .*{words}"):
        load_flame(replace(flame_files, model=tmp_path / "generic_model.pkl"))


def test_landmarks_of_another_kind_are_named(tmp_path, flame_files):
    np.save(tmp_path / "l.npy", np.array({"full_lmk_faces_idx": np.zeros(1)}, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"file 'l.npy' must be DECA's landmark embedding, but got no static_lmk_faces_idx, "):
        load_flame(replace(flame_files, landmarks=tmp_path / "l.npy"))


def test_companions_are_found_beside_the_model_first_and_the_missing_one_is_named(tmp_path, flame_files):
    model = tmp_path / "generic_model.pkl"
    model.write_bytes(b"")
    with pytest.raises(InputError, match=rf"must have landmark_embedding.npy beside it, .*: copy .* to {tmp_path}"):
        find_flame_files(model, [])
    (tmp_path / "mine.npy").write_bytes(b"x")
    with pytest.raises(InputError, match=r"must have head_template\.obj beside it"):
        find_flame_files(model, [])
    found = find_flame_files(model, [flame_files.template.parent])
    assert found.landmarks == tmp_path / "mine.npy"
    assert (found.template, found.texture) == (flame_files.template, flame_files.texture)


# --- weights

def test_a_network_is_filled_exactly_or_not_at_all():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    state = {name: torch.full_like(value, 2) for name, value in net.state_dict().items()}
    without_counts = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    weights.load_strict(net, {**without_counts, "extra": torch.zeros(1)}, "a file", drop=["extra"])
    assert float(net[0].weight.detach().min()) == float(net[1].running_var.max()) == 2
    for change, words in (({"extra": torch.zeros(1)}, "unknown: extra"),
                          ({"0.bias": torch.zeros(4)}, r"wrong shape: 0.bias \[4\] instead of \[3\]")):
        with pytest.raises(InputError, match=f"a file must hold exactly the weights of its network, but got {words}"):
            weights.load_strict(net, {**state, **change}, "a file")
    with pytest.raises(InputError, match=r"missing: 0.bias, 0.weight, 1.bias, 1.running_mean, 1.running_var, 1.weight: use"):
        weights.load_strict(net, {}, "a file")
    with pytest.raises(InputError, match="unknown: a0, a1, a2, a3, a4, a5 and 2 more"):
        weights.load_strict(net, {**state, **{f"a{i}": torch.zeros(1) for i in range(8)}}, "a file")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32,
                                   torch.uint8, torch.bool])
def test_what_is_written_is_read(tmp_path, dtype):
    path = str(tmp_path / "sub" / "a.safetensors")
    wanted = {"b": torch.tensor([[1, 0, 1]]).to(dtype), "a": torch.zeros(0, 2).to(dtype), "c": torch.tensor(1).to(dtype)}
    weights.write_safetensors(path, wanted, {"k": "v"})
    read = weights.read_state_dict(path, "model")
    assert all(torch.equal(read[name], wanted[name]) and read[name].dtype == dtype for name in wanted)
    assert weights.read_metadata(path, "model") == {"k": "v"}
    assert list(weights.read_state_dict(path, "model", lambda key: key == "a")) == ["a"]
    assert [one.name for one in (tmp_path / "sub").iterdir()] == ["a.safetensors"], "nothing is left beside it"


def test_a_disk_that_refuses_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file 'a.safetensors' must be writable, but got .*: free some disk space"):
        weights.write_safetensors(tmp_path / "file" / "a.safetensors", {}, {})


def test_metadata_is_for_safetensors_alone(tmp_path):
    assert weights.read_metadata(str(tmp_path / "a.pt"), "model") == {}
    (tmp_path / "b.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match=r"model file 'b.safetensors' must be a complete .safetensors file"):
        weights.read_metadata(tmp_path / "b.safetensors", "model")
    with pytest.raises(InputError, match=rf"file 'gone.pt' must exist, but got no such file: put it at {tmp_path.name}/gone.pt"):
        weights.read_state_dict(str(tmp_path / "gone.pt"), "model")


def test_a_fingerprint_changes_with_names_shapes_types_and_numbers():
    base = {"a": torch.arange(6.0), "b": torch.zeros(2)}
    others = ({"a": torch.arange(6.0), "c": torch.zeros(2)}, {**base, "a": torch.arange(6.0).view(2, 3)},
              {**base, "a": torch.arange(6)}, {**base, "b": torch.tensor([0.0, 1e-30])})
    marks = {weights.fingerprint(one) for one in (base, *others)}
    assert len(marks) == 5
    assert weights.fingerprint(dict(reversed(base.items()))) == weights.fingerprint(base)
    assert all(len(mark) == 16 for mark in marks)
    assert weights.strip_prefix({"a.b": 1, "b": 2}, "a.") == {"b": 1}


# --- shared files

def test_the_largest_number_of_a_shared_file_is_a_million(tmp_path):
    info = {"format": identities.FORMAT}
    plain_one = {"global_embedding": torch.zeros(1, 512), "local_tokens": torch.zeros(1, 257, 1024),
                 "present": torch.tensor([True])}
    for number, good in ((1e6, True), (-1e6, True), (1.1e6, False), (-1.1e6, False)):
        plain_one["global_embedding"][0, 7] = number
        weights.write_safetensors(tmp_path / "a.identity.safetensors", plain_one, info)
        if good:
            assert float(identities.load_identity(tmp_path / "a.identity.safetensors").global_embedding[0, 7]) == number
        else:
            with pytest.raises(InputError, match="must hold finite numbers up to 1,000,000, but got others in global_embedding"):
                identities.load_identity(tmp_path / "a.identity.safetensors")


# --- the table of model files

def test_the_table_says_what_the_main_graph_needs_and_whose_owners_ask():
    assert {entry.key for entry in CATALOGUE if entry.needed} == {"sd15", "capface", "clip_vision", "facenet", "mtcnn"}
    assert {entry.key for entry in CATALOGUE if entry.registration} == {"flame", "flame_texture", "deca"}
    assert {entry.key: entry.directories for entry in CATALOGUE if entry.also_in} == {"clip_vision": {"clip_vision", "capface"}}
    assert by_key("deca").directories == {"flame"}


def test_advice_is_the_install_line_or_where_to_get_and_put_it():
    assert advice(by_key("mtcnn")) == "pip install --no-deps facenet-pytorch with ComfyUI's own Python"
    assert advice(by_key("flame")) == ("get generic_model.pkl from FLAME (https://flame.is.tue.mpg.de), after registration, "
                                       "and put it into models/flame")
    assert plain("[a](b) and `c`") == "a (b) and c"


def test_originals_are_known_by_every_checksum_of_the_table():
    for entry in CATALOGUE:
        for digest in entry.checksums:
            assert known_checksum(digest) is entry
        if entry.download and entry.download.sha256:
            assert known_checksum(f"sha256:{entry.download.sha256}") is entry
    assert known_checksum("sha256:" + "0" * 64) is None


def test_names_of_downloads():
    facenet = by_key("facenet").download
    assert facenet.saved_as == "facenet_20180402_114759_vggface2.pth"

