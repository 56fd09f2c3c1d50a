"""Head models and weight files: what does not fit together is refused by name, what is read is exactly what was written."""
from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from caphuman_core.check import InputError
from caphuman_core.files import weights
from caphuman_core.files.catalogue import CATALOGUE, advice, by_key, known_checksum, plain
from caphuman_core.files.shared_file import read_shared, whole_number
from caphuman_core.head.model import flame_files as originals
from caphuman_core.head.model import head_model
from caphuman_core.head.model.albedo_files import is_texture, read_texture
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



# --- weight files, at their limits

def test_headers_are_bounded_before_they_are_parsed(monkeypatch):
    def header(content):
        return weights._read_header(io.BytesIO(content))
    two = b'{"a": 1, "b": 2}'
    whole = len(two).to_bytes(8, "little") + two
    assert header(whole + b"rest") == {"a": 1, "b": 2}
    for content, words in ((whole[:-1] + b"", "Expecting|not whole|delimiter"), (bytes(8), "a header of 0 bytes"),
                           ((2).to_bytes(8, "little") + b"[]", "not whole, or names too many"),
                           (((16 << 20) + 1).to_bytes(8, "little") + b"{}", f"a header of {(16 << 20) + 1} bytes"),
                           ((9).to_bytes(8, "little") + b"{}", "not whole, or names too many")):
        with pytest.raises(ValueError, match=words):
            header(content)
    monkeypatch.setattr(weights, "MOST_TENSORS", 2)
    assert len(header(whole)) == 2
    monkeypatch.setattr(weights, "MOST_TENSORS", 1)
    with pytest.raises(ValueError, match="too many tensors"):
        header(whole)
    monkeypatch.setattr(weights, "MOST_TENSORS", 2)
    monkeypatch.setattr(weights, "MOST_HEADER", len(two))
    assert len(header(whole)) == 2


@pytest.mark.parametrize("most", [0, 1 << 20])
def test_a_mapped_file_and_one_in_memory_give_the_same(tmp_path, monkeypatch, most):
    monkeypatch.setattr(weights, "MOST_IN_MEMORY", most)
    wanted = {"a": torch.arange(6.0).view(2, 3), "b": torch.zeros(0), "c": torch.tensor(True)}
    weights.write_safetensors(tmp_path / "x.sft", wanted, {"k": "v"})
    read = weights.read_state_dict(tmp_path / "x.sft", "model")
    assert set(read) == set(wanted)
    assert all(torch.equal(read[name], wanted[name]) for name in wanted)
    assert list(weights.read_state_dict(tmp_path / "x.sft", "model", lambda key: key == "c")) == ["c"]


def test_a_file_is_written_into_folders_that_are_made_for_it_and_over_an_older_one(tmp_path):
    path = tmp_path / "one" / "two" / "x.safetensors"
    for number in (1.0, 2.0):
        weights.write_safetensors(path, {"b": torch.full((3,), number), "a": torch.zeros(2, 2).T}, {"z": "1", "a": "\u00e4"})
        assert weights.read_state_dict(path, "model")["b"].tolist() == [number] * 3
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    assert data[8:8 + length].rstrip().decode() == (
        '{"__metadata__":{"a":"\u00e4","z":"1"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},'
        '"b":{"dtype":"F32","shape":[3],"data_offsets":[16,28]}}')
    assert [one.name for one in path.parent.iterdir()] == ["x.safetensors"]


@pytest.mark.parametrize("metadata", [b'{"__metadata__": 5}', b'{"__metadata__": {"a": 5}}', b'{"__metadata__": ["a"]}'])
def test_metadata_are_texts_by_names(tmp_path, metadata):
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(metadata).to_bytes(8, "little") + metadata)
    with pytest.raises(InputError,
                       match=r"model file 'x.safetensors' must be a complete .safetensors file, but got metadata that are no "
                                         r"texts: download or save it again"):
        weights.read_metadata(path, "model")
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    assert weights.read_metadata(path, "model") == {}


def test_what_could_not_be_read_is_told_with_its_size_in_a_line(tmp_path, monkeypatch):
    path = tmp_path / "x.pt"
    path.write_bytes(b"abcde")
    for error, reason in ((ValueError("first\nsecond"), "first"), (KeyError(), "KeyError"), (MemoryError("m"), "m"),
                          (ValueError("a" * 170), "a" * 160)):
        def fail(*_, error=error):
            raise error
        monkeypatch.setattr(weights, "read_torch", fail)
        with pytest.raises(InputError,
                           match=rf"complete, plain weight file, but got 5 bytes that could not be read \({reason}\): download"):
            weights.read_state_dict(path, "model")


