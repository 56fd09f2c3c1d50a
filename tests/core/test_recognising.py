"""Files told from their tables of contents: what each kind needs to be taken for it, and where the limits lie."""
from __future__ import annotations

import io
import json
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save

from caphuman_core.files import recognising, telltale
from caphuman_core.files.recognising import Peek, model_files, peek, read_safetensors_header

ATTENTION, CLIP, PLACES = telltale.UNET_CONTEXT_KEY, telltale.CLIP_KEY, "vision_model.embeddings.position_embedding.weight"
CAPFACE = {"mask_predict.0.weight": 1, "id_linear.weight": 1, "img_linear.weight": 1}


def tensors(shapes):
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("shapes", "keys", "what"), [
    (CAPFACE, ("capface",), "CapFace"),
    ({**CAPFACE, "control_cond_stage_model.transformer.x": 1}, ("capface", "clip_vision"), "CapFace with its CLIP tower"),
    ({"mask_predict.0.weight": 1, "id_linear.weight": 1}, (), "not a file of this pack"),
    ({"E_flame.x": 1}, ("deca",), "DECA encoder"), ({"block8.conv2d.weight": 1}, ("facenet",), "FaceNet"),
    ({"cp.resnet.conv1.weight": 1}, ("face_parsing",), "BiSeNet face parser"),
    ({"input_hint_block.0.weight": 1}, (), "a ControlNet"),
    ({"control_model.input_hint_block.0.weight": 1}, (), "a ControlNet"),
    ({"controlnet_cond_embedding.conv_in.weight": 1}, (), "a ControlNet"),
    ({ATTENTION: (320, 768)}, ("sd15",), "a Stable Diffusion 1 checkpoint"),
    ({ATTENTION: (320, 1024)}, (), "a checkpoint of another architecture"),
    ({"model.diffusion_model.x": 1}, (), "a checkpoint of another architecture"),
    ({CLIP: 1}, ("clip_vision",), "CLIP ViT-L/14"), ({CLIP: 1, PLACES: (257, 1024)}, ("clip_vision",), "CLIP ViT-L/14"),
    ({CLIP: 1, PLACES: (577, 1024)}, (), "a CLIP vision tower, but not ViT-L/14"),
    ({CLIP: 1, telltale.DEEPER_CLIP_KEY: 1}, (), "a CLIP vision tower, but not ViT-L/14"),
    ({"x": 1}, (), "not a file of this pack"),
])
def test_networks_are_told_by_the_names_and_shapes_of_their_weights(tmp_path, shapes, keys, what):
    assert peek(written(tmp_path, "a.safetensors", save(tensors(shapes)))) == Peek(keys, what)


@pytest.mark.parametrize(("name", "keys", "what"), [
    ("net_OpenPose.safetensors", ("openpose",), "a ControlNet, openpose by its name"), ("net.safetensors", (), "a ControlNet")])
def test_an_openpose_controlnet_is_told_by_its_file_s_name(tmp_path, name, keys, what):
    assert peek(written(tmp_path, name, save(tensors({"input_hint_block.0.weight": 1})))) == Peek(keys, what)


@pytest.mark.parametrize(("name", "keys"), [("pnet.pt", ("mtcnn",)), ("rnet.pt", ("mtcnn",)), ("other.pt", ())])
def test_mtcnn_s_networks_are_told_by_their_files_names_too(tmp_path, name, keys):
    torch.save(tensors({"prelu1.weight": 1}), tmp_path / name)
    assert peek(tmp_path / name).keys == keys


def test_a_torch_checkpoint_is_of_version_1_if_it_has_that_text_encoder(tmp_path):
    """A torch zip tells names and no shapes."""
    for name, keys in (("cond_stage_model.transformer.x", ("sd15",)), ("conditioner.x", ())):
        torch.save(tensors({"model.diffusion_model.x": 1, name: 1}), tmp_path / "a.ckpt")
        assert peek(tmp_path / "a.ckpt").keys == keys


def test_a_converted_head_model_is_told_by_its_metadata(tmp_path):
    content = save(tensors({"template": 1}), {"format": "caphuman-head/1"})
    assert peek(written(tmp_path, "a.safetensors", content)) == Peek(
        ("flame", "flame_landmarks", "flame_template", "flame_texture"), "a converted head model, complete")


