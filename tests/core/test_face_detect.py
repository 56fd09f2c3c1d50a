"""Choosing faces: order, limits, photos without a face, second looks, previews."""
from __future__ import annotations

import pytest
import torch
from face_photos import golden_photo

from caphuman_core.check import InputError
from caphuman_core.face import turned as views
from caphuman_core.face.detection import detect, select
from caphuman_core.face.detectors.mtcnn import Mtcnn
from caphuman_core.face.options import FACE_ORDERS, IF_NO_FACE
from caphuman_core.face.preview import draw_faces
from caphuman_core.flow import Face

POINTS = torch.tensor([[3.0, 3.0], [7.0, 3.0], [5.0, 5.0], [3.0, 8.0], [7.0, 8.0]])


@pytest.fixture(scope="module")
def mtcnn():
    return Mtcnn()


def face(left, top, side, confidence):
    box = torch.tensor([left, top, left + side, top + side], dtype=torch.float32)
    return Face(box, confidence, POINTS + box[:2])


class Fixed:
    """Finds the same faces in every photo with anything bright in it."""

    name, doubtful_below, convincing = "fixed", 0.99, 0.9
    faces = (face(60, 10, 10, 0.99), face(5, 30, 30, 0.6), face(45, 45, 12, 0.999))

    def find(self, photos, search=None):
        return [self.faces if photo.max() > 0.9 else () for photo in photos]


@pytest.mark.parametrize(("order", "expected"), [("largest", [30, 12, 10]), ("left to right", [30, 12, 10]),
                                                 ("top to bottom", [10, 30, 12]), ("most central", [12, 30, 10]),
                                                 ("confidence", [12, 10, 30])])
def test_order(order, expected):
    found = detect(Fixed(), torch.ones(1, 3, 100, 100), order=order).per_image[0]
    assert [int(f.box_xyxy[2] - f.box_xyxy[0]) for f in found] == expected
    assert order in FACE_ORDERS


def test_limits_apply_after_ordering():
    photos = torch.ones(2, 3, 100, 100)
    assert detect(Fixed(), photos, max_faces=2, order="confidence").count == 4
    assert [f.confidence for f in detect(Fixed(), photos, 0.9).per_image[1]] == [0.999, 0.99]
    assert detect(Fixed(), photos, max_faces=1, order="left to right").per_image[0][0].confidence == 0.6


def test_a_photo_without_a_face_is_an_error_skipped_or_whole():
    photos = torch.stack([torch.ones(3, 100, 80), torch.zeros(3, 100, 80), torch.ones(3, 100, 80)])
    with pytest.raises(InputError, match=r"^photo 2 must show a face, but got none .*: use a photo .*\.$"):
        detect(Fixed(), photos)
    skipped = detect(Fixed(), photos, if_none="skip")
    assert [len(found) for found in skipped.per_image] == [3, 0, 3]
    whole = detect(Fixed(), photos, if_none="whole image").per_image[1][0]
    assert whole.box_xyxy.tolist() == [0, 0, 80, 100]
    assert whole.confidence == 0
    assert IF_NO_FACE[0] == "error"


def test_an_unknown_order_is_refused():
    with pytest.raises(InputError, match="order must be one of largest"):
        detect(Fixed(), torch.ones(1, 3, 9, 9), order="random")


def test_progress_counts_photos():
    seen = []
    detect(Fixed(), torch.ones(20, 3, 10, 10), step=seen.append)
    assert seen == [8, 16, 20]


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("padded", [False, True])
def test_views_map_points_back(turns, padded):
    photo = torch.zeros(3, 40, 70, dtype=torch.uint8)
    photo[:, 12, 33] = 1
    view = views.View(turns, padded)
    seen = view.of(photo)
    y, x = (seen[0] == 1).nonzero()[0].tolist()
    at = torch.tensor([[x + 0.5, y + 0.5]]).expand(5, 2)
    back = view.back(Face(torch.tensor([x, y, x + 1.0, y + 1.0]), 1.0, at), 40, 70)
    assert back.points5[0].tolist() == [33.5, 12.5]
    assert back.box_xyxy.tolist() == [33, 12, 34, 13]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_faces_are_found_and_their_points_lie_on_them(mtcnn, turns):
    photo = golden_photo("astronaut")
    upright = detect(mtcnn, photo[None]).per_image[0][0]
    turned = torch.rot90(photo, turns, (1, 2))
    found = detect(mtcnn, turned[None]).per_image[0][0]
    back = views.turned_back(found.points5, turns, *photo.shape[1:])
    torch.testing.assert_close(back, upright.points5, atol=1e-2, rtol=0)
    assert (views.quarter_turns_to_upright(found) + turns) % 4 == 0


@pytest.mark.parametrize("turns", range(4))
def test_a_crop_that_cuts_the_face_is_found(mtcnn, turns):
    photo = golden_photo("astronaut")[:, 72:162, 191:257]                   # 10 px inside the face's box on every side
    assert mtcnn.find(photo[None]) == [()]
    found = detect(mtcnn, torch.rot90(photo, turns, (1, 2))[None]).per_image[0][0]
    points = views.turned_back(found.points5, turns, *photo.shape[1:])
    known = detect(mtcnn, golden_photo("astronaut")[None]).per_image[0][0].points5 - torch.tensor([191.0, 72.0])
    # Points of an invented border wander by a few pixels; the eyes are 42 apart.
    assert (points - known).norm(dim=1).max() < 8


def test_no_face_is_invented_by_looking_again(mtcnn):
    assert detect(mtcnn, golden_photo("no_face")[None], if_none="skip").count == 0


def test_sure_faces_are_looked_at_once():
    class Counting(Fixed):
        looks = 0

        def find(self, photos, search=None):
            self.looks += len(photos)
            return super().find(photos, search)
    counting = Counting()
    detect(counting, torch.ones(3, 3, 20, 20))
    assert counting.looks == 3


def test_select_keeps_places():
    photos = torch.stack([torch.ones(3, 100, 100), torch.zeros(3, 100, 100)])
    faces = detect(Fixed(), photos, if_none="skip")
    chosen = select(faces, 1)
    assert [len(found) for found in chosen.per_image] == [1, 0]
    assert chosen.per_image[0][0] is faces.per_image[0][1]
    with pytest.raises(InputError, match=r"index must be 0 to 2, .* in photo 1, but got 3"):
        select(faces, 3)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (40, 40), (512, 300), (2000, 3000)])
def test_previews_have_the_photos_size_and_show_something(height, width):
    photo = torch.ones(1, 3, height, width)
    drawn = draw_faces(photo, detect(Fixed(), photo))
    assert drawn.shape == photo.shape
    assert (height, width) == (1, 1) or (drawn - photo).abs().max() > 0.3


def test_head_matrices_turn_back_with_the_photo():
    matrix = torch.eye(4)
    for turns in range(4):
        back = views.View(turns, False).back(Face(torch.tensor([0.0, 0, 4, 4]), 1.0, POINTS, head_matrix=matrix), 40, 40)
        up = back.head_matrix[:2, 1]                                         # where the crown points, y up
        assert up.round().tolist() == [[0, 1], [1, 0], [0, -1], [-1, 0]][turns]
