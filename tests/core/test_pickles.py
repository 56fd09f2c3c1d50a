"""Hostile and broken files: nothing runs, one sentence each."""
from __future__ import annotations

import builtins
import copyreg
import io
import os
import pickle
import struct

import numpy as np
import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.files import pickles
from caphuman_core.files.weights import read_state_dict
from caphuman_core.head.model.flame_files import find_flame_files, load_flame


class Calls:
    def __init__(self, function, *arguments):
        self.recipe = (function, arguments)

    def __reduce__(self):
        return self.recipe


HOSTILE = {
    "os.system": Calls(os.system, "touch /nonexistent/evil"),
    "eval": Calls(builtins.eval, "1+1"),
    "torch.load": Calls(torch.load, "x"),
    "getattr": Calls(getattr, "x", "upper"),
    "numpy.load": Calls(np.load, "x"),
    "fromfile": Calls(np.fromfile, "x"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_code_in_a_pickle_is_refused_by_name(name, protocol):
    with pytest.raises(InputError, match="must hold nothing but arrays, but got a reference to"):
        pickles.loads(pickle.dumps({"v_template": HOSTILE[name]}, protocol), "head model file 'x.pkl'")


OPCODES = {
    "INST": b"(S'echo'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'echo'\no.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "EXT1": b"\x80\x02\x82\x01.",
    "PERSID": b"Pabc\n.",
    "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.",
    "huge memo index": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "huge declared string": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
    "deep tuples": b"\x80\x02" + b")" + b"\x85" * 200_000 + b"}.",
    "truncated": pickle.dumps(np.zeros(100))[:-50],
    "empty": b"",
    "text": b"hello",
}


@pytest.mark.parametrize("name", OPCODES)
def test_every_odd_opcode_is_refused_in_one_sentence(name):
    with pytest.raises(InputError) as caught:
        pickles.loads(OPCODES[name], "head model file 'x.pkl'")
    assert str(caught.value).startswith("head model file 'x.pkl' must")
    assert "\n" not in str(caught.value)


def test_a_declared_array_size_allocates_nothing():
    bomb = Calls(np.ndarray, (1 << 40,))
    made = pickles.loads(pickle.dumps({"a": 1, "b": np.arange(3)}), "x")
    assert made["b"].tolist() == [0, 1, 2]
    with pytest.raises(InputError):      # the stand-in takes no size
        pickles.loads(pickle.dumps(bomb), "x")


def test_a_pickle_that_asks_for_more_memory_than_there_is_says_how_large_it_is(monkeypatch):
    def full(*_):
        raise MemoryError
    monkeypatch.setattr(pickles.Machine, "run", full)
    with pytest.raises(InputError, match=r"^head model file 'x.pkl' must fit into memory, but got 3 bytes that declare more: use"):
        pickles.loads(b"123", "head model file 'x.pkl'")


def test_a_file_that_is_too_large_is_not_even_read(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MOST_FILE_BYTES", 3 << 20)
    path = tmp_path / "generic_model.pkl"
    for extra, refused in ((0, False), (1, True)):
        with path.open("wb") as file:
            file.truncate((3 << 20) + extra)
        with pytest.raises(InputError) as error:
            pickles.read_pickle(path, "head model")
        assert ("must have at most 3 MB, but got 3 MB: use the original file." in str(error.value)) == refused


class MadeByName:
    """Protocol 4 pickles it as an object made with named arguments, none where `names` is empty."""

    def __init__(self, names):
        self.names = names

    def __reduce_ex__(self, _):
        return copyreg.__newobj_ex__, (np.dtype, ("f8",), self.names)


@pytest.mark.parametrize("names", [{}, {"copy": True}])
def test_objects_made_with_named_arguments_are_refused_and_others_are_made(names):
    data = pickle.dumps(MadeByName(names), protocol=4)
    assert b"\x92" in data                                      # the opcode in question
    if names:
        with pytest.raises(InputError, match="named arguments"):
            pickles.loads(data, "x")
    else:
        pickles.loads(data, "x")


def test_arrays_survive_every_protocol():
    wanted = {"f": np.arange(6, dtype=np.uint32).reshape(2, 3),
              "w": np.asfortranarray(np.random.default_rng(0).normal(size=(3, 4)))}
    for protocol in (0, 1, 2, 3, 4, 5):
        got = pickles.loads(pickle.dumps(wanted, protocol), "x")
        for key, array in wanted.items():
            np.testing.assert_array_equal(got[key], array)


@pytest.mark.parametrize("cut", [10, 1000, -100])
def test_truncated_models_are_named(tmp_path, flame_folder, cut):
    for path in flame_folder.iterdir():
        if path.suffix != ".npz":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "generic_model.pkl").write_bytes((flame_folder / "generic_model.pkl").read_bytes()[:cut])
    with pytest.raises(InputError, match=r"head model file 'generic_model\.pkl' must"):
        load_flame(find_flame_files(tmp_path / "generic_model.pkl", []))


def test_wrong_topology_is_named(tmp_path, flame_folder):
    for path in flame_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() if path.suffix != ".obj"
                                           else path.read_bytes().rsplit(b"f ", 1)[0])
    with pytest.raises(InputError, match=r"head_template\.obj' must have the triangles of generic_model\.pkl"):
        load_flame(find_flame_files(tmp_path / "generic_model.pkl", []))


def test_a_hostile_torch_file_runs_nothing(tmp_path):
    path = tmp_path / "deca_model.tar"
    torch.save({"E_flame": Calls(os.system, f"touch {tmp_path / 'evil'}")}, path)
    with pytest.raises(InputError, match=r"deca_model\.tar' must be a complete, plain weight file"):
        read_state_dict(path, "head fitter")
    assert not (tmp_path / "evil").exists()


def test_a_truncated_safetensors_file_is_named(tmp_path):
    from safetensors.torch import save
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"a": torch.zeros(100)})[:-10])
    with pytest.raises(InputError, match=r"x\.safetensors' must be a complete, plain weight file"):
        read_state_dict(path, "model")


