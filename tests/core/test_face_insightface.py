"""The insightface back end against a stand-in for the package: the calls and layouts are what is tested, for packs cannot be
had where the tests run."""
from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.index import make_detector
from caphuman_core.face.detectors.model_files import find_packs
from caphuman_core.face.landmarks import points68_of_106
from caphuman_core.face.search import Search

POINTS = np.array([[30, 30], [50, 30], [40, 40], [32, 50], [48, 50]], np.float32)


class Detection:
    taskname = "detection"

    def prepare(self, ctx_id, **settings):
        self.prepared = (ctx_id, settings)

    def detect(self, pixels):
        assert pixels.dtype == np.uint8
        assert pixels.shape == (80, 100, 3)
        self.blue = pixels[..., 0].mean()
        return np.array([[20, 20, 60, 60, 0.9]], np.float32), POINTS[None]


class Landmarks:
    def __init__(self, taskname, count, width):
        self.taskname, self.count, self.width = taskname, count, width

    def get(self, pixels, face):
        assert face.bbox.tolist() == [20, 20, 60, 60]
        face[self.taskname] = np.arange(self.count * self.width, dtype=np.float32).reshape(self.count, self.width)


class Recognition:
    taskname = "recognition"

    def get(self, pixels, face):
        np.testing.assert_array_equal(face.kps, POINTS)
        face.embedding = np.full(512, 3.0, np.float32)


MODELS = {"det_10g.onnx": Detection, "2d106det.onnx": lambda: Landmarks("landmark_2d_106", 106, 2),
          "1k3d68.onnx": lambda: Landmarks("landmark_3d_68", 68, 3), "w600k_r50.onnx": Recognition}


@pytest.fixture
def opened(monkeypatch):
    """Paths and providers the stand-in package was asked to open; a file named broken.onnx cannot be."""
    seen = []

    def get_model(path, providers):
        seen.append((path, providers))
        name = path.replace("\\", "/").rsplit("/", 1)[1]
        if name == "broken.onnx":
            raise RuntimeError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF\nand more lines")
        return MODELS[name]() if name in MODELS else None
    runtime = types.ModuleType("onnxruntime")
    runtime.get_available_providers = lambda: ["CPUExecutionProvider"]
    zoo = types.ModuleType("insightface.model_zoo")
    zoo.get_model = get_model
    for module in (runtime, types.ModuleType("insightface"), zoo):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return seen


def unpack(folder, *names):
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"onnx")
    return folder


def make(root, name="auto", providers=("CUDAExecutionProvider", "CPUExecutionProvider")):
    return make_detector("insightface", name, {"insightface": [root]}, providers)


def test_packs_are_found_in_either_layout(tmp_path):
    unpack(tmp_path / "models/buffalo_l", "det_10g.onnx")
    unpack(tmp_path / "models/antelopev2/antelopev2", "det_10g.onnx")
    (tmp_path / "models/buffalo_l.zip").write_bytes(b"")
    above = {name: path.parent.name for name, path in find_packs([tmp_path]).items()}
    assert above == {"buffalo_l": "models", "antelopev2": "antelopev2"}


def test_everything_the_pack_has_is_read(tmp_path, opened):
    unpack(tmp_path / "models/buffalo_l", *MODELS, "genderage.onnx")
    detector = make(tmp_path)
    photo = torch.zeros(1, 3, 80, 100)
    photo[:, 0] = 1                                              # red
    face = detect(detector, photo).per_image[0][0]
    assert detector._models["detection"].blue == 0
    assert face.box_xyxy.tolist() == [20, 20, 60, 60]
    assert face.confidence == pytest.approx(0.9)
    assert torch.equal(face.points5, torch.from_numpy(POINTS))
    assert face.points106.shape == (106, 2)
    assert face.points68[1].tolist() == [3, 4]                   # the 3-D model's own 68, depth dropped
    assert face.arcface.norm() == pytest.approx(1)


def test_without_68_points_they_come_from_106(tmp_path, opened):
    unpack(tmp_path / "models/any", "det_10g.onnx", "2d106det.onnx")
    face = detect(make(tmp_path), torch.zeros(1, 3, 80, 100)).per_image[0][0]
    assert torch.equal(face.points68, points68_of_106(face.points106))
    assert face.arcface is None


def test_providers_that_are_not_installed_are_left_out(tmp_path, opened):
    unpack(tmp_path / "models/any", "det_10g.onnx")
    detector = make(tmp_path, providers=["CUDAExecutionProvider"])
    assert opened[0][1] == ["CPUExecutionProvider"]
    assert detector._models["detection"].prepared == (-1, {"input_size": (640, 640)})


@pytest.mark.parametrize(("names", "chosen", "sentence"), [
    ((), "auto", "backend insightface needs a model pack, but got none: unpack"),
    (("det_10g.onnx",), "gone", "backend insightface needs a model pack, but got 'gone'"),
    (("w600k_r50.onnx",), "auto", r"pack 'any' must hold a detection model \(det_\*.onnx\), but got recognition"),
    (("broken.onnx",), "auto", r"insightface file 'broken.onnx' must be a complete .onnx model, but got 4 bytes"),
])
def test_what_is_missing_is_one_sentence(tmp_path, opened, names, chosen, sentence):
    unpack(tmp_path / "models/any", *names)
    with pytest.raises(InputError, match=sentence) as caught:
        make(tmp_path, chosen)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("package", ["insightface.model_zoo", "onnxruntime"])
