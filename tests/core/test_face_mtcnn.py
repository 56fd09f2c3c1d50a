"""mtcnn: the numbers of facenet-pytorch with its shipped weights, and the laws of batches."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from face_photos import golden_photo
from hypothesis import given, settings
from hypothesis import strategies as st

from caphuman_core.check import InputError
from caphuman_core.face.detectors import mtcnn, mtcnn_nets, mtcnn_sight
from caphuman_core.face.detectors import mtcnn_boxes as boxes
from caphuman_core.face.options import MTCNN_FILES
from caphuman_core.face.search import ORDINARY

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


def overlapping(most, of_smaller, other=(0, 3, 9, 11)):
    both = np.array([(0, 0, 9, 9), other], float)
    return boxes.suppress(both, np.array([0.9, 0.8]), np.zeros(2), most, of_smaller).tolist()


def test_the_last_stage_counts_pixels_inclusively_against_the_smaller_box():
    """10 x 10 and 10 x 9 pixels share 10 x 7: 70 of the smaller one's 90. Lengths would give 54 of 72."""
    assert overlapping(0.77, of_smaller=True) == [0]
    assert overlapping(0.78, of_smaller=True) == [0, 1]


def test_the_first_stages_take_lengths_and_the_share_of_the_union():
    """9 x 9 and 9 x 8 share 9 x 6: 54 of 81 + 72 - 54 = 99."""
    assert overlapping(0.54, of_smaller=False) == [0]
    assert overlapping(0.55, of_smaller=False) == [0, 1]
    assert overlapping(0.0, of_smaller=False, other=(9, 0, 18, 9)) == [0, 1], "boxes that touch share nothing"
    assert overlapping(0.0, of_smaller=True, other=(9, 0, 18, 9)) == [0], "but a column of pixels, counted inclusively"


def test_suppression_keeps_the_best_of_each_photo_best_first():
    same = np.tile([[0.0, 0.0, 10.0, 10.0]], (4, 1))
    kept = boxes.suppress(same, np.array([0.5, 0.7, 0.9, 0.6]), np.array([0, 0, 1, 1]), 0.5)
    assert kept.tolist() == [2, 1]
    empty = boxes.suppress(np.zeros((2, 4)), np.array([0.5, 0.7]), np.zeros(2), 0.5)
    assert empty.tolist() == [1, 0], "boxes of no area share nothing"


def test_boxes_move_by_shares_of_their_size_and_grow_to_squares():
    box = torch.tensor([[10.0, 20.0, 19.0, 39.0]])                      # 10 x 20 pixels counted inclusively, 9 x 19 as lengths
    shifts = torch.tensor([[0.1, -0.1, 0.2, 0.05]])
    assert boxes.moved(box, shifts).tolist() == [[11.0, 18.0, 21.0, 40.0]]
    np.testing.assert_allclose(boxes.moved(box, shifts, inclusive=False), [[10.9, 18.1, 20.8, 39.95]], rtol=1e-6)
    assert boxes.squared(torch.tensor([[10.0, 20.0, 14.0, 40.0]])).tolist() == [[2.0, 20.0, 22.0, 40.0]]
    assert boxes.squared(torch.tensor([[0.0, 0.0, 20.0, 10.0]])).tolist() == [[0.0, -5.0, 20.0, 15.0]]


def test_points_are_shares_of_their_box():
    points = torch.tensor([[0.0, 1.0, 0.5, 0.1, 0.9, 0.0, 0.0, 0.5, 1.0, 1.0]])          # five x, then five y
    placed = mtcnn._placed(points, torch.tensor([[11.0, 21.0, 20.0, 40.0]]))             # 10 x 20 pixels, counted from 1
    np.testing.assert_allclose(placed[0], [[10, 20], [20, 20], [15, 30], [11, 40], [19, 40]], rtol=1e-6)


def test_boxes_are_cut_to_whole_pixels_inside_the_photo():
    cut = mtcnn._whole_pixels(torch.tensor([[1.9, 2.9, 5.9, 7.9], [-3.0, 0.5, 99.0, 99.0]]), 50, 60)
    assert cut.tolist() == [[0, 1, 5, 7], [0, 0, 60, 50]]


def test_the_pyramid_goes_from_faces_of_20_pixels_to_the_shorter_side():
    scales = mtcnn._scales(100, 300, 20)
    assert scales[0] == 0.6                                              # 12 of 20 pixels
    np.testing.assert_allclose(np.diff(np.log(scales)), np.log(0.709))
    assert 100 * scales[-1] >= 12 > 100 * scales[-1] * 0.709
    assert mtcnn._scales(20, 300, 20) == [0.6]
    assert mtcnn._scales(19, 300, 20) == []


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




# --- how much at once, and what is read

@pytest.mark.parametrize(("side", "parts"), [(100, [36, 4]), (300, [4] * 10), (603, [1] * 40)])
def test_photos_are_searched_together_as_far_as_caches_hold_them(detector, monkeypatch, side, parts):
    """131072 pixels of their largest levels together, which are six tenths of the photos."""
    seen = []
    monkeypatch.setattr(detector, "_find_together", lambda sight, *_: seen.append(len(sight.photos)) or [()] * len(sight.photos))
    detector.find(torch.zeros(1, 1, 1, 1, dtype=torch.uint8).expand(40, 3, side, side))
    assert seen == parts


