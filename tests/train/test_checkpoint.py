"""Checkpoints: whole or not there, dropped in order, refused in a sentence."""
from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_train.train import checkpoint
from caphuman_train.train.checkpoint import State


def state(step, width=64, mean=True):
    layer = torch.nn.Linear(width, width)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3)
    layer(torch.ones(2, width)).sum().backward()
    optimizer.step()
    weights = {name: value.detach().clone() for name, value in layer.named_parameters()}
    return State(step, weights, optimizer.state_dict(), {name: value + 1 for name, value in weights.items()} if mean else None,
                 {}, {"data": "abc", "run.seed": 0}, {"settings": {}})


def test_what_was_saved_comes_back(tmp_path):
    saved = state(7)
    checkpoint.save(tmp_path, saved, keep=2)
    path = checkpoint.latest(tmp_path)
    assert checkpoint.step_of(path) == 7
    found = checkpoint.load(path)
    assert (found.step, found.depends_on, found.about, found.scaler) == (7, saved.depends_on, saved.about, {})
    for mine, theirs in ((found.weights, saved.weights), (found.mean, saved.mean)):
        assert set(mine) == set(theirs)
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    fresh = torch.optim.AdamW(torch.nn.Linear(64, 64).parameters(), lr=5e-4)
    checkpoint.restore_optimizer(fresh, found.optimizer)
    assert fresh.param_groups[0]["lr"] == 5e-4
    for index, held in saved.optimizer["state"].items():
        for name, value in held.items():
            assert torch.equal(fresh.state_dict()["state"][index][name], value)


def test_old_ones_go_and_milestones_stay(tmp_path):
    for step in range(1, 9):
        checkpoint.save(tmp_path, state(step, 4), keep=2, keep_every=3)
    assert [checkpoint.step_of(path) for path in checkpoint.found(tmp_path / "checkpoints")] == [3, 6, 7, 8]


def test_one_that_was_cut_short_is_passed_over(tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, state(step), keep=2)
    newest = checkpoint.latest(tmp_path)
    newest.write_bytes(newest.read_bytes()[:-100])
    assert checkpoint.step_of(checkpoint.latest(tmp_path)) == 1
    assert checkpoint.latest(tmp_path / "nowhere") is None


def test_a_full_disk_is_one_sentence_and_the_last_one_stays(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, state(1), keep=1)
    before = checkpoint.latest(tmp_path).read_bytes()
    opened = Path.open

    class Full:
        def __init__(self, file):
            self.file, self.room = file, 2000

        def write(self, content):
            self.room -= len(content)
            if self.room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(content)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()
    monkeypatch.setattr(Path, "open", lambda self, mode="r", *rest, **options: Full(opened(self, mode, *rest, **options))
                        if "w" in mode else opened(self, mode, *rest, **options))
    with pytest.raises(InputError, match="No space left on device: free some disk space") as error:
        checkpoint.save(tmp_path, state(2), keep=1)
    assert "\n" not in str(error.value)
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001.safetensors"]
    assert checkpoint.latest(tmp_path).read_bytes() == before


def test_what_differs_is_named(tmp_path):
    saved = {"data": "abc", "base checkpoint": "123", "run.seed": 0}
    checkpoint.require_same(saved, dict(saved), tmp_path)
    with pytest.raises(InputError, match='base checkpoint "456", which was "123"; data "xyz", which was "abc"'):
        checkpoint.require_same(saved, {"data": "xyz", "base checkpoint": "456", "run.seed": 0}, tmp_path)


def test_another_file_is_refused(tmp_path):
    from caphuman_core.files.weights import write_safetensors
    write_safetensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(InputError, match="must be of format caphuman-training/1"):
        checkpoint.load(tmp_path / "x.safetensors")
