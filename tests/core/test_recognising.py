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
    for number in (1, 2, 3):                 # one of a newer version too: the loader then says what to do
        content = save(tensors({"template": 1}), {"format": f"caphuman-head/{number}"})
        assert peek(written(tmp_path, "a.safetensors", content)) == Peek(
            ("flame", "flame_landmarks", "flame_template", "flame_texture"), "a converted head model, complete")
    assert peek(written(tmp_path, "a.safetensors", save(tensors({"template": 1}), {"format": "caphuman-head-codes/1"}))).keys == ()


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
