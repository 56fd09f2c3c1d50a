"""Torch's files read by ourselves: the same numbers as torch gives, and nothing runs, whatever torch.load has become."""
from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict

import pytest
import torch

from caphuman_core.capface.keys import read_capface
from caphuman_core.check import InputError
from caphuman_core.files import torch_files
from caphuman_core.files.convert import find_jobs
from caphuman_core.files.pickle_machine import Budget, Name, TooMuch, opaque
from caphuman_core.files.pickle_opcodes import opcodes
from caphuman_core.files.weights import read_state_dict

FORMATS = {"zip": True, "stream": False}
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8,
          torch.uint8, torch.bool)


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def content():
    """Everything that the field's checkpoints hold: kinds of numbers, views of one storage, levels, and what trains with them."""
    shared = numbers(4, 6)
    layer = torch.nn.Linear(3, 2)
    layer.weight.data = numbers(2, 3, seed=1)
    return {
        "state_dict": OrderedDict([
            *((f"kind.{dtype}", (numbers(5, seed=7) * 4).to(dtype)) for dtype in DTYPES),
            ("rows", shared[1:3]), ("expanded", torch.ones(1, 3).expand(4, 3)),
            ("turned", shared.t()), ("whole", shared), ("scalar", torch.tensor(3.5)),
            ("empty", torch.zeros(0, 4)), ("parameter", layer.weight), ("E_flame", {"encoder": {"weight": numbers(2, 2)}})]),
        "epoch": 12, "lr": 1e-5, "name": "run", "betas": (0.9, 0.99), "seen": {1, 2}, "kind": torch.float16,
        "optimizer_states": [{"state": {0: {"exp_avg": numbers(2, 3, seed=2)}}, "param_groups": [{"params": [0]}]}],
        "size": torch.Size([2, 3]), "device": torch.device("cpu"), "none": None, "counter": OrderedDict(a=1)}


def saved(path, what, form):
    torch.save(what, path, _use_new_zipfile_serialization=FORMATS[form])
    return path


def flat(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        elif isinstance(value, torch.Tensor):
            yield f"{prefix}{key}", value


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("form", FORMATS)
def test_the_numbers_are_torchs_own(tmp_path, monkeypatch, form, mapped):
    if mapped:
        monkeypatch.setattr(torch_files, "MOST_IN_MEMORY", 0)
    what = content()
    found = read_state_dict(saved(tmp_path / "x.ckpt", what, form), "model")
    want = dict(flat(what["state_dict"]))
    assert list(found) == list(want)
    for key, tensor in want.items():
        assert (found[key].dtype, found[key].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found[key], tensor.detach())


@pytest.mark.parametrize("form", FORMATS)
def test_views_of_one_storage_share_it(tmp_path, form):
    found = read_state_dict(saved(tmp_path / "x.pt", content(), form), "model")
    assert found["rows"].untyped_storage().data_ptr() == found["turned"].untyped_storage().data_ptr()


@pytest.mark.parametrize("form", FORMATS)
def test_only_what_is_kept_is_read(tmp_path, monkeypatch, form):
    read, inner = [], torch_files._numbers
    monkeypatch.setattr(torch_files, "_numbers", lambda raw, storage: read.append(storage.count) or inner(raw, storage))
    path = saved(tmp_path / "x.pt", {"large": numbers(1000), "small": numbers(3)}, form)
    assert list(read_state_dict(path, "model", keep=lambda key: key == "small")) == ["small"]
    assert read == [3]


def test_a_mapped_file_is_not_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_files, "MOST_IN_MEMORY", 0)
    path = saved(tmp_path / "x.pt", {"a": numbers(100)}, "zip")
    before = path.read_bytes()
    read_state_dict(path, "model")["a"].zero_()
    assert path.read_bytes() == before


# --- nothing runs


class Runs:
    """What a poisoned checkpoint carries: a command. It leaves a file behind."""

    def __init__(self, witness):
        self.recipe = os.system, (f"touch '{witness}'",)

    def __reduce__(self):
        return self.recipe


@pytest.fixture(params=["torch.load", "torch.load and its module", "untouched"])
def another_pack(request, monkeypatch):
    """What widely installed packs do when they are imported: everybody's torch.load runs what is in a file."""
    plain = torch.load

    def trusting(*arguments, **named):
        named["weights_only"] = False
        return plain(*arguments, **named)
    if request.param != "untouched":
        monkeypatch.setattr(torch, "load", trusting)
    if request.param.endswith("module"):
        monkeypatch.setattr(torch.serialization, "load", trusting)


@pytest.fixture
def witness(tmp_path):
    return tmp_path / "witness"