def test_long_lists_of_keys_are_cut_after_six():
    assert weights._some(list("abcdef")) == "a, b, c, d, e, f"
    assert weights._some(list("abcdefg")) == "a, b, c, d, e, f and 1 more"


# --- shared files

def shared(tmp_path, tensors, info=None, **more):
    path = tmp_path / "a.head.safetensors"
    weights.write_safetensors(path, tensors, {"format": "f/1", **(info or {})})
    return read_shared(path, "head file 'a'", ("f/1",), "CapHuman Save Head", more.pop("most", 1 << 20),
                       frozenset({"x", "present"}), frozenset({"y"}))


def test_a_shared_file_holds_what_is_needed_and_nothing_strange(tmp_path):
    sound = {"x": torch.ones(2).half(), "present": torch.tensor([True])}
    read, info = shared(tmp_path, {**sound, "y": torch.zeros(1)}, {"more": "1"})
    assert (read["x"].dtype, read["present"].dtype, info["more"]) == (torch.float32, torch.bool, "1")
    fix = ": choose a file made by CapHuman Save Head."
    for tensors, info, words in (
            ({"present": sound["present"]}, {}, "must hold present, x, but got no x"),
            ({**sound, "z" * 90: torch.zeros(1)}, {}, f"must hold nothing else, but got '{'z' * 80}' in it"),
            (sound, {"format": "g" * 90}, f"must be of format f/1, but got '{'g' * 79}"),
            ({**sound, "present": torch.ones(1)}, {}, "must hold present as true or false, but got torch.float32"),
            ({**sound, "x": torch.ones(1, dtype=torch.int64)}, {}, "must hold x as floating-point numbers, but got torch.int64"),
            ({**sound, "y": torch.tensor([float("nan")])}, {}, "must hold finite numbers up to 1,000,000, but got others in y")):
        with pytest.raises(InputError) as error:
            shared(tmp_path, tensors, info)
        assert str(error.value) == f"head file 'a' {words}{fix}"


def test_a_shared_file_has_a_size(tmp_path):
    sound = {"x": torch.ones(2), "present": torch.tensor([True])}
    shared(tmp_path, sound)
    size = (tmp_path / "a.head.safetensors").stat().st_size
    assert shared(tmp_path, sound, most=size)
    with pytest.raises(InputError, match=f"must be a file of at most 0 MB, but got {size} bytes"):
        shared(tmp_path, sound, most=size - 1)
    for path in (tmp_path / "gone", tmp_path / "empty"):
        (tmp_path / "empty").write_bytes(b"")
        with pytest.raises(InputError, match="must be a file of at most 3 MB, but got no such file or an empty one"):
            read_shared(path, "head file 'a'", ("f/1",), "CapHuman Save Head", 3 << 20, frozenset())


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("512", 512), ("513", None), ("0", None), ("-1", None), ("", None), (None,
                                                                                                                             None),
                                              ("1.5", None), ("\u0662", None), ("000000001", 1), ("0000000001", None), (" 1",
                                                                                                                        None)])
def test_whole_numbers_of_metadata_are_plain_digits(text, number):
    assert whole_number(text, 512) == number


# --- textures

