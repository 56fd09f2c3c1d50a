"""mtcnn: the numbers of facenet-pytorch with its shipped weights, and the laws of batches."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from face_photos import golden_photo
from hypothesis import given, settings
from hypothesis import strategies as st

from caphuman_core.check import InputError
from caphuman_core.face.detectors import mtcnn, mtcnn_nets
from caphuman_core.face.detectors import mtcnn_boxes as boxes
from caphuman_core.face.options import MTCNN_FILES

PHOTOS = ("astronaut", "camera_rgb", "astronaut_300x400", "two_faces")


@pytest.fixture(scope="module")
def detector():
    return mtcnn.Mtcnn()


@pytest.mark.parametrize("name", PHOTOS)
def test_finds_what_the_reference_finds(detector, golden, name):
    numbers = golden("face_identity")
    found = detector.find(golden_photo(name)[None])[0]
    # 0.02 px and 1e-4 are the reference's own tolerances; ours differ by float32 rounding of area means.
    np.testing.assert_allclose(torch.stack([f.box_xyxy for f in found]), numbers[f"{name}/boxes"], atol=0.02)
    np.testing.assert_allclose(torch.stack([f.points5 for f in found]), numbers[f"{name}/points"], atol=0.02)
    np.testing.assert_allclose([f.confidence for f in found], numbers[f"{name}/probs"], atol=1e-4)


def test_finds_nothing_where_nothing_is(detector):
    assert detector.find(golden_photo("no_face")[None]) == [()]


@pytest.mark.parametrize("shape", [(1, 1), (5, 700), (19, 19), (20, 20), (16, 16)])
def test_tiny_photos_have_no_faces(detector, shape):
    assert detector.find(torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(1))) == [(), ()]


def test_a_batch_is_its_photos_one_by_one(detector, monkeypatch):
    photo = golden_photo("astronaut_300x400")
    batch = torch.stack([photo, torch.zeros_like(photo), photo.flip(2), photo * 0.7])
    together = detector.find(batch)
    monkeypatch.setattr(mtcnn, "PIXELS_AT_ONCE", 1)             # every photo in a pass of its own
    alone = detector.find(batch)
    assert [len(found) for found in together] == [1, 0, 1, 1]
    for one, other in zip(together, alone, strict=True):
        for a, b in zip(one, other, strict=True):
            # Convolutions of another batch size add up in another order.
            torch.testing.assert_close(a.box_xyxy, b.box_xyxy, atol=1e-3, rtol=0)
            torch.testing.assert_close(a.points5, b.points5, atol=1e-3, rtol=0)


def test_large_photos_are_searched_from_larger_faces_on():
    assert mtcnn._largest_level(4000, 8000) <= mtcnn.LARGEST_LEVEL + 1
    assert mtcnn._first_scale(1024, 1024) == 0.6


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_levels_are_area_averages(height, width, rows, columns, seed):
    photos = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    plain = torch.nn.functional.adaptive_avg_pool2d(photos.double(), (rows, columns))
    # Exact integers until the division: only float32 rounding is left.
    torch.testing.assert_close(boxes.level(boxes.summed(photos), rows, columns).double(), (plain - 127.5) / 128, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (10, 7), (7, 10)])
def test_pooling_is_max_pool2d(size):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    assert torch.equal(mtcnn_nets.pooled(x), torch.nn.functional.max_pool2d(x, 2, 2, ceil_mode=True))


def test_patches_are_area_averages_of_their_boxes():
    photos = torch.randint(0, 256, (2, 3, 50, 70), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    where = torch.tensor([[0, 0, 70, 50], [3, 4, 10, 9], [60, 40, 61, 41]])
    photo = torch.tensor([1, 0, 1])
    found = boxes.patches(boxes.summed(photos), photo, where, 24)
    for k, (left, top, right, bottom) in enumerate(where.tolist()):
        plain = torch.nn.functional.adaptive_avg_pool2d(photos[photo[k], :, top:bottom, left:right].double(), 24)
        torch.testing.assert_close(found[k].double(), (plain - 127.5) / 128, atol=1e-5, rtol=0)


def test_sums_of_large_photos_survive_the_wrap_of_int32():
    photos = torch.full((1, 3, 3000, 3000), 255, dtype=torch.uint8)          # 2.3e9 in all, above 2^31
    level = boxes.level(boxes.summed(photos), 7, 5)
    torch.testing.assert_close(level, torch.full_like(level, (255 - 127.5) / 128))


def test_suppression_keeps_groups_apart():
    where = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [0, 0, 10, 10], [40, 40, 50, 50]], dtype=np.float32)
    scores = np.array([0.8, 0.9, 0.7, 0.6], dtype=np.float32)
    assert boxes.suppress(where, scores, np.array([0, 0, 1, 0]), 0.5).tolist() == [1, 2, 3]
    inside = np.array([[0, 0, 99, 99], [40, 40, 50, 50]], dtype=np.float32)
    assert boxes.suppress(inside, scores[:2], np.zeros(2, int), 0.7, of_smaller=True).tolist() == [1]
    assert boxes.suppress(inside, scores[:2], np.zeros(2, int), 0.7).tolist() == [1, 0]


def test_missing_weights_are_explained(monkeypatch, tmp_path):
    monkeypatch.setattr(mtcnn_nets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install --no-deps facenet-pytorch.*models folder 'facenet'"):
        mtcnn.Mtcnn([tmp_path])


def test_weights_of_the_users_folder_come_first(monkeypatch, tmp_path, detector):
    source = mtcnn_nets.find_files([])[0].parent
    (tmp_path / "sub").mkdir()
    for name in MTCNN_FILES:
        (tmp_path / "sub" / name).write_bytes((source / name).read_bytes())
    monkeypatch.setattr(mtcnn_nets.importlib.util, "find_spec", lambda name: None)
    assert [path.parent.name for path in mtcnn_nets.find_files([tmp_path])] == ["sub"] * 3
    mtcnn.Mtcnn([tmp_path])


def test_a_file_that_is_no_detector_is_refused(tmp_path):
    source = mtcnn_nets.find_files([])[0].parent
    for name, other in zip(MTCNN_FILES, ("rnet.pt", "rnet.pt", "onet.pt"), strict=True):
        Path(tmp_path / name).write_bytes((source / other).read_bytes())
    with pytest.raises(InputError, match=r"'pnet.pt' must hold exactly the weights"):
        mtcnn.Mtcnn([tmp_path])