def poisoned(path, witness, form, beside=None):
    return saved(path, {**(beside or {"weight": numbers(2)}), "payload": Runs(witness)}, form)


READERS = {"weights": lambda path: read_state_dict(path, "model"), "CapFace": read_capface,
           "what is kept alone": lambda path: read_state_dict(path, "model", keep=lambda key: key == "weight"),
           "convert": lambda path: next(find_jobs([path]))}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("suffix", [".ckpt", ".pth", ".pt", ".tar", ".bin"])
def test_a_poisoned_file_runs_nothing(another_pack, tmp_path, witness, reader, form, suffix):
    path = poisoned(tmp_path / f"x{suffix}", witness, form)
    if reader == "convert":
        answer = READERS[reader](path)
    else:
        with pytest.raises(InputError) as error:
            READERS[reader](path)
        answer = str(error.value)
    assert "a reference to" in answer
    assert "system" in answer
    assert "\n" not in answer
    assert not witness.exists()


def test_the_witness_would_be_there(tmp_path, witness):
    """The test's own poison works where it is trusted."""
    torch.load(poisoned(tmp_path / "x.pt", witness, "zip"), weights_only=False)
    assert witness.exists()


@pytest.mark.parametrize("payload", [
    b"\x80\x02cbuiltins\neval\n(X\x03\x00\x00\x001+1tR.", b"\x80\x02ctorch\nload\n(X\x01\x00\x00\x00xtR.",
    b"\x80\x02ctorch._utils\n_rebuild_device_tensor_from_numpy\n(tR.", b"\x80\x02cos\nsystem\n.",
    b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    b"(S'x'\nios\nsystem\n.", b"\x80\x02}X\x01\x00\x00\x00acpathlib\nPosixPath\n)Rs."])
def test_names_beyond_tensors_are_refused(another_pack, tmp_path, payload):
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", payload)
    with pytest.raises(InputError):
        read_state_dict(path, "model")


# --- what is not whole


def entry(path, name, change):
    """The same zip with one entry changed, or left out."""
    with zipfile.ZipFile(path) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for info, data in entries:
            data = change(data) if info.filename.endswith(name) else data
            if data is not None:
                archive.writestr(info.filename, data)


def claiming(path, size, stride, offset=0, count=4):
    """A file whose one tensor claims a shape."""
    def tensor(_):
        parts = [b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n",
                 b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpu", pickle.dumps(count, 2)[2:-1], b"tQ", pickle.dumps(offset, 2)[2:-1],
                 pickle.dumps(size, 0)[:-1], pickle.dumps(stride, 0)[:-1], b"\x89ccollections\nOrderedDict\n)RtRs."]
        return b"".join(parts)
    saved(path, {"a": numbers(4)}, "zip")
    entry(path, "data.pkl", tensor)
    return path


def test_the_claiming_file_is_sound_where_it_claims_what_is_there(tmp_path):
    assert read_state_dict(claiming(tmp_path / "x.pt", (2, 2), (2, 1)), "model")["a"].shape == (2, 2)


@pytest.mark.parametrize(("size", "stride", "offset", "count"), [
    ((5,), (1,), 0, 4), ((4,), (1,), 1, 4), ((10**9,), (0,), 0, 4), ((2, 2), (1,), 0, 4), ((-1,), (1,), 0, 4), ((2,), (-1,), 3, 4),
    ((4,), (1,), 0, 5), ((4,), (1,), 0, -4), ((4,), (1,), 0, 1 << 60)])
def test_tensors_that_claim_more_than_is_there(tmp_path, size, stride, offset, count):
    with pytest.raises(InputError, match="must be a complete, plain weight file"):
        read_state_dict(claiming(tmp_path / "x.pt", size, stride, offset, count), "model")


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("change", [lambda data: data[:-4], lambda data: data + b"\0" * 4, lambda data: None])
def test_storages_that_are_not_whole(tmp_path, monkeypatch, change, mapped):
    monkeypatch.setattr(torch_files, "MOST_IN_MEMORY", 0 if mapped else 1 << 30)
    path = saved(tmp_path / "x.pt", {"a": numbers(8)}, "zip")
    entry(path, "data/0", change)
    with pytest.raises(InputError, match="is not whole"):
        read_state_dict(path, "model")


