from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from caphuman_core.convert import main
from caphuman_core.files.weights import read_state_dict
from caphuman_core.head.fit.deca import build_encoder
from caphuman_core.head.model.head_model import load_file

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def test_head_model_converts_to_one_equal_file_byte_for_byte(tmp_path, flame_folder, model, capsys):
    source = flame_folder / "generic_model.pkl"
    for folder in ("a", "b"):
        assert main([str(source), "--out", str(tmp_path / folder)]) == 0
    first, second = (tmp_path / folder / "generic_model.safetensors" for folder in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    again = load_file(first)
    assert (again.name, load_file(first, "another").name) == ("generic_model", "another")
    assert again.fingerprint == model.fingerprint            # heads saved with the one draw with the other
    assert torch.equal(again.template, model.template)
    assert "FLAME head model" in capsys.readouterr().out


def test_dry_run_writes_nothing_and_says_what_it_found(tmp_path, flame_folder, capsys):
    before = sorted(flame_folder.iterdir())
    assert main([str(flame_folder), "--dry-run"]) == 0
    assert sorted(flame_folder.iterdir()) == before
    out = capsys.readouterr().out
    assert out.count("FLAME head model") == 2                # numpy and chumpy pickles
    assert "not among the known originals" in out


def test_deca_keeps_the_encoder_only(tmp_path):
    from tools.stand_ins import detfill
    keys = json.loads((GOLDEN / "face_keys.json").read_text())["deca_model.tar"]
    state = {"E_flame": {key: torch.from_numpy(detfill.fill(f"E_flame.{key}", tuple(shape)))
                         for key, shape in keys["E_flame"].items()},
             "D_detail": {"l1.0.bias": torch.zeros(4)}, "epoch": 3}
    torch.save(state, tmp_path / "deca_model.tar")
    assert main([str(tmp_path / "deca_model.tar")]) == 0
    made = read_state_dict(tmp_path / "deca_encoder.safetensors", "head fitter")
    assert set(made) == {f"E_flame.{key}" for key in keys["E_flame"]}
    build_encoder(made, "test")


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_other_files_are_refused_in_one_sentence(tmp_path, capsys, content):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    assert main([str(path)]) == 1
    assert "x.ckpt' must be a complete, plain weight file" in capsys.readouterr().err