def test_the_first_scale_keeps_the_largest_level_small():
    assert mtcnn._first_scale(6000, 8000) == (6_000_000 / 48_000_000) ** 0.5
    assert mtcnn._first_scale(0, 5) == 0.6
    assert mtcnn._largest_level(100, 50) == pytest.approx(1800)


def test_candidates_are_the_windows_with_chances_from_six_tenths():
    moves = torch.arange(24.0).view(1, 4, 2, 3).expand(2, 4, 2, 3)
    chance = torch.tensor([[[0.1, 0.6, 0.2], [0.3, 0.59, 0.9]], [[0.0, 0.0, 0.0], [0.7, 0.0, 0.0]]])
    photo, cell, chances, shifts = mtcnn._candidates(moves, chance)
    assert photo.tolist() == [0, 0, 1]
    assert cell.tolist() == [[1, 0], [2, 1], [0, 1]], "column, row"
    assert chances.tolist() == pytest.approx([0.6, 0.9, 0.7])
    assert shifts.tolist() == [[1, 7, 13, 19], [5, 11, 17, 23], [3, 9, 15, 21]]


def test_faces_are_sorted_by_their_photo_and_area():
    where = torch.tensor([[0.0, 0, 10, 10], [0, 0, 30, 5], [0, 0, 20, 20], [5, 5, 15, 15]])
    found = mtcnn._Found(where, torch.tensor([0.5, 0.6, 0.7, 0.8]), torch.tensor([0, 0, 2, 0]))
    first, second, third = mtcnn._faces(found, torch.arange(40.0).view(4, 5, 2), 3)
    assert [face.confidence for face in first] == pytest.approx([0.6, 0.5, 0.8]), "150, then 100 and 100 in their order"
    assert (second, third[0].points5[0].tolist(), third[0].box_xyxy.tolist()) == ((), [20, 21], [0, 0, 20, 20])


@pytest.mark.parametrize(("height", "width", "smallest", "factor", "pixels"), [
    (1000, 2000, 0.0, 1, 20), (1000, 2001, 0.0, 2, 20), (2000, 4000, 0.0, 2, 20), (2000, 4001, 0.0, 3, 20), (9000, 9000, 0.0, 3,
                                                                                                             20),
    (1000, 2000, 0.01, 1, 20), (1000, 2000, 0.05, 2, 25.0), (4000, 3000, 0.1, 15, 20.0), (100, 100, 0.5, 2, 25.0), (10, 10, -1.0,
                                                                                                                    1, 20)])
def test_large_photos_are_reduced_to_where_the_smallest_face_has_twenty_pixels(height, width, smallest, factor, pixels):
    assert mtcnn_sight.reduction(height, width, smallest) == (factor, pytest.approx(pixels))


def test_boxes_in_reduced_pixels_are_rounded_kept_inside_and_a_pixel_large():
    sight = mtcnn_sight.Sight(torch.zeros(1, 3, 31, 46, dtype=torch.uint8), 3)
    assert (sight.height, sight.width) == (10, 15)
    given = torch.tensor([[0, 0, 30, 30], [4, 5, 7, 8], [44, 29, 46, 31], [9, 9, 10, 10]])
    assert sight._reduced(given).tolist() == [[0, 0, 10, 10], [1, 2, 2, 3], [14, 9, 15, 10], [3, 3, 4, 4]]


def test_networks_see_colours_about_the_middle_grey():
    assert mtcnn_nets.scaled(torch.tensor([0, 510, 255]), torch.tensor([1.0, 2.0, 2.0])).tolist() == [-127.5 / 128, 127.5 / 128, 0]


def test_columns_come_before_rows_in_the_dense_layers():
    x = torch.arange(12).view(1, 2, 2, 3)
    assert mtcnn_nets._columns_first(x).tolist() == [[0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11]]


def test_a_face_within_a_face_is_left_out_in_the_last_stage_alone(monkeypatch):
    """Overlaps are measured against both boxes before, against the smaller one at the end: a quarter of the larger is all of it."""
    where = torch.tensor([[0.0, 0.0, 100.0, 100.0], [10.0, 10.0, 60.0, 60.0], [200.0, 0.0, 260.0, 60.0]])
    sides = []

    def judge(self, net, sight, found, side, threshold, search):
        sides.append((side, threshold, len(found.boxes)))
        outputs = [torch.zeros(len(found.boxes), 4), torch.full((len(found.boxes), 10), 0.5)]
        return found, outputs[:1] if side == 24 else outputs
    detector = object.__new__(mtcnn.Mtcnn)
    torch.nn.Module.__init__(detector)
    detector.refine = detector.output = None
    monkeypatch.setattr(mtcnn.Mtcnn, "_judge", judge)
    monkeypatch.setattr(mtcnn.Mtcnn, "_propose", lambda self, sight, smallest, search: mtcnn._Found(
        where, torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3, dtype=torch.long)))
    (found,) = detector._find_together(SimpleNamespace(photos=torch.zeros(1, 3, 8, 8)), 20.0, ORDINARY)
    assert sides == [(24, 0.7, 3), (48, 0.7, 3)]
    assert [face.box_xyxy.tolist() for face in found] == [where[0].tolist(), where[2].tolist()]