@pytest.mark.parametrize("form", FORMATS)
def test_files_cut_short_anywhere(tmp_path, form):
    whole = saved(tmp_path / "x.pt", content(), form).read_bytes()
    for share in range(1, 40):
        path = tmp_path / f"cut{share}.pt"
        path.write_bytes(whole[:len(whole) * share // 40])
        with pytest.raises(InputError, match="complete, plain weight file"):
            read_state_dict(path, "model")


def test_another_byte_order(tmp_path):
    path = saved(tmp_path / "x.pt", {"a": numbers(2)}, "zip")
    entry(path, "byteorder", lambda data: b"big")
    with pytest.raises(InputError, match="byte order"):
        read_state_dict(path, "model")


def test_a_compressed_entry_is_not_taken_for_numbers(tmp_path):
    path = tmp_path / "x.pt"
    saved(path, {"a": torch.zeros(1000)}, "zip")
    with zipfile.ZipFile(path) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    with pytest.raises(InputError, match="is not whole"):
        read_state_dict(path, "model")


def test_a_count_in_a_stream_that_is_another(tmp_path):
    path = saved(tmp_path / "x.pt", {"a": numbers(6)}, "stream")
    data = path.read_bytes()
    path.write_bytes(data[:-32] + struct.pack("<q", 7) + data[-24:])
    with pytest.raises(InputError, match="is not whole"):
        read_state_dict(path, "model")


# --- views and opcodes

@pytest.mark.parametrize(("offset", "shape", "stride", "fits"), [
    (0, (2, 2), (2, 1), True), (1, (2, 2), (2, 1), False), (0, (2, 2), (3, 1), False), (0, (5,), (1,), False), (3, (), (), True),
    (4, (), (), False), (9, (0, 7), (7, 1), True), (0, (1000,), (0,), True)])
def test_a_tensor_looks_at_no_more_than_its_storage_holds(offset, shape, stride, fits):
    storage = torch_files.Storage("0", "float32", 4)
    if fits:
        assert torch_files._view(Budget(), storage, offset, shape, stride).shape == shape
    else:
        with pytest.raises(ValueError, match="on a storage of 4"):
            torch_files._view(Budget(), storage, offset, shape, stride)


LENGTHS = {"BINBYTES": 4, "BINBYTES8": 8, "BINSTRING": 4, "BINUNICODE": 4, "BINUNICODE8": 8, "BYTEARRAY8": 8, "LONG4": 4}


@pytest.mark.parametrize("name", LENGTHS)
def test_long_arguments_are_passed_over_and_short_ones_read(name):
    code = next(opcode.code for opcode in pickletools.opcodes if opcode.name == name).encode("latin-1")
    for payload, seen in ((b"abcde", False), (b"a", True)):
        data = code + len(payload).to_bytes(LENGTHS[name], "little") + payload + b".rest"
        file = io.BytesIO(data)
        (first, argument), (last, _) = opcodes(file, longest=3)
        assert (first, last) == (name, "STOP")
        assert (argument is not None) == seen
        assert file.read() == b"rest"
    cut = code + (1000).to_bytes(LENGTHS[name], "little") + b"abcde."
    with pytest.raises(ValueError, match="more bytes than it has"):
        list(opcodes(io.BytesIO(cut), longest=3))


# --- each refusal in its own words, each limit at its last number

def told(path, **more):
    """Why a file is refused."""
    with pytest.raises((ValueError, InputError)) as error:
        torch_files.read_torch(path, "model file 'x'", **more)
    return str(error.value)


def zipped(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_pkl", ".pkl"), data)
    return path


def test_a_zip_is_torchs_by_its_pickle_which_has_an_end(tmp_path, monkeypatch):
    other = "it is a zip file, but not one of torch's"
    assert told(zipped(tmp_path / "a", x__other_pkl=b"N.")) == other
    path = zipped(tmp_path / "b", x__data_pkl=b"}.")
    assert torch_files.read_torch(path, "x") == {}
    monkeypatch.setattr(torch_files, "MOST_PICKLE", 2)
    assert torch_files.read_torch(path, "x") == {}
    monkeypatch.setattr(torch_files, "MOST_PICKLE", 1)
    assert told(path) == other


def test_a_byte_order_is_little_or_not_told(tmp_path):
    assert torch_files.read_torch(zipped(tmp_path / "a", x__data_pkl=b"}.", x__byteorder=b"little"), "x") == {}
    for order in (b"big", b"", b"little" + b" " * 11):
        assert told(zipped(tmp_path / "b", x__data_pkl=b"}.", x__byteorder=order)) == (
            "it was written on a machine of another byte order")


def stream(*objects, rest=b""):
    return b"".join(each if isinstance(each, bytes) else pickle.dumps(each, 2) for each in objects) + rest


SYSTEM = {"little_endian": True}


@pytest.mark.parametrize(("content", "words"), [
    (stream(5, 1001, SYSTEM, {}, []), "it is no torch file"), (stream(torch_files.MAGIC, 1001, {"little_endian": False}, {}, []),
                                                               "no torch file"),
    (stream(torch_files.MAGIC, 1001, [], {}, []), "it is no torch file"), (stream(torch_files.MAGIC, 1001, {"little_endian": 1},
                                                                                  {}, []), "it is no"),
    (stream(torch_files.MAGIC, 1001, SYSTEM, {}, {}), "it has no list of its storages"),
    (stream(torch_files.MAGIC, 1001, SYSTEM, {}, ["a", 5]), "it has no list of its storages"),
    (stream(torch_files.MAGIC, 1001, SYSTEM, b"cos\nsystem\n.", []), "a reference to os.system"),
    (stream(b"cos\nsystem\n.", 1001, SYSTEM, {}, []), "a reference to os.system")])
def test_a_stream_begins_with_five_pickles(tmp_path, content, words):
    (tmp_path / "a").write_bytes(content)
    assert words in told(tmp_path / "a")
    (tmp_path / "a").write_bytes(stream(torch_files.MAGIC, 1001, SYSTEM, {"a": {"b": 1}}, []))
    assert torch_files.read_torch(tmp_path / "a", "x") == {}


def test_storages_of_a_stream_are_all_there_and_known(tmp_path):
    path = saved(tmp_path / "a.pt", {"a": numbers(6), "b": numbers(3)}, "stream")
    data = path.read_bytes()
    path.write_bytes(data[:-2])
    assert told(path) == "it was cut short"
    keys = stream([])
    start = data.rindex(b"\x80\x02]")
    path.write_bytes(data[:start] + keys)
    assert "is not there" in told(path)
    path.write_bytes(data[:start] + stream(["9" * 50]) + bytes(8))
    assert told(path) == f"storage {'9' * 40!r} is not whole"


def test_storages_within_lists_are_walked_over_too(tmp_path):
    path = saved(tmp_path / "a.pt", {"list": [numbers(5), (numbers(7), {"x": numbers(2)})], "a": numbers(3, seed=4)}, "stream")
    found = torch_files.read_torch(path, "x")
    assert list(found) == ["a"]
    assert torch.equal(found["a"], numbers(3, seed=4))


@pytest.mark.parametrize(("reference", "sound"), [
    (("storage", "kind", "0", "cpu", 4), True), (("storage", "kind", "0", "cpu", 4, None), True), (("storage", "kind", "0", "cpu",
                                                                                                    0), True),
    (("storage", "kind", "0", "cpu", 4, 1), False), (("storage", "kind", "0", "cpu"), False), (("module", "kind", "0", "cpu", 4),
                                                                                               False),
    (["storage", "kind", "0", "cpu", 4], False), (("storage", "kind", "0", "cpu", 4, None, None), False),
    (("storage", "other", "0", "cpu", 4), False), (("storage", "kind", 0, "cpu", 4), False), (("storage", "kind", "0", "cpu", "4"),
                                                                                              False),
    (("storage", "kind", "0", "cpu", -1), False), (("storage", 5, "0", "cpu", 4), False)])
def test_a_reference_names_a_storage(reference, sound):
    names = {"kind": Name("torch", "HalfStorage", opaque), "other": Name("torch", "QuantisedStorage", opaque)}
    told = type(reference)(names.get(part, part) if isinstance(part, str) else part for part in reference)
    if sound:
        storage = torch_files._reference(told)
        assert (storage.key, storage.dtype, storage.count, storage.size) == ("0", "float16", told[4], 2 * told[4])
    else:
        with pytest.raises(ValueError, match="a storage in an unknown format"):
            torch_files._reference(told)


@pytest.mark.parametrize("change", [{"storage": 5}, {"shape": [2]}, {"stride": [1]}, {"offset": -1}, {"shape": (-2,)},
                                    {"stride": (-1,)},
                                    {"shape": (2.0,)}, {"offset": None}])
def test_a_tensor_has_a_storage_and_a_shape(change):
    sound = {"storage": torch_files.Storage("0", "float32", 4), "offset": 0, "shape": (2,), "stride": (1,)}
    assert torch_files._view(Budget(), *sound.values(), "more", "and more").shape == (2,)
    with pytest.raises(ValueError, match="a tensor without a shape or a storage"):
        torch_files._view(Budget(), *{**sound, **change}.values())


def test_expanded_tensors_may_claim_two_gigabytes_beyond_the_file(tmp_path):
    storage = torch_files.Storage("0", "float32", 4)
    assert torch_files.View(storage, 0, (10,), (0,)).unfounded == 6 * 4
    assert torch_files.View(storage, 0, (3,), (1,)).unfounded == 0
    most = (2 << 30) // 4
    for size, good in (((most + 4,), True), ((most + 5,), False)):
        path = claiming(tmp_path / "x.pt", size, (0,))
        if good:
            assert torch_files.read_torch(path, "x")["a"].shape == size
        else:
            assert told(path) == "tensors that claim far more numbers than the file holds"


def test_the_size_of_a_storage_is_that_of_its_numbers():
    for dtype in torch_files.TYPES.values():
        kind = getattr(torch, dtype)
        assert torch_files.BYTES[dtype] == torch.empty(0, dtype=kind).element_size()
        stored = torch_files.Storage("0", dtype, 3)
        assert torch_files._numbers(bytes(stored.size), stored).dtype == kind
        with pytest.raises(ValueError, match="it was cut short"):
            torch_files._numbers(bytes(stored.size - 1), stored)
    assert torch_files._numbers(b"", torch_files.Storage("0", "int8", 0)).tolist() == []


def test_what_trains_beside_the_weights_is_passed_over_and_nothing_else(tmp_path):
    for name in ("pytorch_lightning.x\nY", "lightning\nY", "lightning_fabric.a.b\nY", "lightning_utilities\nY", "omegaconf.z\nY",
                 "torch\nFloatStorage", "torch.storage\nFloatStorage", "torch\nSize", "torch\nfloat16", "numpy\ndtype",
                 "numpy.core.multiarray\nscalar", "collections\ndeque", "builtins\nset", "__builtin__\nlist",
                 "copyreg\n_reconstructor"):
        path = zipped(tmp_path / "a", x__data_pkl=b"}X\x01\x00\x00\x00ac" + name.encode() + b"\n)Rs.")
        assert torch_files.read_torch(path, "x") == {}
    for name in ("lightningx\nY", "mine.lightning\nY", "torch\nload", "builtins\neval", "torch.other\nFloatStorage", "os\nsystem"):
        path = zipped(tmp_path / "a", x__data_pkl=b"}X\x01\x00\x00\x00ac" + name.encode() + b"\n)Rs.")
        assert told(path) == ("model file 'x' must be a complete, plain weight file, but got a reference to "
                              f"{name.replace(chr(10), '.')}: do not use this file; get the original from its owners.")


def test_dictionaries_of_a_checkpoint_keep_entries_named_by_texts():
    assert torch_files._dictionary(Budget()) == {}
    assert torch_files._dictionary(Budget(), {"a": 1}) == {"a": 1}
    assert torch_files._dictionary(Budget(), 5) == {}
    budget = Budget(items=2)
    assert torch_files._dictionary(budget, [("a", 1), (2, 3)]) == {"a": 1}
    assert budget.items == 0
    with pytest.raises(TooMuch):
        torch_files._dictionary(Budget(items=1), [("a", 1), ("b", 2)])


def test_a_lone_level_called_state_dict_is_dropped_and_levels_are_joined_by_dots(tmp_path):
    path = saved(tmp_path / "a.pt", {"state_dict": {"a": {"b": numbers(1)}}, "c": numbers(1)}, "zip")
    assert list(torch_files.read_torch(path, "x")) == ["a.b"]
    path = saved(tmp_path / "a.pt", {"state_dict": numbers(1), "c": {"d": numbers(1)}}, "zip")
    assert list(torch_files.read_torch(path, "x")) == ["state_dict", "c.d"]


def test_entries_that_lie_over_one_another_are_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.pt", {"a": numbers(100), "b": numbers(100, seed=1)}, "zip")
    source = torch_files._Zip(path, "x")
    assert len(source.read([torch_files.Storage("0", "float32", 100)])) == 1
    for info in source.entries.values():
        info.file_size = path.stat().st_size // 2 + 4
    with pytest.raises(ValueError, match="entries that lie over one another"):
        source.read([torch_files.Storage(key, "uint8", path.stat().st_size // 2 + 4) for key in "01"])


def test_an_entry_whose_own_header_is_gone_was_cut_short(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_files, "MOST_IN_MEMORY", 0)
    path = saved(tmp_path / "a.pt", {"a": numbers(100)}, "zip")
    source = torch_files._Zip(path, "x")
    info = source.entries["a/data/0"]
    assert path.read_bytes()[source._start(info):][:400] == numbers(100).numpy().tobytes()
    info.file_size = path.stat().st_size - source._start(info)
    assert source._start(info) > 0, "to the last byte"
    info.file_size += 1
    with pytest.raises(ValueError, match="it was cut short"):
        source._start(info)
    info.header_offset += 1
    info.file_size = 1
    with pytest.raises(ValueError, match="it was cut short"):
        source._start(info)
