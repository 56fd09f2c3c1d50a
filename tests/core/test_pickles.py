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
from caphuman_core.files.pickle_machine import Budget, Name, TooMuch
from caphuman_core.files.torch_storage import MAGIC, Storage, read_storage
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


# --- limits

def test_a_dense_matrix_has_four_million_numbers_at_most_and_is_paid_for():
    empty = {"data": np.zeros(0), "row": np.zeros(0, int), "col": np.zeros(0, int)}
    assert dense("coo_matrix", _shape=(2048, 2048), **empty).shape == (2048, 2048)
    for shape in ((2048, 2049), (-1, 3), (3, -1)):
        with pytest.raises(InputError, match=f"a dense size of {shape[0]} x {shape[1]}"):
            dense("coo_matrix", _shape=shape, **empty)
    with pytest.raises(InputError, match="a dense size of 2 x 3"):
        dense("coo_matrix", **{**COMPRESSED["coo_matrix"], "data": np.ones((3, 1))})
    for bytes_left, enough in ((48, True), (47, False)):
        matrix, budget = pickles._SparseCoo(), Budget(bytes=bytes_left)
        matrix.value = COMPRESSED["coo_matrix"]
        if enough:
            np.testing.assert_array_equal(pickles._dense(matrix, 0, budget), MATRIX)
            assert budget.bytes == 0
        else:
            with pytest.raises(TooMuch):
                pickles._dense(matrix, 0, budget)


def test_a_pickle_file_has_128_megabytes_at_most(tmp_path):
    path = tmp_path / "generic_model.pkl"
    with path.open("wb") as file:
        file.truncate((128 << 20) + 1)
    for read in (pickles.read_pickle, pickles.read_object_npy):
        with pytest.raises(InputError,
                           match=r"head model file 'generic_model.pkl' must have at most 128 MB, but got 128 MB: use the"):
            read(path, "head model")


@pytest.mark.parametrize("code", ["O", "V0", "S0", "f8" * 9, 5, None, "i4,O"])
def test_arrays_of_other_types_than_numbers_are_refused(code):
    with pytest.raises((ValueError, TypeError)):
        pickles._dtype_of(code)
    assert pickles._dtype_of("c16").itemsize == 16


def test_numbers_written_as_text_are_paid_for():
    budget = Budget(bytes=3)
    assert pickles._raw("\xffab", budget) == b"\xffab"
    with pytest.raises(TooMuch):
        pickles._raw("c", budget)
    assert pickles._raw(bytearray(b"ab"), budget) == b"ab"
    with pytest.raises(ValueError, match="an array without bytes"):
        pickles._raw(5, Budget())
    assert pickles._encode(Budget(bytes=4), "\xff") == b"\xff"
    assert pickles._encode(Budget(bytes=4), "\xff", "utf-8") == "\xff".encode()
    with pytest.raises(TooMuch):
        pickles._encode(Budget(bytes=3), "a")
    with pytest.raises(ValueError, match="an encoding of what is no text"):
        pickles._encode(Budget(), b"a")


def test_containers_made_by_calls_are_paid_for():
    for make, given, made in ((pickles._list, (1, 2), [1, 2]), (pickles._set, [1, 2], {1, 2}),
                              (pickles._dict, [(1, 2), (3, 4)], {1: 2, 3: 4})):
        budget = Budget(items=2)
        assert make(budget, given) == made
        assert budget.items == 0
        assert make(budget) == type(made)()
        with pytest.raises(TooMuch):
            make(Budget(items=1), given)
    with pytest.raises(ValueError, match="a container of what is none"):
        pickles._list(Budget(), "ab")
    with pytest.raises(TooMuch):
        pickles._set(Budget(), [1 << 60])
    with pytest.raises(TooMuch):
        pickles._dict(Budget(), [(1 << 60, 1)])


def test_lists_in_arrays_and_depth_are_counted():
    made, budget = pickles._Array(), Budget(items=3)
    made.build(budget, (1, (3, 1), None, False, [1, "a", None]))
    assert made.value.tolist() == [[1], ["a"], [None]]
    assert budget.items == 0
    turned = pickles._Array()
    turned.build(Budget(), (1, (2, 2), "u1", True, b"\0\1\2\3"))
    assert turned.value.tolist() == [[0, 2], [1, 3]]
    assert pickles._from_buffer(Budget(), b"\0\1\2\3", "u1", (2, 2), "C").value.tolist() == [[0, 1], [2, 3]]
    assert pickles._from_buffer(Budget(), b"\0\1\2\3", "u1", (2, 2), "F").value.tolist() == [[0, 2], [1, 3]]
    budget = Budget(items=4)
    assert pickles._plain([1, [2]], 0, budget) == [1, [2]]
    assert budget.items == 0, "one for each thing that is looked at"
    with pytest.raises(TooMuch):
        pickles._plain([1, [2]], 0, Budget(items=3))
    assert pickles._plain(Name("m", "n", list), 0, Budget()) is None


def test_an_error_is_told_by_the_first_120_letters_of_its_first_line():
    assert pickles.reason_of(ValueError("a" * 121 + "\nmore")) == "a" * 120
    assert pickles.reason_of(KeyError()) == "KeyError"
    assert pickles.reason_of(ValueError("  one\ntwo")) == "one"