def zipped(**members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_npy", ".npy").replace("_pkl", ".pkl"), content)
    return data.getvalue()


@pytest.mark.parametrize(("name", "content", "keys", "what"), [
    ("a.npz", zipped(mean_npy="", tex_dir_npy=""), ("flame_texture",), "FLAME texture"),
    ("a.npz", zipped(MU_npy="", PC_npy=""), ("flame_texture",), "FLAME texture"),
    ("a.npz", zipped(mean_npy="", PC_npy=""), (), "not a file of this pack"),
    ("a.task", zipped(face_landmarks_detector=""), ("landmarker",), "MediaPipe face landmarker"),
    ("a.task", zipped(hand_landmarks_detector=""), (), "not a file of this pack"),
    ("a.obj", b"v 0 0 0\n", ("flame_template",), "a mesh with texture coordinates"),
    ("a.OBJ", b"# a mesh\nv 0 0 0\n", ("flame_template",), "a mesh with texture coordinates"),
    ("a.obj", b"vt 0 0\n", (), "not a file of this pack"),
    ("a.npy", b"\x93NUMPY {'descr': '|O'} lmk_faces_idx", ("flame_landmarks",), "FLAME landmarks"),
    ("a.npy", b"\x93NUMPY {'descr': '|O'} other", (), "not a file of this pack"),
    ("a.npy", b"\x93NUMPY {'descr': '<f4'} lmk_faces_idx", (), "not a file of this pack"),
    ("a.npy", b"NUMPY {'descr': '|O'} lmk_faces_idx", (), "not a file of this pack"),
    ("a.pkl", pickle.dumps({"v_template": 1, "shapedirs": 2}), ("flame",), "FLAME head model"),
    ("a.pkl", pickle.dumps({"v_template": 1}), (), "not a file of this pack"),
    ("a.onnx", b"\x08\x07" + b"\x3a\x05graph" + b"\x12\x03abc", ("insightface",), None),
    ("a.txt", b"anything", (), "not a file of this pack"),
])
def test_small_files_are_told_by_what_they_hold(tmp_path, name, content, keys, what):
    assert peek(written(tmp_path, name, content)) == Peek(keys, what or f"a network of the pack '{tmp_path.name}'")


@pytest.mark.parametrize(("name", "content", "problem"), [
    ("a.ckpt", b"", "it is empty"), ("a.txt", b"", "it is empty"),
    ("a.pt", b"no pickle", "it is no torch file"), ("a.pt", pickle.dumps(5), "it is no torch file"),
    ("a.pt", zipped(x__other_pkl=""), "it is a zip file, but not one of torch's"),
    ("a.pt", b"PK\3\4 and no more", "it was cut short"), ("a.task", b"no zip at all", "it is no zip file"),
    ("a.npz", b"PK\3\4 and no more", "it was cut short"),
    ("a.onnx", b"\x3a\x06graph", "it is no .onnx file, or was cut short"),
    ("a.onnx", b"\x0b\x07", "it is no .onnx file, or was cut short"),
    ("a.onnx", b"\x88" * 99, "it is no .onnx file"), ("a.onnx", b"\x08\x07" * 10_000, "it is no .onnx file"),
    ("a.safetensors", (0).to_bytes(8, "little") + b"{}", "it is no .safetensors file, or was cut short"),
    ("a.safetensors", (3).to_bytes(8, "little") + b"{}", "it is no .safetensors file, or was cut short"),
    ("a.safetensors", (2).to_bytes(8, "little") + b"[]", "its header is no table"),
    ("a.safetensors", save({"a": torch.zeros(4)})[:-1], "it was cut short: "),
    ("a.safetensors", save({"a": torch.zeros(4)}) + b"x", "it was cut short: "),
])
def test_what_is_wrong_with_a_file_is_said_in_a_few_words(tmp_path, name, content, problem):
    found = peek(written(tmp_path, name, content))
    assert found.problem.startswith(problem)
    assert (found.keys, found.what) == ((), "not a file of this pack")


def test_the_safetensors_table_is_read_whole(tmp_path):
    path = written(tmp_path, "a.safetensors", save({"a": torch.zeros(2, 3), "b": torch.zeros(())}, {"format": "x"}))
    contents = read_safetensors_header(path)
    assert contents.shapes == {"a": (2, 3), "b": ()}
    assert contents.names == {"a", "b"}
    assert contents.metadata == {"format": "x"}
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "__metadata__": 7}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"0000")
    assert read_safetensors_header(path).metadata == {}
    empty = written(tmp_path, "b.safetensors", (2).to_bytes(8, "little") + b"{}")
    assert read_safetensors_header(empty).shapes == {}


def test_long_numbers_of_protobuf_are_read_seven_bits_at_a_time():
    for number in (0, 1, 127, 128, 300, 2 ** 40 + 5):
        encoded, rest = b"", number
        while rest > 127:
            encoded, rest = encoded + bytes([rest & 127 | 128]), rest >> 7
        assert recognising._varint(io.BytesIO(encoded + bytes([rest]))) == number


