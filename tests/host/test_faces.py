"""The face nodes in the host."""
from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from face_photos import golden_photo


def image(*names):
    return torch.stack([golden_photo(name) for name in names]).movedim(1, -1).contiguous()


@pytest.fixture
def detector(call):
    return call("CapHumanLoadFaceDetector", backend="mtcnn", model_name="auto")[0]


def detect(call, detector, photos, min_confidence=0.5, max_faces=0, order="largest", if_none="error"):
    return call("CapHumanDetectFaces", image=photos, detector=detector, min_confidence=min_confidence, max_faces=max_faces,
                order=order, if_none=if_none)


def test_two_faces_are_found_numbered_and_boxed(call, detector, golden):
    photos = image("two_faces")
    faces, preview, bboxes, count = detect(call, detector, photos)
    numbers = golden("face_identity")
    assert count == faces.count == 2
    assert preview.shape == photos.shape
    for face, box, expected in zip(faces.per_image[0], bboxes[0], numbers["two_faces/boxes"], strict=True):
        np.testing.assert_allclose(face.box_xyxy, expected, atol=0.02)                 # the reference's tolerance
        np.testing.assert_allclose([box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]], expected, atol=0.02)
    one = call("CapHumanSelectFace", faces=faces, index=1)[0]
    assert one.per_image == ((faces.per_image[0][1],),)


def test_the_hosts_own_node_draws_our_boxes(call, detector):
    from comfy_extras.nodes_rtdetr import DrawBBoxes
    photos = image("two_faces")
    bboxes = detect(call, detector, photos)[2]
    drawn = DrawBBoxes.execute(bboxes, photos).result[0]
    assert (drawn - photos).abs().max() > 0.5


@pytest.mark.parametrize("kind", ["grey", "rgba", "16 bit"])
def test_other_kinds_of_pictures(call, detector, kind):
    photos = image("astronaut")
    if kind == "grey":
        photos = photos.mean(-1, keepdim=True)
    elif kind == "rgba":
        photos = torch.cat([photos, torch.zeros_like(photos[..., :1])], -1)
    else:
        photos = photos + 0.2 / 65535
    assert detect(call, detector, photos)[3] == 1


@pytest.mark.parametrize(("photos", "sentence"), [
    (torch.zeros(1, 1, 1, 3), "photo 1 must show a face"),
    (torch.zeros(1, 16, 16, 3), "photo 1 must show a face"),
    (torch.full((1, 64, 64, 3), math.nan), "image must hold finite numbers"),
    (torch.zeros(0, 64, 64, 3), "image must hold at least one picture"),
    (torch.zeros(1, 64, 64, 5), "image must have 1 or 3 or 4 channels, but got 5"),
    (torch.zeros(64, 64, 3), "image must be a batch"),
])
def test_bad_pictures_are_one_sentence(call, detector, photos, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        detect(call, detector, photos)
    assert "\n" not in str(caught.value)


def test_a_batch_keeps_the_places_of_photos_without_a_face(call, detector):
    photos = image("astronaut", "astronaut", "astronaut").clone()
    photos[2] = 0.3
    with pytest.raises(ValueError, match="photo 3 must show a face"):
        detect(call, detector, photos)
    faces, _, bboxes, count = detect(call, detector, photos, if_none="skip")
    assert [len(found) for found in faces.per_image] == [1, 1, 0]
    assert [len(found) for found in bboxes] == [1, 1, 0]
    assert count == 2


def test_a_panorama_is_searched(call, detector):
    photo = image("astronaut")[:, :256, 100:356]
    panorama = torch.full((1, 400, 8000, 3), 0.5)
    panorama[:, 100:356, 7000:7256] = photo
    faces = detect(call, detector, panorama)[0]
    assert 7000 < faces.per_image[0][0].box_xyxy[0] < 7256


@pytest.mark.parametrize(("backend", "package"), [("mediapipe", "mediapipe.tasks.python.vision"),
                                                  ("insightface", "insightface.model_zoo")])
def test_a_missing_back_end_is_named_with_its_install_line(call, monkeypatch, backend, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=f"backend {backend} needs .*pip install {backend}"):
        call("CapHumanLoadFaceDetector", backend=backend, model_name="auto")


def test_a_photo_is_detected_once(run, host, tmp_path):
    import folder_paths
    from PIL import Image
    picture = (golden_photo("astronaut_300x400").movedim(0, -1) * 255).byte().numpy()
    Image.fromarray(picture).save(f"{folder_paths.get_input_directory()}/astronaut.png")
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "astronaut.png"}},
        "2": {"class_type": "CapHumanLoadFaceDetector", "inputs": {"backend": "mtcnn", "model_name": "auto"}},
        "3": {"class_type": "CapHumanDetectFaces", "inputs": {
            "image": ["1", 0], "detector": ["2", 0], "min_confidence": 0.5, "max_faces": 0, "order": "largest",
            "if_none": "error"}},
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 1]}},
    }
    result = run(prompt)
    assert result["valid"], result
    assert result["success"], result["messages"]
    assert any(event == "progress_state" or event == "progress" for event, _ in result["sent"])
    again = run(prompt, result["executor"])
    cached = next(data["nodes"] for event, data in again["messages"] if event == "execution_cached")
    assert {"1", "2", "3", "4"} <= set(cached)           # nothing is loaded or detected a second time