def test_missing_packages_are_named_with_their_install_line(tmp_path, monkeypatch, opened, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"backend insightface needs .*: run `pip install insightface onnxruntime`"):
        make(tmp_path)


def test_each_photo_is_looked_at_by_itself_and_may_end_the_search(tmp_path, opened):
    unpack(tmp_path / "models/any", "det_10g.onnx")
    detector, heard = make(tmp_path), []
    found = detector.find(torch.zeros(3, 3, 80, 100), Search(heed=lambda: heard.append(1)))
    assert ([len(faces) for faces in found], len(heard)) == ([1, 1, 1], 3)
    assert [path.name for path in detector.files] == ["det_10g.onnx"]


def test_a_detector_without_points_gives_faces_without_them(tmp_path, opened, monkeypatch):
    unpack(tmp_path / "models/any", "det_10g.onnx")
    monkeypatch.setattr(Detection, "detect", lambda self, pixels: (np.array([[1, 2, 3, 4, 0.5], [5, 6, 7, 8, 0.6]], np.float32),
                                                                   None))
    one, other = make(tmp_path).find(torch.zeros(1, 3, 80, 100))[0]
    assert (one.box_xyxy.tolist(), one.points5, one.confidence) == ([1, 2, 3, 4], None, 0.5)
    assert (other.box_xyxy.tolist(), other.points68, other.points106) == ([5, 6, 7, 8], None, None)


def test_the_second_face_gets_the_second_points(tmp_path, opened, monkeypatch):
    unpack(tmp_path / "models/any", "det_10g.onnx")
    boxes = np.array([[1, 2, 3, 4, 0.5], [5, 6, 7, 8, 0.6]], np.float32)
    monkeypatch.setattr(Detection, "detect", lambda self, pixels: (boxes, np.stack([POINTS, POINTS + 9])))
    assert torch.equal(make(tmp_path).find(torch.zeros(1, 3, 80, 100))[0][1].points5, torch.from_numpy(POINTS + 9))


def test_installed_providers_come_in_the_order_asked_and_a_card_is_context_0(tmp_path, opened, monkeypatch):
    unpack(tmp_path / "models/any", "det_10g.onnx")
    sys.modules["onnxruntime"].get_available_providers = lambda: ["CPUExecutionProvider", "A", "B"]
    detector = make(tmp_path, providers=["B", "gone", "A", "CPUExecutionProvider"])
    assert opened[0][1] == ["B", "A", "CPUExecutionProvider"]
    assert detector._models["detection"].prepared[0] == 0


def test_the_usual_packs_are_taken_first_and_any_other_by_its_name(tmp_path, opened):
    for name in ("antelopev2", "aaa", "zzz"):
        unpack(tmp_path / "models" / name, "det_10g.onnx")
    assert make(tmp_path).files[0].parent.name == "antelopev2"
    assert make(tmp_path, "zzz").files[0].parent.name == "zzz"
    unpack(tmp_path / "models" / "buffalo_l", "det_10g.onnx")
    assert make(tmp_path).files[0].parent.name == "buffalo_l"


def test_each_back_end_gets_its_own_folders(monkeypatch, tmp_path):
    from caphuman_core.face.detectors import insightface, mediapipe, mtcnn
    for module, name in ((mtcnn, "Mtcnn"), (mediapipe, "MediaPipe"), (insightface, "InsightFace")):
        monkeypatch.setattr(module, name, lambda *given, name=name: (name, *given))
    folders = {key: [tmp_path / key] for key in ("facenet", "detection", "insightface")}
    assert make_detector("mtcnn", "x", folders, ["A"]) == ("Mtcnn", folders["facenet"])
    assert make_detector("mediapipe", "x", folders, ["A"]) == ("MediaPipe", folders["detection"], "x")
    assert make_detector("insightface", "x", folders, ["A"]) == ("InsightFace", folders["insightface"], "x", ["A"])


def test_mediapipe_that_is_not_installed_is_told_with_its_install_line(monkeypatch):
    from caphuman_core.face.detectors import mediapipe
    monkeypatch.setitem(sys.modules, "mediapipe.tasks.python.vision", None)
    with pytest.raises(InputError, match=r"mediapipe needs the Python package mediapipe, but got .*: run `pip install mediapipe`"):
        mediapipe._package()


def test_a_pack_is_a_folder_and_no_single_file(tmp_path):
    (tmp_path / "deep" / "pack").mkdir(parents=True)
    for place in ("single.onnx", "deep/pack/a.onnx"):
        (tmp_path / place).write_bytes(b"")
    assert find_packs([tmp_path / "none", tmp_path]) == {"pack": tmp_path / "deep" / "pack"}


def test_an_unknown_backend_is_refused():
    with pytest.raises(InputError,
                       match="backend must be one of mtcnn, mediapipe, insightface, but got 'dlib': choose one of them"):
        make_detector("dlib", "auto", {})
