"""Hostile and broken files: nothing runs, one sentence each."""
from __future__ import annotations

import builtins
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