def test_old_torch_files_are_read(tmp_path):
    data = io.BytesIO()
    torch.save({"state_dict": {"a": torch.ones(2)}}, data, _use_new_zipfile_serialization=False)
    path = tmp_path / "old.pth"
    path.write_bytes(data.getvalue())
    assert torch.equal(read_state_dict(path, "model")["a"], torch.ones(2))


def test_a_training_checkpoint_gives_its_weights_and_runs_nothing(tmp_path, monkeypatch):
    """Lightning checkpoints carry callback classes and configuration objects beside the weights."""
    import sys
    import types
    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": module.__name__})
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    made = module.ModelCheckpoint()
    made.best = 3
    torch.save({"state_dict": {"control_model.x": torch.ones(2)}, "callbacks": {module.ModelCheckpoint: {"best": made}}},
               tmp_path / "caphuman.ckpt")
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks", module.__name__):
        monkeypatch.delitem(sys.modules, name)
    assert list(read_state_dict(tmp_path / "caphuman.ckpt", "CapFace")) == ["control_model.x"]
    torch.save({"state_dict": {"a": torch.ones(2)}, "hooks": Calls(os.system, f"touch {tmp_path / 'evil'}")}, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match="must be a complete, plain weight file"):
        read_state_dict(tmp_path / "x.ckpt", "CapFace")
    assert not (tmp_path / "evil").exists()


def dense(kind, **state):
    """What is read of a matrix of scipy's with that state."""
    from scipy import sparse
    made = getattr(sparse, kind)((1, 1))
    vars(made).clear()
    vars(made).update(state)
    return pickles.loads(pickle.dumps(made, 4), "x")


MATRIX = np.array([[0, 2.0, 0], [3, 0, 4]])
COMPRESSED = {
    "csc_matrix": {"_shape": (2, 3), "data": np.array([3, 2, 4.0]), "indices": np.array([1, 0, 1]),
                   "indptr": np.array([0, 1, 2, 3])},
    "csr_matrix": {"_shape": (2, 3), "data": np.array([2, 3, 4.0]), "indices": np.array([1, 0, 2]), "indptr": np.array([0, 1, 3])},
    "coo_matrix": {"_shape": (2, 3), "data": np.array([2, 3, 4.0]), "row": np.array([0, 1, 1]), "col": np.array([1, 0, 2])},
}


