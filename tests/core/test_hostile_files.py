"""Small hostile files: whatever a kilobyte asks for, the answer is one sentence and little work."""
from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import hostile_pickles
import numpy as np
import pytest
import tiny_flame
import torch

from caphuman_core.check import InputError
from caphuman_core.convert import main as convert
from caphuman_core.files import pickle_machine, pickles
from caphuman_core.files.pickle_machine import Budget, Machine
from caphuman_core.files.recognising import peek
from caphuman_core.head.model.flame_files import find_flame_files, load_flame

ROOT = Path(__file__).resolve().parents[2]
MOST_MORE_BYTES = 500 << 20              # beyond what Python, numpy and the file itself take
CHILD = """
import json, resource, sys
import hostile_pickles
from caphuman_core.files import pickles
from caphuman_core.check import InputError
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))         # a guard only: without it a failure would last for hours
said = {}
for name, make in hostile_pickles.CASES.items():
    data = make()
    in_use = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + int(sys.argv[1]), -1))
    try:
        pickles.loads(data, "head model file 'x.pkl'")
        said[name] = "sound"
    except InputError as error:
        said[name] = str(error)
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
print(json.dumps(said))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="optional: limits of memory are Linux's")
def test_hostile_pickles_are_refused_within_bounded_memory():
    told = subprocess.run([sys.executable, "-c", CHILD, str(MOST_MORE_BYTES)], cwd=ROOT, capture_output=True, text=True,
                          check=False, env={**os.environ, "PYTHONPATH": str(ROOT / "tests")})
    assert told.returncode == 0, told.stderr[-2000:]
    said = json.loads(told.stdout)
    assert set(said) == set(hostile_pickles.CASES)
    assert [name for name, sentence in said.items() if not sentence.startswith("head model file 'x.pkl' must")] == []
    assert [name for name, sentence in said.items() if "must fit into memory" in sentence] == [], "refused before it is allocated"


@pytest.mark.parametrize("name", hostile_pickles.CASES)
def test_a_hostile_pickle_is_little_work(name, monkeypatch):
    """Counted: steps of the machine, items copied or looked at, bytes allocated."""
    spent = []

    class Counted(Budget):
        def __init__(self):
            super().__init__()
            spent.append(self)
    monkeypatch.setattr(pickles, "Budget", Counted)
    with pytest.raises(InputError):
        pickles.loads(hostile_pickles.CASES[name](), "x")
    (budget,) = spent
    assert pickle_machine.MOST_OPCODES - budget.opcodes <= 400_001
    assert budget.items >= -400_000                         # one refused step may ask for as much again
    assert budget.bytes >= -(64 << 20)


def in_flame_folder(folder: Path, file: str, data: bytes) -> Path:
    path = tiny_flame.write(folder, texture=False)
    (folder / file).write_bytes(data)
    return path


def object_npy(data: bytes) -> bytes:
    """A .npy file of one pickled object."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    return file.getvalue() + data


@pytest.mark.parametrize("name", ["nested pairs as a key", "nested hundreds in a set", "a dictionary of 900,000 equal hashes",
                                  "five views of a gigabyte"])
@pytest.mark.parametrize("file", ["generic_model.pkl", "landmark_embedding.npy"])
def test_they_are_refused_wherever_a_pickle_is_read(tmp_path, capsys, name, file):
    data = hostile_pickles.CASES[name]()
    path = in_flame_folder(tmp_path, file, data if file.endswith(".pkl") else object_npy(data))
    with pytest.raises(InputError, match=file.replace(".", r"\.")):
        load_flame(find_flame_files(path, []))
    assert peek(tmp_path / file).keys in ((), ("flame_landmarks",))
    assert convert([str(path), "--out", str(tmp_path / "out")]) != 0
    assert file in "".join(capsys.readouterr())


