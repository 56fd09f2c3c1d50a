"""What the first minutes rest on: a photo that is there from the start, the largest face, one entry of a batch."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from face_photos import golden_photo
from PIL import Image

SAMPLE = "caphuman_sample.jpg [temp]"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folders(host):
    """The host's folder_paths."""
    import folder_paths
    return folder_paths


def test_the_sample_is_offered_first_and_shown_from_temp_alone(host, folders):
    node = host.NODE_CLASS_MAPPINGS["CapHumanLoadPhoto"]
    kind, options = node.GET_NODE_INFO_V1()["input"]["required"]["image"]
    assert kind == "COMBO"
    assert options["options"][0] == options["default"] == SAMPLE
    assert options["image_upload"] is True
    shown = Path(folders.get_temp_directory(), "caphuman_sample.jpg")
    assert shown.read_bytes() == (ROOT / "samples" / "caphuman_sample.jpg").read_bytes()
    assert not list(Path(folders.get_input_directory()).rglob("caphuman_sample*")), "nothing is put among the user's files"


def test_the_sample_loads_also_when_temp_was_emptied(call, folders):
    Path(folders.get_temp_directory(), "caphuman_sample.jpg").unlink()
    image, mask = call("CapHumanLoadPhoto", image=SAMPLE)
    with Image.open(ROOT / "samples" / "caphuman_sample.jpg") as picture:
        expected = np.asarray(picture.convert("RGB")) / 255
    assert image.shape == (1, 512, 512, 3)
    assert np.abs(image[0].numpy() - expected).mean() < 2 / 255          # two decoders of one JPEG round colours differently
    assert not mask.any()


def test_the_sample_holds_one_face_that_a_512_pixel_picture_can_show(call):
    image, _ = call("CapHumanLoadPhoto", image=SAMPLE)
    detector = call("CapHumanLoadFaceDetector", backend="mtcnn", model_name="auto")[0]
    faces = call("CapHumanDetectFaces", image=image, detector=detector, min_confidence=0.9, max_faces=0, order="largest",
                 if_none="error")[0]
    (face,) = faces.per_image[0]
    assert face.box_xyxy[3] - face.box_xyxy[1] > 128


def test_a_photo_of_the_user_s_is_turned_as_the_camera_was_held(call, folders):
    picture = Image.fromarray(np.zeros((30, 50, 3), np.uint8))
    exif = picture.getexif()
    exif[274] = 6                        # a quarter turn
    picture.save(Path(folders.get_input_directory(), "mine.jpg"), exif=exif)
    assert call("CapHumanLoadPhoto", image="mine.jpg")[0].shape == (1, 50, 30, 3)


def test_the_sample_video_is_offered_first_and_shows_a_face_that_moves(call, host, folders):
    node = host.NODE_CLASS_MAPPINGS["CapHumanLoadVideo"]
    _, options = node.GET_NODE_INFO_V1()["input"]["required"]["file"]
    assert options["options"][0] == options["default"] == "caphuman_sample.mp4 [temp]"
    assert options["video_upload"] is True
    assert Path(folders.get_temp_directory(), "caphuman_sample.mp4").is_file()
    video = call("CapHumanLoadVideo", file="caphuman_sample.mp4 [temp]")[0]
    detector = call("CapHumanLoadFaceDetector", backend="mtcnn", model_name="auto")[0]
    model = call("CapHumanLoadHeadModel", head_model_name="built-in")[0]
    heads, _, _, rate = call("CapHumanHeadsFromVideo", detector=detector, head_model=model, video=video, every_nth=3,
                             if_no_face="error")
    assert (len(heads), rate) == (4, 4.0)
    tilts = heads.rotation_radians[:, 2]
    assert float(tilts.max() - tilts.min()) > 0.2, "tilted to one side, then the other"


@pytest.mark.parametrize("name", ["gone.mp4", "../outside.mp4"])
def test_a_video_that_is_not_there_is_refused_before_anything_runs(host, name):
    told = host.NODE_CLASS_MAPPINGS["CapHumanLoadVideo"].validate_inputs(file=name)
    assert str(told).startswith("video must be a video in ComfyUI's input folder, or the sample, but got ")


@pytest.mark.parametrize("name", ["gone.jpg", "../outside.jpg", "gone.jpg [temp]", "", "caphuman_sample.jpg [output]"])
def test_a_photo_that_is_not_there_is_refused_before_anything_runs(run, name):
    prompt = {"1": {"class_type": "CapHumanLoadPhoto", "inputs": {"image": name}},
              "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
    answer = run(prompt)
    assert not answer["valid"]
    assert "image must be a picture" in str(answer["node_errors"])


def test_the_largest_face_is_taken_and_the_preview_says_so(call):
    photos = golden_photo("two_faces").movedim(0, -1)[None].contiguous()
    detector = call("CapHumanLoadFaceDetector", backend="mtcnn", model_name="auto")[0]

    def detect(most):
        return call("CapHumanDetectFaces", image=photos, detector=detector, min_confidence=0.5, max_faces=most, order="largest",
                    if_none="error")
    both, every, _, two = detect(0)
    taken, preview, boxes, one = detect(1)
    assert (two, one, len(boxes[0])) == (2, 1, 1)
    assert torch.equal(taken.per_image[0][0].box_xyxy, both.per_image[0][0].box_xyxy)
    foot = photos.shape[1] - 8
    assert torch.equal(every[0, foot:, :4], photos[0, foot:, :4]), "with every face taken there is nothing to say"
    assert (preview[0, foot:, :4] == 0).all(), "a line at the foot of the photo"
    left, top = both.per_image[0][1].box_xyxy[:2].round().int().tolist()
    around = preview[0, top - 3:top + 4, left - 3:left + 4]
    assert (around - 150 / 255).abs().amax(-1).min() < 0.01, "the face that was left out has a faint box"


def test_one_frame_of_a_batch_and_its_person(call):
    model = call("CapHumanLoadHeadModel", head_model_name="built-in")[0]
    head = call("CapHumanNewHead", head_model=model, width=64, height=64)[0].expand(4)
    head = head.replace(rotation_radians=torch.arange(4.0)[:, None].expand(4, 3))
    picked, _, count = call("CapHumanPickHead", which="last, 1", head=head)
    assert picked.rotation_radians[:, 0].tolist() == [3.0, 1.0]
    assert count == 2


@pytest.mark.parametrize(("which", "linked", "sentence"), [
    ("7", True, "which must stay in the batch, 0 to 0, but got 7"),
    ("0", False, "head or identity must be linked, but got neither")])
def test_picking_says_what_is_wrong(call, which, linked, sentence):
    model = call("CapHumanLoadHeadModel", head_model_name="built-in")[0]
    given = {"head": call("CapHumanNewHead", head_model=model, width=64, height=64)[0]} if linked else {}
    with pytest.raises(ValueError, match=sentence):
        call("CapHumanPickHead", which=which, **given)


def test_what_was_not_linked_cannot_be_used(run):
    prompt = {"1": {"class_type": "CapHumanLoadHeadModel", "inputs": {"head_model_name": "built-in"}},
              "2": {"class_type": "CapHumanNewHead", "inputs": {"head_model": ["1", 0], "width": 64, "height": 64}},
              "3": {"class_type": "CapHumanPickHead", "inputs": {"which": "0", "head": ["2", 0]}},
              "4": {"class_type": "CapHumanSaveIdentity", "inputs": {"identity": ["3", 1], "filename_prefix": "x"}}}
    answer = run(prompt)
    assert "link one" in str(answer["sent"])