@pytest.mark.parametrize("kind", COMPRESSED)
def test_sparse_matrices_become_dense_whichever_way_they_are_compressed(kind):
    np.testing.assert_array_equal(dense(kind, **COMPRESSED[kind]), MATRIX)
    old = {key.replace("_shape", "shape"): value for key, value in COMPRESSED[kind].items()}           # as old scipy named it
    np.testing.assert_array_equal(dense(kind, **old), MATRIX)


def test_entries_of_one_place_add_up():
    twice = {**COMPRESSED["coo_matrix"], "row": np.array([1, 1, 1]), "col": np.array([2, 2, 0])}
    assert dense("coo_matrix", **twice).tolist() == [[0, 0, 0], [4, 0, 5]]


@pytest.mark.parametrize(("kind", "change", "words"), [
    ("csc_matrix", {"indptr": np.array([0, 1, 2, 2])}, "index pointers that do not fit"),
    ("csc_matrix", {"indptr": np.array([0, 2, 1, 3])}, "index pointers that do not fit"),
    ("csr_matrix", {"indices": np.array([1, -1, 2])}, "negative indices"),
    ("coo_matrix", {"row": np.array([0, 1, -1])}, "negative indices"),
    ("csr_matrix", {"indices": np.array([1, 0, 3])}, "out of bounds"),
    ("csr_matrix", {"_shape": (1 << 15, 1 << 14)}, "dense size of 32768 x 16384"),
])
def test_sparse_matrices_that_do_not_fit_together_are_refused(kind, change, words):
    with pytest.raises(InputError, match=words):
        dense(kind, **{**COMPRESSED[kind], **change})


def test_an_empty_sparse_matrix_is_all_zero():
    empty = {"_shape": (2, 3), "data": np.zeros(0), "indices": np.zeros(0, int), "indptr": np.zeros(4, int)}
    assert dense("csc_matrix", **empty).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_plain_things_come_back_as_they_were():
    wanted = {"a": [1, (2.5, "x")], "b": {"c": None, "d": True}, "e": np.float32(1.5), "f": {1, 2}}
    got = pickles.loads(pickle.dumps(wanted), "x")
    assert got == wanted
    assert type(got["a"][1]) is tuple


def test_arrays_of_objects_are_looked_into():
    boxed = np.empty((2, 1), dtype=object)
    boxed[0, 0], boxed[1, 0] = np.arange(3), "word"
    got = pickles.loads(pickle.dumps({"o": boxed}), "x")["o"]
    assert got.shape == (2, 1)
    assert got[0, 0].tolist() == [0, 1, 2]
    assert got[1, 0] == "word"


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">i2", "<u4", "|b1", "<c16"])
def test_arrays_of_any_byte_order_keep_their_numbers(dtype):
    wanted = np.arange(6).reshape(2, 3).astype(dtype)
    got = pickles.loads(pickle.dumps(wanted, 2), "x")
    np.testing.assert_array_equal(got, wanted)
    assert got.dtype == wanted.dtype


def test_nesting_has_an_end():
    def nested(depth):
        inner = 1
        for _ in range(depth):
            inner = [inner]
        return pickle.dumps(inner)
    assert pickles.loads(nested(50), "x")
    with pytest.raises(InputError, match="nested too deeply"):
        pickles.loads(nested(51), "x")


@pytest.mark.parametrize(("array", "words"), [(np.zeros((2, 2)), r"must hold one pickled object, but got an array float64\[2, 2\]"),
                                              (np.array([{}, {}], dtype=object), r"must hold one pickled object, but got an arr")])
def test_an_npy_file_of_plain_arrays_is_no_table_of_landmarks(tmp_path, array, words):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=words):
        pickles.read_object_npy(tmp_path / "a.npy", "landmark")
    (tmp_path / "a.npy").write_bytes(b"x")
    with pytest.raises(InputError, match=r"landmark file 'a.npy' must be a .npy file"):
        pickles.read_object_npy(tmp_path / "a.npy", "landmark")


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_an_npy_file_of_one_object_gives_that_object(tmp_path, version):
    boxed = np.array({"a": np.arange(2)}, dtype=object)
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, boxed, version, allow_pickle=True)
    assert pickles.read_object_npy(tmp_path / "a.npy", "landmark")["a"].tolist() == [0, 1]
