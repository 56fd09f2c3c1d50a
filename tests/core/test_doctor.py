"""The doctor and the table behind it: files told by content, hostile files cost a line, the README says the same."""
from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from caphuman_core import doctor as command
from caphuman_core.files import doctor, host_folders
from caphuman_core.files.catalogue import CATALOGUE, by_key, downloads, known_checksum
from caphuman_core.files.recognising import peek

ROOT = Path(__file__).resolve().parents[2]
def one():
    return torch.zeros(1)


# Enough of each network's names to be told apart; the content need not load.
TELLING = {
    "capface": {"control_model.mask_predict.0.weight": one(), "id_linear.weight": one(),
                "img_linear.weight": one()},
    "deca": {"E_flame.encoder.conv1.weight": one()}, "facenet": {"block8.conv2d.weight": one()},
    "face_parsing": {"cp.resnet.conv1.weight": one()},
    "clip_vision": {"vision_model.encoder.layers.22.layer_norm1.weight": one(),
                    "vision_model.embeddings.position_embedding.weight": torch.zeros(257, 1024)},
    "sd15": {"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(320, 768)},
}


def place(root: Path) -> dict[str, list[Path]]:
    return {directory: [root / directory] for directory in doctor.DIRECTORIES}


@pytest.mark.parametrize("key", TELLING)
@pytest.mark.parametrize("suffix", [".safetensors", ".pt", "legacy"])
def test_networks_are_recognised_by_content_whatever_their_name(tmp_path, key, suffix):
    path = tmp_path / ("holiday" + (".ckpt" if suffix == "legacy" else suffix))
    if suffix == ".safetensors":
        save_file(TELLING[key], str(path))
    else:
        extra = {"cond_stage_model.transformer.x": one()} if key == "sd15" else {}
        torch.save({"state_dict": {**TELLING[key], **extra}}, path, _use_new_zipfile_serialization=suffix != "legacy")
    assert peek(path).keys == (key,)
    assert not peek(path).problem


def test_flame_files_are_recognised(flame_folder):
    found = {path.suffix: peek(path).keys for path in sorted(flame_folder.iterdir())}
    assert found == {".pkl": ("flame",), ".npy": ("flame_landmarks",), ".obj": ("flame_template",), ".npz": ("flame_texture",)}


def hostile(folder: Path) -> dict[str, Path]:
    whole = folder / "whole.safetensors"
    save_file(TELLING["capface"], str(whole))
    torch.save(TELLING["deca"], folder / "whole.pt")
    made = {
        "empty.ckpt": b"", "text.safetensors": b"<html>404</html>", "noise.pt": b"\x80\x02" + b"\xff" * 99,
        "cut.safetensors": whole.read_bytes()[:-2], "huge.safetensors": (2**60).to_bytes(8, "little") + b"{}",
        "deep.safetensors": (200_000).to_bytes(8, "little") + b"[" * 200_000,
        "list.safetensors": (2).to_bytes(8, "little") + b"[]", "cut.pt": (folder / "whole.pt").read_bytes()[:-40],
        "long.pkl": b"\x80\x04\x8e" + (2**62).to_bytes(8, "little"), "half.npz": b"PK\x03\x04 and no more",
        "code.pkl": b"cos\nsystem\n(S'touch " + str(folder / "ran").encode() + b"'\ntR.",
        "newline\nname.ckpt": b"", "zip.task": b"PK", "bad.npy": b"\x93NUMPY",
        "page.onnx": b"<html>404</html>", "cut.onnx": b"\x08\x07\x3a\x40graph", "endless.onnx": b"\x88" * 99,
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    (folder / "gone.ckpt").symlink_to(folder / "never")
    with zipfile.ZipFile(folder / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\0" * (65 << 20))
    return {path.name: path for path in folder.iterdir()}


def test_hostile_and_broken_files_cost_one_line_each_and_run_nothing(tmp_path):
    (tmp_path / "capface").mkdir()
    files = hostile(tmp_path / "capface")
    for name, path in files.items():
        if not name.startswith(("whole", "bad", "code", "zip")):
            assert peek(path).problem, name
            assert "\n" not in peek(path).problem
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    text = doctor.report(place(tmp_path), "0.0", "none")
    assert "cut.safetensors: it was cut short" in text
    assert "cut.pt: it was cut short" in text
    assert "cut.onnx: it is no .onnx file, or was cut short" in text
    assert "gone.ckpt: No such file or directory\n" in text                # and no folder's name
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before     # it changed nothing and ran nothing


def test_the_report_says_what_is_there_what_is_missing_and_what_next(tmp_path):
    folders = place(tmp_path)
    empty = doctor.report(folders, "0.30.0", "a card")
    for entry in CATALOGUE:
        if entry.key != "mtcnn":                       # facenet-pytorch is installed where tests run
            assert f"{entry.title}: {'missing, needed' if entry.needed else 'not there, optional'}" in empty
            assert str(folders[entry.directory][0]) in empty
            assert entry.licence in empty
    assert "ComfyUI: 0.30.0" in empty
    assert "Device: a card" in empty
    assert empty.splitlines()[:2][-1] == ""
    assert empty.startswith("Next: get v1-5-pruned-emaonly-fp16.safetensors")
    for key, tensors in TELLING.items():
        folder = folders[by_key(key).directory][0]
        folder.mkdir(exist_ok=True)
        save_file(tensors, str(folder / f"{key}.safetensors"))
    full = doctor.report(folders, "0.30.0", "a card")
    assert "[x] CapFace: capface/capface.safetensors, recognised as CapFace" in full
    assert "all that the main graph needs is there" in full.splitlines()[0]
    assert "5 of 5 needed model files found; ready" in doctor.summary(folders)


def test_a_file_in_the_wrong_folder_is_not_there_and_is_to_be_moved(tmp_path):
    folders = place(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    save_file(TELLING["sd15"], str(tmp_path / "checkpoints" / "any.safetensors"))
    save_file(TELLING["capface"], str(tmp_path / "checkpoints" / "caphuman.safetensors"))
    text = doctor.report(folders)
    assert "CapFace: missing, needed" in text
    assert text.startswith("Next: move checkpoints/caphuman.safetensors into models/capface")
    assert "2 of 5 needed" in doctor.summary(folders)


def test_a_broken_download_is_named_as_the_next_step(tmp_path):
    folders = place(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "v1-5-pruned-emaonly.safetensors").write_bytes(b"<html>")
    assert doctor.report(folders).startswith("Next: checkpoints/v1-5-pruned-emaonly.safetensors cannot be read")


def test_linked_folders_are_looked_into_once_and_strangers_are_listed(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "disk").mkdir()
    save_file(TELLING["sd15"], str(tmp_path / "disk" / "mine.safetensors"))
    key = next(iter(TELLING["sd15"]))
    save_file({key: torch.zeros(640, 2048)}, str(tmp_path / "disk" / "large\udcff\n.safetensors"))
    (tmp_path / "checkpoints" / "linked").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "round").symlink_to(tmp_path / "checkpoints")
    text = doctor.report(place(tmp_path))
    assert "Stable Diffusion 1.5 checkpoint: checkpoints/linked/mine.safetensors, recognised" in text
    assert text.count("mine.safetensors") == 1
    assert "checkpoints/linked/large??.safetensors: a checkpoint of another architecture" in text


def test_half_a_flame_and_a_foreign_python_are_noticed(tmp_path, flame_folder, monkeypatch):
    folders = place(tmp_path)
    for key, tensors in TELLING.items():
        folders[by_key(key).directory][0].mkdir(exist_ok=True)
        save_file(tensors, str(folders[by_key(key).directory][0] / f"{key}.safetensors"))
    (tmp_path / "flame" / "generic_model.pkl").write_bytes(next(flame_folder.glob("*.pkl")).read_bytes())
    assert "For FLAME get landmark_embedding.npy" in doctor.report(folders).splitlines()[0]
    monkeypatch.setattr(doctor, "_version", lambda name: None if name in ("torch", "numpy") else "1")
    assert doctor.report(folders).splitlines()[0] == (
        "Next: this Python has no torch, numpy: run this again with ComfyUI's own Python.")


def test_the_missing_weights_of_mtcnn_come_with_a_package(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_mtcnn_of_package", list)
    text = doctor.report(place(tmp_path))
    assert "      pip install --no-deps facenet-pytorch with ComfyUI's own Python, or get pnet.pt, rnet.pt, onet.pt from" in text


def test_checksums_are_read_only_when_asked_and_known_ones_are_named(tmp_path, monkeypatch):
    folder = tmp_path / "facenet"
    folder.mkdir()
    (package,) = [path for path in doctor._mtcnn_of_package() if path.name == "pnet.pt"]
    (folder / "pnet.pt").write_bytes(package.read_bytes())
    save_file(TELLING["facenet"], str(folder / "mine.safetensors"))
    asked = doctor.report(place(tmp_path), checksums=True)
    assert "known (an original of MTCNN" in asked
    assert "mine.safetensors, recognised as FaceNet, 0.0 MB, checksum not known (sha256:" in asked
    monkeypatch.setattr(doctor, "_checksum", lambda path: pytest.fail("a file was read whole"))
    assert "checksum not looked at" in doctor.report(place(tmp_path))


def test_folders_are_those_of_comfyui_and_of_its_extra_paths(tmp_path):
    host = tmp_path / "ComfyUI"
    (host / "models" / "capface").mkdir(parents=True)
    (host / "folder_paths.py").write_text("")
    (host / "extra_model_paths.yaml").write_text("a:\n  base_path: ../disk\n  capface: |\n    one\n    two\n  other: x\nb:\n")
    folders = host_folders.find_folders(["capface"], host_folders.find_comfyui(host), [tmp_path / "more"])
    assert [path.resolve() for path in folders["capface"]] == [
        tmp_path / "more" / "capface", host / "models" / "capface", tmp_path / "disk" / "one", tmp_path / "disk" / "two"]
    (host / "extra_model_paths.yaml").write_text("a: [}")
    assert command.main(["--comfyui", str(host)]) == 2
    assert command.main(["--comfyui", str(tmp_path)]) == 2


def test_without_a_comfyui_the_command_still_tells_and_says_how_to_name_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command.host_folders, "find_comfyui", lambda given: None)
    assert command.main([]) == 2
    out = capsys.readouterr().out
    assert "CapFace: missing, needed" in out
    assert "ComfyUI: not found" in out
    assert out.splitlines()[-1].startswith("Next: name ComfyUI's folder: python -m caphuman_core.doctor --comfyui")


def test_a_linked_pack_finds_the_comfyui_it_is_linked_into(tmp_path):
    """The current folder is known by its real name alone; the shell's PWD knows the link."""
    (tmp_path / "folder_paths.py").write_text("")
    (tmp_path / "extra_model_paths.yaml").write_text("a:\n  capface: x\n")
    (tmp_path / "custom_nodes").mkdir()
    linked = tmp_path / "custom_nodes" / "pack"
    linked.symlink_to(ROOT)
    environment = {**os.environ, "PWD": str(linked)}
    environment.pop("COMFYUI_PATH", None)
    done = subprocess.run([sys.executable, "-S", "-m", "caphuman_core.doctor"], cwd=linked, env=environment, capture_output=True,
                          text=True, encoding="utf-8", check=False)           # -S: a Python without any package
    assert done.returncode == 1, done.stderr
    assert f"put it into {tmp_path}/models/capface" in done.stdout.replace("\\", "/")
    assert "this Python has no torch, numpy, pillow, safetensors, tqdm" in done.stdout.splitlines()[-1]


def test_the_command_begins_and_ends_with_the_next_step_and_tells_by_its_status(tmp_path, capsys):
    (tmp_path / "folder_paths.py").write_text("")
    (tmp_path / "comfyui_version.py").write_text('__version__ = "9.8.7"\n')
    assert command.main(["--comfyui", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "ComfyUI: 9.8.7" in out
    first, second, *_, last = out.rstrip().splitlines()
    assert first == last
    assert first.startswith("Next: ")
    assert second == ""


def test_what_the_frontend_is_offered_it_would_take():
    offered = [entry for entry in CATALOGUE if entry.download]
    assert {entry.key for entry in offered} == {"sd15", "capface", "clip_vision", "facenet", "openpose"}
    for entry in offered:
        (found,) = downloads(entry.download.name)
        assert found["url"].startswith(("https://huggingface.co/", "https://civitai.com/"))
        assert found["name"].endswith((".safetensors", ".sft", ".ckpt", ".pth", ".pt"))
        assert found["directory"] == entry.directory
        assert json.loads(json.dumps(found)) == found
    assert downloads("generic_model.pkl") == []
    assert known_checksum("md5:b182e51c26e5a73b1f7a5c53cf8cc038").key == "deca"


@pytest.mark.parametrize("page", ["README.md", "docs/LICENCES.md"])
def test_the_pages_list_the_same_files(page):
    """Each file of the table has a row with its name, its folder and its licence."""
    rows = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    for entry in CATALOGUE:
        names = (entry.names[0], entry.title)
        good = [row for row in rows if any(name in row for name in names)
                and f"models/{entry.directory}" in row and entry.licence in row]
        assert good, f"{page}: no row for {entry.title} with models/{entry.directory} and '{entry.licence}'"


def test_pickles_with_many_opcodes_are_left(tmp_path):
    path = tmp_path / "many.pkl"
    path.write_bytes(pickle.dumps(list(range(1_200_000)), protocol=0))
    assert "exhaust" in peek(path).problem