def texture_file(path, mean, basis, names=("mean", "tex_dir"), cut=None):
    """An .npz of these arrays; cut: the bytes that are left of the second one."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in zip(names, (mean, basis), strict=True):
            data = io.BytesIO()
            np.lib.format.write_array(data, array)
            archive.writestr(f"{name}.npy", data.getvalue() if cut is None or name == names[0] else data.getvalue()[:cut])
    return path


@pytest.fixture(scope="module")
def albedo():
    """A mean [512, 512, 3] and a basis of two components, bytes, blue first, with its place in every number."""
    place = np.arange(512 * 512 * 3, dtype=np.int64).reshape(512, 512, 3)
    return (place % 251).astype(np.uint8), np.stack([(place % 241), (place % 239)], -1).astype(np.uint8)


@pytest.mark.parametrize(("names", "scale"), [(("mean", "tex_dir"), 255.0), (("MU", "PC"), 1.0)])
@pytest.mark.parametrize("fortran", [False, True])
def test_every_second_texel_is_taken_red_first_in_either_order_and_unit(tmp_path, albedo, names, scale, fortran):
    mean, basis = (np.asfortranarray(array) if fortran else array for array in albedo)
    path = texture_file(tmp_path / "a.npz", mean, basis, names)
    assert is_texture(path)
    found, directions = read_texture(path)
    assert (found.shape, directions.shape) == ((3, 256, 256), (2, 3, 256, 256))
    assert found.dtype == directions.dtype == torch.float32
    for red, row, column in ((0, 3, 5), (2, 255, 0), (1, 0, 255)):
        assert float(found[red, row, column]) == pytest.approx(float(mean[2 * row, 2 * column, 2 - red]) / scale)
        assert float(directions[1, red, row, column]) == pytest.approx(float(basis[2 * row, 2 * column, 2 - red, 1]) / scale)


def test_fifty_components_are_used_of_up_to_four_hundred(tmp_path, albedo):
    def read(count, fortran):
        claimed = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (512, 512, 3, count), (0, 0, 0, 0))
        path = texture_file(tmp_path / "a.npz", albedo[0], np.zeros(0, np.uint8))
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": fortran, "shape": claimed.shape})
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("mean.npy", texture_bytes(albedo[0]))
            archive.writestr("tex_dir.npy", header.getvalue() + bytes(claimed.size if count <= 60 else 0))
        return read_texture(path)[1]
    assert len(read(49, True)) == 49
    assert len(read(51, True)) == 50
    for count, words in ((401, r"must hold 512 x 512 texels of 3 colours in tex_dir.npy, but got shape \[512, 512, 3, 401\]"),
                         (400, "it was cut short"), (0, r"but got shape \[512, 512, 3, 0\]")):
        with pytest.raises(InputError, match=words):
            read(count, True)


def texture_bytes(array):
    data = io.BytesIO()
    np.lib.format.write_array(data, array)
    return data.getvalue()


def test_what_is_wrong_with_a_texture_is_named(tmp_path, albedo):
    mean, basis = albedo
    assert not is_texture(tmp_path / "gone.npz")
    (tmp_path / "no.npz").write_bytes(b"no zip")
    assert not is_texture(tmp_path / "no.npz")
    other = texture_file(tmp_path / "other.npz", mean[:1], basis[:1], ("mean", "PC"))
    assert not is_texture(other)
    for path, words in ((other, r"must hold mean and tex_dir \(FLAME\) or MU and PC \(BFM\), but got mean.npy, PC.npy: use"),
                        (texture_file(tmp_path / "cut.npz", mean, basis, cut=5000),
                         r"must hold tex_dir.npy, but got .*it was cut short"),
                        (texture_file(tmp_path / "few.npz", mean[:, :, :2], basis),
                         r"texels of 3 colours in mean.npy, but got shape \[512, 512, 2\]"),
                        (texture_file(tmp_path / "text.npz", mean, np.array(["a"])),
                         r"must hold numbers in tex_dir.npy, but got an array of type <U1"),
                        (texture_file(tmp_path / "flat.npz", mean, np.asfortranarray(basis.reshape(512 * 512, 3, 2))),
                         r"in tex_dir.npy, but got shape \[262144, 3, 2\] in Fortran's order")):
        with pytest.raises(InputError, match=rf"texture file '{path.name}' .*{words}"):
            read_texture(path)
    with zipfile.ZipFile(tmp_path / "empty.npz", "w"):
        pass
    with pytest.raises(InputError, match=r"but got nothing: use FLAME_texture.npz as it is published"):
        read_texture(tmp_path / "empty.npz")
    flat = texture_file(tmp_path / "rows.npz", mean, basis.reshape(512 * 512, 3, 2))
    torch.testing.assert_close(read_texture(flat)[1], read_texture(texture_file(tmp_path / "a.npz", mean, basis))[1])


# --- FLAME's files, at their limits

def test_numbers_of_an_entry_are_real_finite_and_not_too_many(monkeypatch):
    monkeypatch.setattr(originals, "MOST_NUMBERS", 4)
    assert originals._numbers([[1, 2], [3, 4]], "file 'x'", "f", 2, "use another").tolist() == [[1, 2], [3, 4]]
    assert originals._numbers(np.array([True]), "file 'x'", "f", 1, "use another").dtype == bool
    for value, rank, words in (([[1], [2, 3]], 2, "must hold numbers in f, but got lists of different lengths"),
                               (["a"], 1, "must hold numbers in f, but got an array of type <U1"), ([1j], 1,
                                                                                                    "an array of type complex128"),
                               ([1], 2, r"must hold f with 2 axes, but got shape \[1\]"),
                               (range(5), 1, "must hold at most 4 numbers in f, but got 5"),
                               ([np.nan], 1, "must hold finite numbers in f, but got NaN or infinity"), ([np.inf], 1,
                                                                                                         "finite numbers")):
        with pytest.raises(InputError, match=f"file 'x' .*{words}.*: use another"):
            originals._numbers(value, "file 'x'", "f", rank, "use another")


def test_a_mesh_has_a_hundred_thousand_entries_and_sixteen_megabytes_at_most(tmp_path, monkeypatch):
    path = tmp_path / "a.obj"
    with path.open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(InputError, match=r"file 'a.obj' must have at most 16 MB, but got 16 MB: use head_template.obj"):
        read_obj(path)
    assert originals.MOST_OBJ_ENTRIES == 100_000
    monkeypatch.setattr(originals, "MOST_OBJ_ENTRIES", 2)
    path.write_text("vt 0 0\nvt 1 1\nf 1/1 2/2 3/1\n")
    assert read_obj(path)[0].tolist() == [[0, 0], [1, 1]]
    for more in ("vt 0 0\n", "f 1/1 2/2 3/1\nf 1/1 2/2 3/1\n"):
        path.write_text("vt 0 0\nvt 1 1\nf 1/1 2/2 3/1\n" + more)
        with pytest.raises(InputError, match="must have at most 2 triangles and texture coordinates, but got more"):
            read_obj(path)
    monkeypatch.setattr(originals, "MOST_OBJ_BYTES", path.stat().st_size)
    with pytest.raises(InputError, match="but got more"):
        read_obj(path)


def test_what_is_wrong_with_a_mesh_is_named(tmp_path):
    path = tmp_path / "a.obj"
    for text, words in (("f 1 2 3\n", r"but got faces of shape \[1, 3, 1\]"), ("f 1/1 2/1 3/1\n",
                                                                               r"but got texture coordinates of shape \[0\]"),
                        ("vt 1\nf 1/1 2/1 3/1\n", r"texture coordinates of shape \[1, 1\]"), ("vt a b\n", "could not convert")):
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            read_obj(path)


def test_directions_of_flame_are_the_first_hundred_and_the_first_fifty_expressions(flame_files):
    from caphuman_core.files.pickles import read_pickle
    content, made = read_pickle(flame_files.model, "head model"), load_flame(flame_files)
    shape = torch.from_numpy(np.asarray(content["shapedirs"])).float()
    assert torch.equal(made.identity_basis, shape[:, :, :100].permute(2, 0, 1))
    assert torch.equal(made.expression_basis, shape[:, :, 300:350].permute(2, 0, 1))
    assert torch.equal(made.pose_basis, torch.from_numpy(np.asarray(content["posedirs"])).float().permute(2, 0, 1))
    assert made.parents.tolist() == [-1, 0, 1, 1, 1]
    assert made.texture_basis.shape[0] <= 50


# --- head models, their packed tensors

def test_pose_rows_name_the_directions_that_are_there(tensors):
    rows = torch.tensor([35, 0, 9])
    packed = {**tensors, "pose_basis": torch.stack([torch.full_like(tensors["template"], value) for value in (1.0, 2.0, 3.0)])}
    whole = from_tensors({**packed, "pose_rows": rows}, "mine").pose_basis
    assert whole.shape == (36, len(tensors["template"]), 3)
    assert [float(whole[row].mean()) for row in (35, 0, 9)] == [1, 2, 3]
    assert float(whole.abs().sum((1, 2)).count_nonzero()) == 3
    for wrong in (rows[:2], torch.tensor([36, 0, 9]), torch.tensor([-1, 0, 9])):
        with pytest.raises(InputError,
                           match=r"'mine' must have one pose_rows entry below 36 for each direction of its pose_basis, but got \["):
            from_tensors({**packed, "pose_rows": wrong}, "mine")


def test_only_plain_numbers_make_a_model(tensors):
    for dtype, good in ((torch.float16, True), (torch.bfloat16, True), (torch.float64, True), (torch.bool, False),
                        (torch.complex64, False)):
        given = {**tensors, "uvs": tensors["uvs"].to(dtype)}
        if good:
            assert from_tensors(given, "mine").uvs.dtype == torch.float32
        else:
            with pytest.raises(InputError, match=f"'mine' must hold plain numbers, but got {dtype} in uvs: convert"):
                from_tensors(given, "mine")
    half = {name: value.bfloat16() if value.is_floating_point() else value for name, value in tensors.items()}
    assert from_tensors(half, "mine").fingerprint not in {from_tensors(tensors, "mine").fingerprint, weights.fingerprint({})}
    for dtype in (torch.int32, torch.int16):
        assert from_tensors({**tensors, "parents": tensors["parents"].to(dtype)}, "mine").parents.dtype == torch.int64
    assert float(from_tensors({name: value for name, value in tensors.items() if name != "gloss"}, "mine").gloss.abs().max()) == 0


def test_parents_come_before_their_children(tensors):
    for parents, good in (([-1, 0, 1, 1, 1], True), ([-1, 0, 1, 2, 3], True), ([-1, 1, 1, 1, 1], False), ([-1, 0, 2, 1, 1], False),
                          ([-1, 0, 1, 1, 4], False)):
        given = {**tensors, "parents": torch.tensor(parents)}
        if good:
            assert from_tensors(given, "mine").parents.tolist() == parents
        else:
            with pytest.raises(InputError, match="a mismatch in parents: use files of one"):
                from_tensors(given, "mine")


def test_names_are_lists_of_texts(tmp_path, tensors):
    info = {"format": "caphuman-head/1", "name": "N", "expression_names": '["a"]', "identity_names": '["b", "c"]',
            "texture_names": "[]"}
    path = tmp_path / "x.safetensors"
    weights.write_safetensors(path, tensors, info)
    made = load_file(path)
    assert (made.name, made.expression_names, made.identity_names, made.texture_names) == ("N", ("a",), ("b", "c"), ())
    assert made.fingerprint == weights.fingerprint(tensors)
    weights.write_safetensors(path, tensors, {"format": "caphuman-head/1", "fingerprint": "f"})
    assert (load_file(path).name, load_file(path).fingerprint, load_file(path, "M").name) == ("x", "f", "M")
    for text in ("5", '["a", 5]', "{", '{"a": 1}', "[" * 100_000):
        weights.write_safetensors(path, {}, {**info, "identity_names": text})
        with pytest.raises(InputError,
                           match=r"file 'x.safetensors' must hold identity_names as a list of names, but got .*: convert"):
            load_file(path)


def test_heads_of_earlier_built_in_models_are_continued_by_zeros():
    now, earlier, count = head_model._builtin_info()
    code = torch.ones(2, 3)
    mark, texture = head_model.up_to_date(next(iter(earlier)), code)
    assert (mark, texture.shape) == (now, (2, count))
    assert bool((texture[:, :3] == 1).all())
    assert float(texture[:, 3:].abs().max()) == 0
    assert head_model.up_to_date(next(iter(earlier)), torch.ones(1, count + 5))[1].shape == (1, count + 5)
    for mark in (now, "another"):
        assert head_model.up_to_date(mark, code) == (mark, code)


# --- the table, field by field

def test_each_field_of_the_table_holds_what_it_is_called():
    assert [entry.key for entry in CATALOGUE] == [
        "sd15", "capface", "clip_vision", "facenet", "mtcnn", "flame", "flame_landmarks", "flame_template", "flame_texture", "deca",
        "face_parsing", "openpose", "landmarker", "insightface"]
    for entry in CATALOGUE:
        assert entry.directory in {"checkpoints", "capface", "clip_vision", "facenet", "flame", "face_parsing", "controlnet",
                                   "detection",
                                   "insightface"}
        assert " " in entry.title or entry.title == "CapFace"
        assert isinstance(entry.names, tuple)
        assert entry.page.startswith("https://")
        assert not entry.where.startswith("https://")
        assert entry.licence in {"MIT", "Apache-2.0", "its owners', non-commercial", "CreativeML Open RAIL-M",
                                 "usually CreativeML Open RAIL-M"}
        assert type(entry.needed) is bool
        assert len(entry.use.split()) > 3
        assert all(":" in checksum for checksum in entry.checksums)
        if entry.download:
            assert entry.download.url.startswith("https://huggingface.co/")
            assert len(entry.download.sha256) in (0, 64)
            assert entry.download.name in entry.names