@pytest.mark.parametrize(("offset", "size", "stride", "words"), [
    (0, [2], (1,), "without a shape"), (0, (2,), [1], "without a shape"), (0, (2,), (1, 1), "without a shape"),
    (-1, (2,), (1,), "negative shape"), (0, (-2,), (1,), "negative shape"), (1, (2,), (-1,), "negative shape"),
    (0, (2.0,), (1,), "negative shape"), (3, (2,), (1,), "2 numbers on a storage of 4"), (0, (5,), (0,),
                                                                                          "5 numbers on a storage of 4"),
    (0, (2,), (4,), "2 numbers on a storage of 4")])
def test_a_view_of_a_storage_in_a_pickle_stays_inside_it(offset, size, stride, words):
    storage = Storage(np.arange(4.0))
    with pytest.raises(ValueError, match=words):
        storage.view(Budget(), offset, size, stride)
    budget = Budget(bytes=32)
    assert storage.view(budget, 1, (3,), (1,)).tolist() == [1, 2, 3]
    assert budget.bytes == 8
    assert storage.view(budget, 4, (0, 2), (1, 1)).shape == (0, 2)
    assert storage.view(Budget(), 0, (4,), (0,)).tolist() == [0] * 4
    with pytest.raises(TooMuch):
        storage.view(budget, 0, (2,), (1,))


class Stored(pickle.Pickler):
    """Of the class itself, the reference to a storage that it is given as."""

    told: tuple = ()

    def persistent_id(self, thing):
        return self.told if thing is Stored else None


def storage_bytes(magic=MAGIC, system=None, told=("storage", torch.ShortStorage, "7", "cpu", 3, None), keys=("7",), length=3):
    """What torch.save wrote before 1.6 of a storage of three numbers."""
    file = io.BytesIO()
    for thing in (magic, 1001, {"little_endian": True} if system is None else system):
        pickle.dump(thing, file, 2)
    writer = Stored(file, 2)
    writer.told = told
    writer.dump(Stored)
    pickle.dump(list(keys), file, 2)
    file.write(struct.pack("<q3h", length, 5, -6, 7))
    return file.getvalue()


@pytest.mark.parametrize(("change", "words"), [
    ({"magic": MAGIC + 1}, "an unknown format"), ({"system": []}, "an unknown format"),
    ({"system": {"little_endian": False}}, "an unknown format"), ({"system": {"little_endian": 1}}, "an unknown format"),
    ({"system": {"x": np.float32}}, "a reference to numpy.float32"),
    ({"keys": ("7", "8")}, "not whole"), ({"keys": ("8",)}, "not whole"), ({"keys": ()}, "not whole"), ({"length": 2}, "not whole"),
    ({"told": ("module", torch.ShortStorage, "7", "cpu", 3, None)}, "an unknown format"),
    ({"told": ("storage", "ShortStorage", "7", "cpu", 3, None)}, "an unknown format"),
    ({"told": ("storage", torch.ShortStorage, 7, "cpu", 3, None)}, "an unknown format"),
    ({"told": ("storage", torch.ShortStorage, "7", "cpu", 3.0, None)}, "an unknown format"),
    ({"told": ("storage", torch.Size, "7", "cpu", 3, None)}, "a reference to torch.Size"),
    ({"told": ("storage", np.int16, "7", "cpu", 3, None)}, "a reference to numpy.int16"),
    ({"told": ("storage", Calls(torch.ShortStorage, 3), "7", "cpu", 3, None)}, "made by a call")])
def test_a_storage_in_a_pickle_is_what_torch_wrote_before_1_6(change, words):
    assert read_storage(storage_bytes(), Budget()).numbers.tolist() == [5, -6, 7]
    with pytest.raises(ValueError, match=words):
        read_storage(storage_bytes(**change), Budget())


@pytest.mark.parametrize(("dtype", "kind"), [
    (torch.float64, "f8"), (torch.float32, "f4"), (torch.float16, "f2"), (torch.int64, "i8"), (torch.int32, "i4"),
    (torch.int16, "i2"), (torch.int8, "i1"), (torch.uint8, "u1"), (torch.bool, "b1")])
def test_a_storage_in_a_pickle_has_torch_s_types(dtype, kind):
    file, numbers = io.BytesIO(), torch.tensor([3, 0, 200]).to(dtype)
    torch.save(numbers._typed_storage(), file, _use_new_zipfile_serialization=False)
    found = read_storage(file.getvalue(), Budget()).numbers
    assert found.dtype.str[1:] == kind
    assert found.tolist() == numbers.tolist()


def test_an_object_of_no_class_is_nothing_and_one_of_a_class_is_empty():
    """copyreg._reconstructor is given a class that the pickle has named, or something else."""
    assert pickles._reconstructed(Budget(), "list", object, None) is None
    assert pickles._reconstructed(Budget(), Name("m", "n", lambda budget: [budget.items]), object, None) == [Budget().items]


def boxed(inner):
    array = np.empty(1, dtype=object)
    array[0] = inner
    return array


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: (inner,), lambda inner: {"a": inner}, boxed])
def test_nesting_has_an_end_in_every_kind_of_container(wrap):
    value = 1
    for _ in range(50):
        value = wrap(value)
    pickles._plain(value, 0, Budget())
    with pytest.raises(ValueError, match="nested too deeply"):
        pickles._plain(wrap(value), 0, Budget())
