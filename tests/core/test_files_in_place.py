"""Files that something writes over while they are loaded (cp, wget -O, a client that syncs): what was loaded stays as it was."""
from __future__ import annotations

import pytest
import tiny_flame
import torch
from safetensors.torch import save_file

from caphuman_core.files import weights
from caphuman_core.files.weights import read_state_dict
from caphuman_core.head import storage as heads
from caphuman_core.head.model.flame_files import find_flame_files, load_flame
from caphuman_core.head.model.head_model import load_builtin, load_file
from caphuman_core.head.new import new_head
from caphuman_core.identity import storage as identities


def head(folder):
    heads.save_head(new_head(load_builtin(), 64, 48), folder / "a.head.safetensors")
    return folder / "a.head.safetensors", heads.load_head


def identity(folder):
    made = identities.Identity(torch.ones(1, 512), torch.ones(1, 257, 1024), torch.tensor([True]), "")
    identities.save_identity(made, folder / "a.identity.safetensors")
    return folder / "a.identity.safetensors", identities.load_identity


def head_model(folder):
    model = load_flame(find_flame_files(tiny_flame.write(folder, texture=False), []))
    tensors = {key: value.contiguous() for key, value in vars(model).items() if isinstance(value, torch.Tensor)}
    save_file(tensors, folder / "head_model.safetensors", {"format": "caphuman-head/1"})
    return folder / "head_model.safetensors", load_file


def original_head_model(folder):
    return tiny_flame.write(folder, protocol=4), lambda path: load_flame(find_flame_files(path, []))


def network(folder):
    torch.save({"conv.weight": torch.ones(64, 64)}, folder / "net.pt")
    return folder / "net.pt", lambda path: read_state_dict(path, "model")


@pytest.mark.parametrize("write", [head, identity, head_model, original_head_model, network])
def test_a_file_overwritten_in_place_changes_nothing_that_is_loaded(tmp_path, write):
    path, read = write(tmp_path)
    loaded = read(path)
    tensors = {key: value for key, value in (loaded if isinstance(loaded, dict) else vars(loaded)).items()
               if isinstance(value, torch.Tensor)}
    before = {key: value.clone() for key, value in tensors.items()}
    files = [file for file in tmp_path.iterdir() if file.is_file()]
    for file in files:
        size = file.stat().st_size
        with file.open("r+b") as target:                    # as cp and wget -O do: the same file, other bytes
            target.write(bytes(size))
    assert [key for key, value in tensors.items() if not torch.equal(value, before[key])] == []
    for file in files:                                      # a mapped one would end this process here
        file.open("r+b").truncate(0)
    assert [key for key, value in tensors.items() if not torch.equal(value, before[key])] == []


def test_large_files_are_mapped_and_only_what_is_kept_is_read(tmp_path, monkeypatch):
    """Of a checkpoint of gigabytes a part is wanted; the host's own loader maps such files too."""
    monkeypatch.setattr(weights, "MOST_IN_MEMORY", 0)
    save_file({"wanted": torch.ones(3), "other": torch.zeros(1 << 20)}, tmp_path / "large.safetensors")
    asked = []
    found = read_state_dict(tmp_path / "large.safetensors", "model", lambda key: asked.append(key) or key == "wanted")
    assert sorted(asked) == ["other", "wanted"]
    assert torch.equal(found["wanted"], torch.ones(3))
    assert list(found) == ["wanted"]
