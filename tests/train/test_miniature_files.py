"""The widened miniature's files: made once, made again where they are damaged or of other weights; a full disk is one sentence."""
from __future__ import annotations

import errno
import importlib
from pathlib import Path

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.files.weights import read_metadata
from caphuman_train.miniature import files
from caphuman_train.miniature.pack import PARTS, TOLD, Packed, save_packed


@pytest.fixture
def packed(tmp_path):
    """packed(number) -> a packed file that differs by the number."""
    def make(number):
        told = dict.fromkeys(TOLD, "") | {"seed": "0", "side": "64", "style": "ink", "capface": '{"title": "small"}'}
        nothing = {name: {"x": torch.zeros(1)} for name in PARTS if name != "base"}
        path = tmp_path / "miniature.safetensors"
        save_packed(path, Packed({"x": torch.tensor([float(number)])}, **nothing, told=told), {})
        return path
    return make


@pytest.fixture
def made(monkeypatch):
    """Names of roles whose weights were made; each has a few numbers in the place of a gigabyte."""
    asked = []

    def maker(role):
        def make(packed):
            asked.append(role)
            return {"x": packed.base["x"] + torch.arange(100.0)}
        return make
    monkeypatch.setattr(files, "MAKERS", {role: maker(role) for role in files.MAKERS})
    return asked


def test_files_are_made_once_and_again_for_other_weights(packed, made, tmp_path):
    found = files.write_files(packed(1), tmp_path / "models")
    assert sorted(made) == sorted(found) == sorted(files.file_names("ink"))
    assert read_metadata(found["capface"], "x")["title"] == "small"
    few = files.write_files(packed(1), tmp_path / "few", roles=["capface", "facenet"])
    assert sorted(few) == ["capface", "facenet"] == sorted(made[len(found):])
    assert len(list((tmp_path / "few").rglob("*.safetensors"))) == 2
    with pytest.raises(InputError, match="must be one of checkpoint, styled"):
        files.write_files(packed(1), tmp_path / "few", roles=["vae"])
    del made[len(found):]
    assert read_metadata(found["checkpoint"], "x")["said"] == files.SAID
    made.clear()
    files.write_files(packed(1), tmp_path / "models")
    assert made == []
    files.write_files(packed(2), tmp_path / "models")
    assert sorted(made) == sorted(found)


@pytest.mark.parametrize("damage", [lambda data: data[:-8], lambda data: b"not a file", lambda data: b"\xff" * 8 + data[8:]])
def test_a_file_that_is_not_whole_is_made_again_and_the_others_are_left(packed, made, tmp_path, damage):
    found = files.write_files(packed(1), tmp_path / "models")
    whole = found["capface"].read_bytes()
    found["capface"].write_bytes(damage(whole))
    found["facenet"].unlink()                                    # a call that was killed before its last file
    made.clear()
    said = []
    files.write_files(packed(1), tmp_path / "models", said.append)
    assert made == ["capface", "facenet"]
    assert found["capface"].read_bytes() == whole
    assert [line.split()[1] for line in said] == [f"{found[role].name}:" for role in made]


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half(packed, made, tmp_path, monkeypatch, capsys):
    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")
    path = packed(1)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match="No space left on device: free some disk space"):
        files.write_files(path, tmp_path / "models")
    assert [one for one in (tmp_path / "models").rglob("*") if one.is_file()] == []
    assert files.main([str(path), str(tmp_path / "models")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_and_a_damaged_pack_are_told(made, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        files.write_files(tmp_path / "gone.safetensors", tmp_path / "models")
    (tmp_path / "bad.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{broken")
    with pytest.raises(InputError):
        files.write_files(tmp_path / "bad.safetensors", tmp_path / "models")
    assert made == []


@pytest.mark.parametrize("module", ["files", "unpack"])
def test_a_command_without_its_arguments_says_which(part, module, capsys):
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"caphuman_train.miniature.{module}").main(["miniature.safetensors"])
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"caphuman_train.miniature.{module}: error: the following arguments are required: " in last