def test_problems_and_names_are_cut_to_a_line(tmp_path):
    assert recognising.printable("a\n\x1b[31mb") == "a??[31mb"
    path = written(tmp_path, "a.safetensors", (40).to_bytes(8, "little") + b"{" * 40)
    assert 0 < len(peek(path).problem) <= 120


def test_files_of_a_folder_are_listed_in_order_without_hidden_ones(tmp_path):
    for name in ("b.pt", "a.CKPT", ".c.pt", "d.txt", "sub/e.onnx", ".git/f.pt", "sub/g.npy"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    names = [path.relative_to(tmp_path).as_posix() for path in model_files(tmp_path)]
    assert names == ["a.CKPT", "b.pt", "sub/e.onnx", "sub/g.npy"]
    assert [path.name for path in model_files(tmp_path, most=3)] == ["a.CKPT", "b.pt", "e.onnx"]
    assert [path.name for path in model_files(tmp_path, most=1)] == ["a.CKPT"]


# --- each limit at its last number

def test_a_header_s_length_is_bounded_by_the_file_and_by_64_megabytes(tmp_path):
    header = b"{}"
    path = written(tmp_path, "a.safetensors", len(header).to_bytes(8, "little") + header)
    assert peek(path) == Peek()
    path.write_bytes((3).to_bytes(8, "little") + b"{} ")
    assert peek(path) == Peek(), "the whole rest of the file"
    with path.open("wb") as file:
        file.write(((64 << 20) + 1).to_bytes(8, "little") + b"{")
        file.truncate(8 + (64 << 20) + 1)
    assert peek(path).problem == "it is no .safetensors file, or was cut short"
    assert peek(written(tmp_path, "a.safetensors", b"\x02")).problem == "it is no .safetensors file, or was cut short"


def test_what_is_missing_of_a_safetensors_file_is_counted(tmp_path):
    whole = save({"a": torch.zeros(4), "b": torch.zeros(2)})
    assert peek(written(tmp_path, "a.safetensors", whole[:-3])).problem == (
        f"it was cut short: {len(whole) - 3} of {len(whole)} bytes are there")
    assert peek(written(tmp_path, "a.SFT", whole)) == Peek()


def test_a_head_model_may_have_a_gigabyte_and_torch_s_old_files_more(tmp_path):
    path = tmp_path / "a.pkl"
    for size, problem in (((1 << 30) + 1, "it is larger than any FLAME model"), (1 << 30,
                                                                                 "it ends in the middle, or is no pickle")):
        with path.open("wb") as file:
            file.truncate(size)
        assert peek(path).problem == problem
    path = path.rename(tmp_path / "a.ckpt")
    assert peek(path).problem == "it is no torch file"


def test_names_have_less_than_300_letters(tmp_path):
    for length, seen in ((299, True), (300, False), (301, False)):
        assert (recognising._strings(io.BytesIO(pickle.dumps(["a" * length]))) == {"a" * length}) == seen
    assert recognising._strings(io.BytesIO(b"S'a'\nU\x01bT\x01\0\0\0cV d\nX\x01\0\0\0e\x8c\x01f.")) == {"a", "b", "c", " d", "e",
                                                                                                        "f"}
    assert recognising._strings(io.BytesIO(b"C\x01aI5\n.")) == set(), "bytes and numbers are no names"


def test_a_pickle_may_have_400000_steps(monkeypatch):
    assert recognising.MAX_OPCODES == 400_000
    monkeypatch.setattr(recognising, "MAX_OPCODES", 3)
    assert len(list(recognising._opcodes(io.BytesIO(b"NNN.")))) == 4
    with pytest.raises(ValueError, match="built to exhaust memory"):
        list(recognising._opcodes(io.BytesIO(b"NNNN.")))


def test_an_onnx_file_is_read_field_by_field_to_its_end(tmp_path):
    def problem(content):
        return peek(written(tmp_path, "a.onnx", content)).problem
    assert problem(b"\x08\x80\x01" + b"\x12\x02ab") == ""
    assert problem(b"\x08\x07" * 9_999) == ""
    assert problem(b"\x12\x00") == ""
    for content in (b"\x09" + bytes(8), b"\x0d" + bytes(4), b"\x12\x03ab", b"\x12\x02abc\x0b"):
        assert problem(content) == "it is no .onnx file, or was cut short"
    assert recognising._varint(io.BytesIO(b"\xff" * 9 + b"\x01")) == (1 << 64) - 1
    with pytest.raises(ValueError, match=r"it is no .onnx file"):
        recognising._varint(io.BytesIO(b"\xff" * 10 + b"\x01"))
    assert recognising._varint(io.BytesIO(b"")) == 0


def test_files_that_vanish_or_declare_too_much_are_told(tmp_path, monkeypatch):
    assert peek(tmp_path / "gone.pt").problem == "No such file or directory"
    path = written(tmp_path, "a.obj", b"v 0 0 0")
    for error, problem in ((MemoryError(), "it declares more than memory holds"), (RecursionError(),
                                                                                   "it declares more than memory holds"),
                           (KeyError(), "KeyError"), (ValueError("a\tb\nc"), "a?b"), (ValueError("x" * 130), "x" * 120)):
        def fail(_, error=error):
            raise error
        monkeypatch.setattr(recognising, "_recognise", fail)
        assert peek(path) == Peek(problem=problem)


def test_a_landmark_table_is_told_by_its_first_bytes(tmp_path):
    def keys(content):
        return peek(written(tmp_path, "a.npy", content)).keys
    head = b"\x93NUMPY {'descr': '|O'}"
    assert keys(head + b" " * (1 << 19) + b"lmk_faces_idx") == ("flame_landmarks",)
    assert keys(head + b" " * (1 << 20) + b"lmk_faces_idx") == ()
    assert keys(b"\x93NUMPY " + b" " * 246 + b"O'" + b"lmk_faces_idx") == ("flame_landmarks",)
    assert keys(b"\x93NUMPY " + b" " * 248 + b"O'" + b"lmk_faces_idx") == ()


def test_links_that_lead_round_are_walked_once_and_names_of_any_case_are_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.PTH").write_bytes(b"x")
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert [path.relative_to(tmp_path).as_posix() for path in model_files(tmp_path)] == ["a/one.PTH"]
    for number in range(5):
        (tmp_path / "a" / f"{number}.pt").write_bytes(b"x")
    assert len(model_files(tmp_path, most=6)) == 6
    assert [path.name for path in model_files(tmp_path, most=5)] == ["0.pt", "1.pt", "2.pt", "3.pt", "4.pt"]


@pytest.mark.parametrize(("shapes", "keys"), [
    ({"E_flame": 1}, ("deca",)), ({"control_model.E_flame": 1}, ("deca",)), ({"control_model." + next(iter(CAPFACE)): 1}, ()),
    ({**CAPFACE, "E_flame.x": 1}, ("capface",)), ({"E_flame.x": 1, "block8.conv2d.weight": 1}, ("deca",)),
    ({"block8.conv2d.weight": 1, "cp.resnet.conv1.weight": 1}, ("facenet",)),
    ({"cp.resnet.conv1.weight": 1, "input_hint_block.0.weight": 1}, ("face_parsing",)),
    ({ATTENTION: (320, 768), CLIP: 1}, ("sd15",)), ({ATTENTION: (768, 320)}, ())])
def test_the_most_particular_kind_wins(tmp_path, shapes, keys):
    assert peek(written(tmp_path, "a.safetensors", save(tensors(shapes)))).keys == keys


def test_old_torch_files_say_their_names_in_the_fourth_pickle(tmp_path):
    magic = pickle.dumps(0x1950a86a20f9469cfc6c, 2)
    parts = [pickle.dumps(each, 2) for each in (1001, {"block8.conv2d.weight": 1}, {"cp.resnet.conv1.weight": 2}, ["x"])]
    assert peek(written(tmp_path, "a.pt", magic + b"".join(parts))).keys == ("face_parsing",)
    assert peek(written(tmp_path, "a.pt", b"".join(parts))).problem == "it is no torch file"


def test_a_torch_zip_s_pickle_lies_in_a_folder_and_is_bounded(tmp_path, monkeypatch):
    content = pickle.dumps({"block8.conv2d.weight": 1})
    assert peek(written(tmp_path, "a.pt", zipped(x__data_pkl=content))).keys == ("facenet",)
    assert peek(written(tmp_path, "a.pt", zipped(data_pkl=content))).problem == "it is a zip file, but not one of torch's"
    monkeypatch.setattr(recognising, "MAX_HEADER", len(content))
    assert peek(tmp_path / "a.pt").problem == "it is a zip file, but not one of torch's"
    assert peek(written(tmp_path, "a.pt", zipped(x__data_pkl=content))).keys == ("facenet",)
    monkeypatch.setattr(recognising, "MAX_HEADER", len(content) - 1)
    assert peek(tmp_path / "a.pt").problem == "it is a zip file, but not one of torch's"