def test_an_ordinary_pickle_of_every_protocol_is_what_python_reads():
    """The machine beside Python's own unpickler, for data of every plain kind."""
    shared = [1, 2]
    data = {"a": (1, -2, 3 ** 50, 2.5, True, None), "text": "ä" * 300, "bytes": b"\xff" * 300, "set": {1, "x"}, 7: shared,
            "again": shared, "nested": {"deep": [{}, (), ((1,), "x" * 70_000)]}, "array": np.arange(5.0)}
    for protocol in range(6):
        made = pickles.loads(pickle.dumps(data, protocol), "x")
        np.testing.assert_array_equal(made.pop("array"), data["array"])
        assert made == {key: value for key, value in data.items() if key != "array"}


def test_arrays_of_python_2_are_read_as_text():
    """Python 2 wrote the bytes of an array as a string, in the text form (protocol 0) with escapes."""
    numbers = np.array([0.5, -1e300, 255.0])
    raw = numbers.tobytes()
    escaped = "".join(f"\\x{byte:02x}" for byte in raw).encode()
    program = (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I3\ntcnumpy\ndtype\n(S'f8'\nI0\nI1\ntR"
               b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'" + escaped + b"'\ntb.")
    np.testing.assert_array_equal(pickles.loads(program, "x"), numbers)
    np.testing.assert_array_equal(pickle.loads(program, encoding="latin1"), numbers)        # noqa: S301 our own bytes


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16, torch.uint8,
                                   torch.bool])
def test_tensors_in_a_pickle_are_their_numbers(dtype):
    whole = (torch.arange(24).reshape(2, 3, 4) % 5).to(dtype)
    for tensor in (whole, whole.transpose(0, 2), whole[:, 1:], whole[0, 0, 0], whole[:0]):
        np.testing.assert_array_equal(pickles.loads(pickle.dumps(tensor), "x"), tensor.numpy())


def test_a_machine_refuses_what_it_was_not_given():
    """What a caller allows is all there is: no name, no persistent reference, no opcode of old classes."""
    def nothing(module, name):
        raise ValueError(f"{module}.{name}")
    for program in (b"cos\nsystem\n.", b"Pabc\n.", b"(S'x'\nios\nsystem\n.", b"\x80\x02\x82\x01.", b"}.}", b"", b"}}.", b"(}.",
                    b"}\x940.", b"K\x01a.", b"h\x05.", b"0.", b"K\x01}b."):
        machine = Machine(nothing, Budget())
        if program == b"}.}":
            assert machine.run(io.BytesIO(program)) == {}, "what comes behind is the caller's"
            continue
        with pytest.raises((ValueError, LookupError)):
            machine.run(io.BytesIO(program))
    assert Machine(nothing, Budget(), lambda key: key + "!").run(io.BytesIO(b"Pabc\n.")) == "abc!"


# --- the machine's own rules

def run(program, budget=None, names=(), persistent=None):
    """What a program makes, with names that stand for making a tuple of their arguments."""
    def resolve(module, name):
        if name not in names:
            raise ValueError(f"{module}.{name}")
        return lambda _budget, *arguments: arguments
    return Machine(resolve, budget or Budget(), persistent).run(io.BytesIO(program))


@pytest.mark.parametrize(("program", "made"), [
    (b"N2\x86.", (None, None)), (b"K\x05(0.", 5), (b"K\x05K\x060.", 5), (b"K\x05(K\x01K\x021.", 5), (b"(K\x01\x91.",
                                                                                                     frozenset({1})),
    (b"\x8f(K\x01K\x02\x90.", {1, 2}), (b"](K\x01K\x02e.", [1, 2]), (b"]K\x01a.", [1]), (b"}K\x01K\x02s.", {1: 2}),
    (b"}(K\x01K\x02K\x03K\x04u.", {1: 2, 3: 4}), (b"(K\x01K\x02d.", {1: 2}), (b"(K\x01K\x02l.", [1, 2]), (b"(K\x01K\x02t.", (1, 2)),
    (b"K\x01\x85.", (1,)), (b"K\x01K\x02K\x03\x87.", (1, 2, 3)), (b"\x88\x89N\x87.", (True, False, None)), (b")]\x86.", ((), [])),
    (b"K\x07p3\n0g3\n.", 7), (b"K\x07\x94K\x08\x940h\x00\x86.", (7, 7)), (b"(K\x07\x94K\x08\x94h\x00h\x01t.", (7, 8, 7, 8)),
    (b"cm\nf\nK\x01\x85R.", (1,)), (b"\x8c\x01m\x8c\x01f\x93K\x01\x85\x81.", (1,)),
    (b"K\x07Q.", "<7>"), (b"P7\n.", "<7>"),
])
def test_each_opcode_does_what_pickles_mean_by_it(program, made):
    assert run(program, names=("f",), persistent=lambda key: f"<{key}>") == made


