from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from caphuman_core.capface.layout import parameter_shapes
from caphuman_core.check import InputError
from caphuman_core.convert import main
from caphuman_core.files import convert
from caphuman_core.files.catalogue import by_key
from caphuman_core.files.convert import find_jobs
from caphuman_core.files.weights import read_metadata, read_state_dict
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
    keys = json.loads((GOLDEN / "face_keys.json").read_text())["deca_model.tar"]
    state = {"E_flame": {key: torch.zeros(shape) for key, shape in keys["E_flame"].items()},
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


# --- which files become which

def facenet(path):
    torch.save({"block8.conv2d.weight": torch.ones(2), "logits.weight": torch.zeros(1), "logits.bias": torch.zeros(1)}, path)
    return path


def jobs(*paths):
    return [job if isinstance(job, str) else (job.source.name, job.kind, job.target) for job in find_jobs(list(paths))]


def test_each_kind_of_file_becomes_a_file_of_its_own_name(tmp_path):
    (tmp_path / "generic_model.PKL").write_bytes(b"looked at later")
    torch.save({"cp.resnet.conv1.weight": torch.zeros(1)}, tmp_path / "parser.pth")
    torch.save({"E_flame": {"a": torch.zeros(1)}, "D_detail": {"b": torch.zeros(1)}}, tmp_path / "x.tar")
    facenet(tmp_path / "z.PT")
    for name in ("a.npy", "b.obj", "C.NPZ", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.pt").mkdir()
    assert jobs(tmp_path) == [("generic_model.PKL", "FLAME head model", "generic_model.safetensors"),
                              ("parser.pth", "face parser", "face_parser.safetensors"),
                              ("x.tar", "DECA encoder", "deca_encoder.safetensors"), ("z.PT", "FaceNet", "facenet.safetensors")]
    assert jobs(tmp_path / "a.npy", tmp_path / "notes.txt") == []
    (told,) = jobs(tmp_path / "gone.pt")
    assert told.startswith(f"file '{tmp_path / 'gone.pt'}' must exist, but got no such file: check the path")


def test_networks_of_strangers_are_named_by_three_of_their_keys(tmp_path):
    torch.save({name: torch.zeros(1) for name in "dcba"}, tmp_path / "x.pt")
    torch.save({}, tmp_path / "y.pt")
    first, second = jobs(tmp_path / "x.pt", tmp_path / "y.pt")
    assert "file 'x.pt' must be one of CapHuman's model files, but got keys like a, b, c: give the original" in first
    assert "but got keys like none: give the original" in second


def test_what_a_network_does_not_need_is_left_out_and_the_kind_is_written_down(tmp_path):
    (job,) = find_jobs([facenet(tmp_path / "a.pt")])
    made = convert.convert(job, tmp_path / "out")
    assert made == tmp_path / "out" / "facenet.safetensors"
    assert list(read_state_dict(made, "model")) == ["block8.conv2d.weight"]
    assert read_metadata(made, "model") == {"format": "pt", "caphuman_kind": "FaceNet"}
    state = {"E_flame.a": 1, "other": 2}
    assert convert._deca(state) == {"E_flame.a": 1}
    assert convert._deca({"other": 2}) == convert._facenet({"logits.weight": 1}) == convert._parser({"x": 1}) == {}


def test_a_capface_that_lacks_a_weight_or_has_a_strange_one_is_no_capface():
    whole = {f"control_model.{key}" if not key.startswith(("id_", "img_")) else key: torch.zeros(1).expand(shape)
             for key, shape in parameter_shapes().items()}
    assert convert._capface({**whole, "model.x": torch.zeros(1)}) == whole
    assert convert._capface({key: value for key, value in whole.items() if "mask_predict" not in key}) == {}
    convert._check_capface("CapFace file 'a'", whole)
    lacking = {key: value for key, value in whole.items() if key != "id_linear.bias"}
    for state, words in ((lacking, r"1 missing or of another shape \(id_linear.bias\)"),
                         ({**whole, "id_linear.bias": torch.zeros(3)}, r"1 missing or of another shape \(id_linear.bias\)"),
                         ({**whole, "control_model.zero_convs.99.x": torch.zeros(1)}, r"1 unknown \(zero_convs.99.x\)")):
        with pytest.raises(InputError,
                           match=f"CapFace file 'a' must hold exactly the weights of CapFace, but got {words}: download"):
            convert._check_capface("CapFace file 'a'", state)


def test_a_known_original_is_named_by_its_checksum(tmp_path, monkeypatch):
    path = tmp_path / "a.pt"
    path.write_bytes(b"abc" * 6_000_000)                     # more than is read at a time
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    assert convert.md5_note(path) == f"checksum {digest} not among the known originals"
    monkeypatch.setattr(convert, "known_checksum", lambda asked: by_key("deca") if asked == f"md5:{digest}" else None)
    assert convert.md5_note(path) == "deca_model.tar"


def test_the_command_counts_failures_and_writes_beside_the_original_or_elsewhere(tmp_path, capsys):
    source = facenet(tmp_path / "a.pt")
    assert main([str(source)]) == 0
    assert (tmp_path / "facenet.safetensors").is_file()
    out = capsys.readouterr().out
    assert out.startswith("a.pt: FaceNet; checksum ")
    assert out.rstrip().endswith(f"not among the known originals -> {tmp_path / 'facenet.safetensors'}")
    assert main([str(source), "--out", str(tmp_path / "more" / "deep")]) == 0
    assert (tmp_path / "more" / "deep" / "facenet.safetensors").is_file()
    (tmp_path / "bad.pt").write_bytes(b"x")
    assert main([str(tmp_path / "bad.pt"), str(source), "--dry-run"]) == 1
    told = capsys.readouterr()
    assert "bad.pt" in told.err
    assert "a.pt: FaceNet" in told.out
    assert main([str(tmp_path / "more")]) == 1
    assert "nothing to convert was found" in capsys.readouterr().err
