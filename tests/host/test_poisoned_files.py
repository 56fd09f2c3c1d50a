"""Every node that reads a model file, beside a pack that makes everybody's torch.load run what stands in a file."""
from __future__ import annotations

import os
import pickle

import pytest
import torch
from comfy_api.latest import io

SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".tar", ".pkl", ".npy", ".npz", ".safetensors")


class Runs:
    """A command that leaves a file behind."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.system, (f"touch '{self.witness}'",)


@pytest.fixture
def trusting(monkeypatch):
    """torch.load as that pack leaves it."""
    plain = torch.load
    monkeypatch.setattr(torch, "load", lambda *arguments, **named: plain(*arguments, **{**named, "weights_only": False}))


@pytest.fixture
def folders(pack, tmp_path):
    """A models folder more for each kind of file, with poison of every suffix, written by torch and by pickle."""
    import folder_paths
    witness = tmp_path / "witness"
    keys = ("capface", "flame", "face_parsing", "facenet", "insightface", "detection", "clip_vision")
    for key in keys:
        place = tmp_path / key
        place.mkdir()
        for suffix in SUFFIXES:
            torch.save({"state_dict": {"weight": torch.zeros(2), "payload": Runs(witness)}}, place / f"by_torch{suffix}")
            (place / f"by_pickle{suffix}").write_bytes(pickle.dumps({"weight": 1, "payload": Runs(witness)}, protocol=2))
        folder_paths.add_model_folder_path(key, str(place))
    folder_paths.filename_list_cache.clear()
    yield witness
    for key in keys:
        folder_paths.folder_names_and_paths[key][0].remove(str(tmp_path / key))
    folder_paths.filename_list_cache.clear()


def choices(host):
    """(node id, input, poisoned name) of every combo of this pack that offers one, and defaults for the node's other inputs."""
    for node_id, node in host.NODE_CLASS_MAPPINGS.items():
        if not node_id.startswith("CapHuman"):
            continue
        inputs = [given for given in node.GET_SCHEMA().inputs if not getattr(given, "optional", False)]
        for given in inputs:
            for name in getattr(given, "options", None) or ():
                if str(name).startswith("by_"):
                    others = {other.id: other.default for other in inputs
                              if other is not given and isinstance(other, io.WidgetInput)}
                    yield node_id, given.id, name, others


def test_no_loader_runs_what_stands_in_a_file(host, call, folders, trusting):
    asked = set()
    for node_id, name, file, others in choices(host):
        asked.add((node_id, name))
        with pytest.raises(Exception) as error:     # noqa: PT011  (InputError, of the module that the host named)
            call(node_id, **{name: file}, **others)
        assert type(error.value).__name__ == "InputError", (node_id, file, error.value)
        assert "\n" not in str(error.value)
        assert file in str(error.value)
        assert not folders.exists(), (node_id, file)
    assert {node for node, _ in asked} >= {"CapHumanLoadCapFace", "CapHumanLoadHeadModel", "CapHumanLoadFaceParser",
                                           "CapHumanLoadIdentityEncoder", "CapHumanLoadHeadFitter", "CapHumanLoadCLIPVision"}


def test_the_poison_works_where_it_is_trusted(folders, trusting, tmp_path):
    torch.load(tmp_path / "capface" / "by_torch.ckpt")
    assert folders.exists()