@pytest.mark.parametrize(("program", "words"), [
    (b"(S'x'\nios\nsystem\n.", "an opcode that no such file has"), (b"Pabc\n.", "a persistent reference"),
    (b"}}.", "half made"), (b"(}.", "half made"), (b"K\x01K\x02a.", "appends to what is no list"),
    (b"K\x01(K\x02e.", "appends to what is no list"), (b"K\x01K\x02K\x03s.", "sets items of what is no dictionary"),
    (b"}(K\x01u.", "sets items of what is no dictionary"), (b"](K\x01\x90.", "adds to what is no set"),
    (b"K\x01K\x02\x93.", "a name that is no text"), (b"\x8c\x01mK\x02\x93.", "a name that is no text"),
    (b"K\x02\x8c\x01m\x93.", "a name that is no text"), (b"K\x01)R.", "calls what is no name"), (b"cm\nf\nK\x01R.",
                                                                                                 "calls what is no name"),
    (b"K\x01)\x81.", "calls what is no name"), (b"K\x01}b.", "a state to what has none"), (b"\x86.", "its stack is empty"),
    (b"K\x01\x86.", "its stack is empty"), (b"N", "ends in the middle, or is no pickle"), (b"Np400001\n.",
                                                                                           "memo index without end"),
    (b"Np-1\n.", "memo index without end"), (b"}]Ns.", "a key of type list"),
])
def test_a_program_that_makes_no_sense_is_told_what_is_wrong_with_it(program, words):
    with pytest.raises(ValueError, match=words):
        run(program, names=("f",))


@pytest.mark.parametrize("key", [None, "a", b"a", 1.5, True, (1, "a", None, b"b"), (), (1 << 53) - 1, 1 - (1 << 53)])
def test_keys_that_cost_nothing_to_hash_are_taken(key):
    assert pickle_machine.check_key(key) is key


@pytest.mark.parametrize("key", [1 << 53, -(1 << 53), (1, 2, 3, 4, 5), ((),), (1, [2]), [], {}, frozenset(), (1 << 60,)])
def test_other_keys_are_refused(key):
    with pytest.raises(pickle_machine.TooMuch, match="exhaust memory or time: a key of type"):
        pickle_machine.check_key(key)


def test_a_budget_may_be_spent_to_the_last_and_no_further():
    budget = Budget(opcodes=3, items=5, bytes=7)
    budget.take_items(2)
    budget.take_items(3)
    budget.take_bytes(7)
    budget.take_bytes(0)
    for take, count, words in ((budget.take_items, 1, "too many items"), (budget.take_bytes, 1, "more bytes than any such file"),
                               (Budget().take_bytes, -1, "more bytes than any such file")):
        with pytest.raises(pickle_machine.TooMuch, match=words):
            take(count)
    assert run(b"N0N.", Budget(opcodes=4)) is None
    with pytest.raises(pickle_machine.TooMuch, match="too many steps"):
        run(b"N0N.", Budget(opcodes=3))


def test_what_is_opaque_takes_whatever_it_is_told():
    """Objects beside the weights: their lists, entries and states are passed over."""
    def resolve(module, name):
        return pickle_machine.opaque
    made = Machine(resolve, Budget()).run(io.BytesIO(b"cm\nf\n)R(K\x01eK\x02aK\x01K\x02s(K\x01K\x02u}b."))
    assert vars(made) == {}
