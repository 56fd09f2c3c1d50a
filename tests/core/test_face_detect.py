"""Choosing faces: order, limits, photos without a face, second looks, previews."""
from __future__ import annotations

import pytest
import torch
from face_photos import golden_photo

from caphuman_core.check import InputError
from caphuman_core.face import detection
from caphuman_core.face import turned as views
from caphuman_core.face.detection import detect, select
from caphuman_core.face.detectors.mtcnn import Mtcnn
from caphuman_core.face.options import FACE_ORDERS, IF_NO_FACE
from caphuman_core.face.preview import COLOURS, LEFT_OUT, draw_faces, taken_words
from caphuman_core.flow import Face, Faces

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
        return [self.faces if photo.max() > 230 else () for photo in photos]         # of 8 bits; brighter than a border


@pytest.mark.parametrize(("order", "expected"), [("largest", [30, 12, 10]), ("left to right", [30, 12, 10]),
                                                 ("top to bottom", [10, 30, 12]), ("most central", [12, 30, 10]),
                                                 ("confidence", [12, 10, 30])])
def test_order(order, expected):
    found = detect(Fixed(), torch.ones(1, 3, 100, 100), order=order).per_image[0]
    assert [int(f.box_xyxy[2] - f.box_xyxy[0]) for f in found] == expected


def test_every_order_the_node_shows_is_one():
    assert [len(detect(Fixed(), torch.ones(1, 3, 100, 100), order=order).per_image[0]) for order in FACE_ORDERS] == [3] * 5


@pytest.mark.parametrize(("order", "expected"), [("largest", "square tall wide"), ("left to right", "wide square tall"),
                                                 ("top to bottom", "tall square wide"), ("most central", "square wide tall")])
def test_orders_go_by_areas_and_middles(order, expected):
    """Faces of different shapes: the widest and the tallest are not the largest, edges are not middles."""
    boxes = {"wide": (0, 80, 48, 90), "tall": (85, 0, 95, 50), "square": (20, 35, 55, 70)}

    class Shapes(Fixed):
        faces = tuple(Face(torch.tensor(box, dtype=torch.float32), 0.99) for box in boxes.values())
    names = {box: name for name, box in boxes.items()}
    found = detect(Shapes(), torch.ones(1, 3, 100, 100), order=order).per_image[0]
    assert " ".join(names[tuple(face.box_xyxy.int().tolist())] for face in found) == expected


class Views:
    """Finds one face in a photo of 40 x 60, with a confidence by how the photo is looked at: its height and width say how."""

    name, doubtful_below, convincing = "views", 0.99, 0.9

    def __init__(self, **confidences):
        self.confidences, self.looks = confidences, []

    def find(self, photos, search=None):
        height, width = photos.shape[2:]
        view = ("padded " if max(height, width) > 60 else "") + ("upright" if width > height else "turned")
        self.looks.append(view)
        confidence = self.confidences.get(view.replace(" ", "_"), 0.0)
        return [(Face(torch.tensor([10.0, 10.0, 20.0, 20.0]), confidence),) if confidence else ()] * len(photos)


def confidences(detector, least=0.5):
    return [face.confidence for face in detect(detector, torch.rand(1, 3, 40, 60), least, if_none="skip").per_image[0]]


def test_a_face_in_another_view_must_convince_and_be_as_sure_as_asked():
    assert confidences(Views(padded_upright=0.89)) == []                    # what was asked for is not enough there
    assert confidences(Views(padded_upright=0.9)) == [0.9]
    assert confidences(Views(padded_upright=0.92), 0.95) == []              # what convinces is not enough where more is asked
    assert confidences(Views(upright=0.6)) == [0.6], "upright, what was asked for is enough"
    assert confidences(Views(upright=0.6), 0.7) == []


def test_a_doubtful_face_gives_way_to_a_turned_one_that_is_surer_by_far():
    """0.9 leaves a doubt of 0.1: the other must leave a tenth of it. From doubtful_below on nothing else is looked at."""
    assert confidences(Views(upright=0.9, turned=0.989)) == [0.9]
    assert confidences(Views(upright=0.9, turned=0.991)) == [0.991]
    hard_to_convince = Views(upright=0.5, turned=0.96)           # surer by far: the doubt is less than 0.05
    hard_to_convince.convincing = 0.97
    assert confidences(hard_to_convince) == [0.5]
    assert confidences(Views(upright=0.9, padded_upright=1.0)) == [0.9], "a border is for photos without a face"
    sure = Views(upright=0.99, turned=1.0)
    assert confidences(sure) == [0.99]
    assert sure.looks == ["upright"]


def test_the_surest_view_wins_and_a_sure_one_ends_the_looking():
    detector = Views(padded_upright=0.95, turned=0.97, padded_turned=0.96)
    assert confidences(detector) == [0.97]
    assert len(detector.looks) == 1 + 7
    detector = Views(padded_upright=0.9991, turned=1.0)
    assert confidences(detector) == [0.9991]
    assert detector.looks == ["upright", "padded upright"]
    assert confidences(Views(padded_upright=0.95, padded_turned=0.95)) == [0.95]


@pytest.mark.parametrize(("drop", "kept"), [(2.1, True), (1.9, False), (-5.0, False)])
def test_in_other_views_a_mouth_lies_below_the_eyes(drop, kept):
    """By more than a fifth of the face's height, here 10 pixels."""
    class Drops(Views):
        def find(self, photos, search=None):
            if super().find(photos)[0] and photos.shape[3] > 60:
                points = torch.tensor([[12.0, 13.0], [18.0, 13.0], [15.0, 14.0], [13.0, 13.0 + drop], [17.0, 13.0 + drop]])
                return [(Face(torch.tensor([10.0, 10.0, 20.0, 20.0]), 0.95, points),)]
            return [()]
    assert bool(confidences(Drops(padded_upright=0.95))) == kept


@pytest.mark.parametrize(("down", "turns"), [((0, 1), 0), ((0, -1), 2), ((1, 0), 3), ((-1, 0), 1), ((1, 1), 0), ((-1, -1.1), 2),
                                            ((1.1, 1), 3), ((-1.1, -1), 1)])
def test_the_way_from_eyes_to_mouth_says_how_a_face_lies(down, turns):
    points = torch.zeros(5, 2)
    points[3:] += torch.tensor(down, dtype=torch.float32)
    assert views.quarter_turns_to_upright(Face(torch.zeros(4), 1.0, points)) == turns
    assert views.quarter_turns_to_upright(Face(torch.zeros(4), 1.0)) == 0


def test_padding_is_half_of_the_longer_side_and_grey():
    white = torch.full((3, 40, 60), 255, dtype=torch.uint8)
    seen = views.View(0, True).of(white)
    assert seen.shape == (3, 40 + 60, 60 + 60)
    assert int(seen[:, :30].min()) == int(seen[:, -30:].max()) == 128
    assert bool((seen[:, 30:70, 30:90] == 255).all())
    assert torch.equal(views.View(2, False).of(white), white)


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
    with pytest.raises(InputError, match=r"^photos 1, 2 must show a face, but got none that fixed finds at min_confidence 0.5, "):
        detect(Fixed(), photos[[1, 1, 0]], if_none=IF_NO_FACE[0])


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


def test_a_preview_shows_each_box_in_its_own_colour_with_its_number_and_points():
    """White photo; line width 1 at 200 pixels. The first face lies on top of the second."""
    faces = (Face(torch.tensor([50.0, 60.0, 110.0, 130.0]), 0.9, POINTS * 5 + torch.tensor([55.0, 70.0])),
             Face(torch.tensor([90.0, 100.0, 150.0, 160.0]), 0.8), Face(torch.tensor([2.0, 3.0, 40.0, 40.0]), 0.0))
    drawn = (draw_faces(torch.ones(1, 3, 200, 200), Faces((faces,), 200, 200))[0] * 255).round().int()

    def colour(x, y):
        return tuple(drawn[:, y, x].tolist())
    for face, expected in zip(faces, COLOURS, strict=False):
        left, top, right, bottom = face.box_xyxy.int().tolist()
        assert {colour(left, bottom - 5), colour(right, top + 3), colour(right - 3, bottom)} == {expected}
        assert colour(left + 1, bottom - 5) == (255, 255, 255), "one pixel wide"
    for x, y in faces[0].points5.int().tolist():
        assert colour(x, y) == COLOURS[0]
        assert colour(x + 4, y) == (255, 255, 255)
    crossing = (110, 100)                                    # of the first face's right side and the second's top
    assert colour(*crossing) == COLOURS[0]
    label = drawn[:, 45:60, 51:90].amax(0) < 20              # black behind the number, above the box
    assert label.sum() > 50
    assert drawn[:, 5:18, 4:14].amin(0).min() < 20, "inside the box where there is no room above"


def test_small_photos_are_left_without_numbers():
    face = Face(torch.tensor([20.0, 40.0, 60.0, 80.0]), 0.9)
    for side, numbered in ((95, False), (96, True)):
        drawn = draw_faces(torch.ones(1, 3, side, side), Faces(((face,),), side, side))
        assert bool((drawn[0, :, 20:40].amax(0) < 0.1).any()) == numbered


def test_a_preview_shows_the_densest_points_there_are():
    sets = {"points5": 5, "points68": 68, "points106": 106, "points478": 478}
    for count in range(1, 5):
        chosen = list(sets)[:count]
        points = {name: torch.full((sets[name], 2), 20.0 + 10 * place) for place, name in enumerate(chosen)}
        photo = torch.ones(1, 3, 90, 90)
        drawn = draw_faces(photo, Faces(((Face(torch.tensor([1.0, 1.0, 80.0, 80.0]), 0.9, **points),),), 90, 90))
        shown = [place for place in range(4) if float(drawn[0, 0, 20 + 10 * place, 20 + 10 * place]) < 1]
        assert shown == [count - 1]


def test_head_matrices_turn_back_with_the_photo():
    matrix = torch.eye(4)
    for turns in range(4):
        back = views.View(turns, False).back(Face(torch.tensor([0.0, 0, 4, 4]), 1.0, POINTS, head_matrix=matrix), 40, 40)
        up = back.head_matrix[:2, 1]                                         # where the crown points, y up
        assert up.round().tolist() == [[0, 1], [1, 0], [0, -1], [-1, 0]][turns]


def test_boxes_that_leave_the_photo_keep_their_number_in_it():
    drawn = draw_faces(torch.ones(1, 3, 120, 120), Faces(((Face(torch.tensor([-30.0, -30.0, 60.0, 60.0]), 0.0),),), 120, 120))
    assert float(drawn[0, :, 1:16, 1:12].amax(0).min()) < 0.1, "black behind the number, in the corner"


def test_a_mouth_s_drop_is_measured_by_the_face_s_height_whatever_its_place_and_width():
    points = torch.tensor([[62.0, 13.0], [88.0, 13.0], [75.0, 14.0], [63.0, 17.1], [87.0, 17.1]])
    for box, upright in (([60.0, 5.0, 90.0, 25.0], True), ([60.0, 5.0, 90.0, 26.0], False), ([0.0, 5.0, 200.0, 25.0], True)):
        assert detection._upright(Face(torch.tensor(box), 1.0, points)) == upright
    assert detection._upright(Face(torch.zeros(4), 1.0))


@pytest.mark.parametrize(("side", "steps"), [(1024, [8, 9]), (1448, [8, 9]), (2048, [4, 8, 9]), (4096, list(range(1, 10))),
                                             (5000, list(range(1, 10)))])
def test_photos_are_shown_eight_at_a_time_and_fewer_where_they_are_large(monkeypatch, side, steps):
    monkeypatch.setattr(detection, "eight_bit", lambda photos: photos)
    class Everywhere(Fixed):
        def find(self, photos, search=None):
            return [self.faces] * len(photos)
    seen = []
    detect(Everywhere(), torch.zeros(1, 1, 1, 1).expand(9, 3, side, side), step=seen.append)
    assert seen == steps


class Lying(Views):
    """Finds a face that lies with its crown to the left, and stands in a turned view."""

    def find(self, photos, search=None):
        found = super().find(photos)[0]
        if not found:
            return [()]
        down = torch.tensor([[0.0, 6.0]] if self.looks[-1] == "turned" else [[6.0, 0.0]])
        points = torch.full((5, 2), 14.0)
        points[3:] += down
        return [(Face(found[0].box_xyxy, found[0].confidence, points),)]


def test_a_face_found_lying_is_looked_at_upright_and_must_convince_there():
    detector = Lying(upright=0.995, turned=0.996)
    (found,) = detect(detector, torch.rand(1, 3, 40, 60)).per_image[0]
    assert (found.confidence, detector.looks) == (0.996, ["upright", "turned"])
    assert found.points5[3:].mean(0)[0] > found.points5[0, 0] + 5, "in the photo's own pixels it lies"
    unsure = Lying(upright=0.995, turned=0.85)
    assert confidences(unsure) == [0.995], "what does not convince does not replace it"


def test_the_first_so_many_are_kept():
    faces = Faces((Fixed.faces, ()), 9, 9)
    assert detection.first(faces, 0) == faces
    assert detection.first(faces, 2).per_image == (Fixed.faces[:2], ())
    assert detection.first(faces, 9).per_image == faces.per_image


@pytest.mark.parametrize(("height", "width", "padded", "factor"), [
    (1000, 2000, True, 1), (1000, 2001, True, 3), (2000, 4000, True, 6), (1000, 2001, False, 1), (1, 3_000_000, True, 1),
    (2, 3_000_000, True, 2), (3_000_000, 2, True, 2)])
def test_only_photos_above_two_megapixels_are_reduced_before_a_border_is_put_around_them(height, width, padded, factor):
    """To a quarter of a megapixel at most, by a whole number."""
    assert views.View(0, padded)._reduction(height, width) == factor


def test_the_views_are_tried_in_this_order():
    assert [(view.quarter_turns, view.padded) for view in views.VIEWS] == [
        (0, True), (1, False), (3, False), (2, False), (1, True), (3, True), (2, True)]
    assert [(view.quarter_turns, view.padded) for view in views.TURNED] == [(1, False), (3, False), (2, False)]


# --- what previews say

def pixels(drawn):
    return (drawn[0] * 255).round().int().permute(1, 2, 0)


@pytest.mark.parametrize(("taken", "there", "order", "words"), [
    (1, 3, "largest", "3 faces: the largest is taken"), (2, 3, "largest", "3 faces: the largest 2 are taken"),
    (1, 2, "left to right", "2 faces: the leftmost is taken"), (1, 2, "top to bottom", "2 faces: the topmost is taken"),
    (1, 2, "most central", "2 faces: the most central is taken"), (1, 2, "confidence", "2 faces: the surest is taken"),
    (2, 4, "as found", "4 faces: the first 2 are taken")])
def test_the_line_says_which_faces_are_taken(taken, there, order, words):
    assert taken_words(taken, there, order) == words


def test_faces_left_out_are_faint_and_a_black_line_at_the_foot_says_so():
    one, other = Face(torch.tensor([20.0, 20.0, 60.0, 60.0]), 0.0), Face(torch.tensor([80.0, 20.0, 110.0, 60.0]), 0.9)
    white, all_found = torch.ones(1, 3, 160, 200), Faces(((one, other),), 200, 160)
    drawn = pixels(draw_faces(white, Faces(((one,),), 200, 160), all_found))
    assert tuple(drawn[60, 40].tolist()) == COLOURS[0]
    assert tuple(drawn[60, 90].tolist()) == LEFT_OUT
    assert tuple(drawn[40, 111].tolist()) == (255, 255, 255)
    black = (drawn == 0).all(-1)
    foot = black[100:].any(1).nonzero()[:, 0] + 100
    from PIL import ImageDraw, ImageFont
    from PIL.Image import new
    left, top, right, bottom = ImageDraw.Draw(new("RGB", (9, 9))).textbbox((0, 0), "2 faces: the largest is taken",
                                                                           font=ImageFont.load_default(size=11))
    assert foot[0] == 160 - (bottom + top), "as much room above the letters as below"
    assert bool(black[foot[0]].all())
    assert bool(black[-1].all())
    letters = ((drawn - torch.tensor(COLOURS[0])).abs().sum(-1) < 60)[100:]
    rows, columns = letters.nonzero().unbind(1)
    assert abs(float(columns.min() + columns.max()) / 2 - 100) <= 2, "in the middle"
    assert abs(float(columns.max() - columns.min()) - (right - left)) <= 4
    assert abs((rows.min() + 100 - foot[0]) - top) <= 1
    everybody = pixels(draw_faces(white, all_found, all_found))
    assert not bool((everybody[130:] == 0).all(-1).any()), "no line where nobody is left out"
    small = pixels(draw_faces(torch.ones(1, 3, 95, 200), Faces(((),), 200, 95), Faces(((one,),), 200, 95)))
    assert not bool((small == 0).all(-1).any()), "nor in a picture without room for it"


@pytest.mark.parametrize(("side", "line"), [(200, 1), (512, 2), (1280, 5)])
def test_lines_grow_with_the_photo(side, line):
    """A 256th of the shorter side."""
    face = Face(torch.tensor([60.0, 90.0, 160.0, 190.0]), 0.0)
    photo = torch.ones(1, 3, side, side + 40)
    for taken, colour in (((face,), COLOURS[0]), ((), LEFT_OUT)):
        drawn = pixels(draw_faces(photo, Faces((taken,), side + 40, side), Faces(((face,),), side + 40, side)))
        row = (drawn[150] == torch.tensor(colour)).all(-1)
        assert int(row[50:110].sum()) == line


@pytest.mark.parametrize(("height", "width"), [(40, 20), (20, 40), (7, 7)])
def test_a_border_is_half_the_longer_side_wide_on_each(height, width):
    half = max(height, width) // 2
    seen = views.View(0, True).of(torch.full((3, height, width), 9, dtype=torch.uint8))
    assert seen.shape == (3, height + 2 * half, width + 2 * half)
    assert (seen == 9).nonzero()[[0, -1], 1:].tolist() == [[half, half], [half + height - 1, half + width - 1]]
    assert int(seen[0, 0, 0]) == 128


@pytest.mark.parametrize(("side", "wide", "across"), [(512, 120, 5), (512, 480, 7), (1280, 600, 16), (1280, 120, 5)])
def test_points_are_as_large_as_the_face_allows_up_to_three_lines(side, wide, across):
    """Of a radius of a sixtieth of the face's width, and of one line and a half at most."""
    box, points = torch.tensor([20.0, 20.0, 20.0 + wide, 60.0]), torch.tensor([[80.0, 40.0]] * 5)
    drawn = pixels(draw_faces(torch.ones(1, 3, side, side + 40), Faces(((Face(box, 0.0, points),),), side + 40, side)))
    inked = (drawn == torch.tensor(COLOURS[0])).all(-1)
    assert (int(inked[40, 60:100].sum()), int(inked[30:50, 80].sum())) == (across, across)


def test_a_label_holds_number_and_confidence_on_a_black_ground_just_above_the_box():
    def box_of_label(confidence, index):
        faces = tuple(Face(torch.tensor([60.0, 70.0, 120.0, 120.0]), confidence) for _ in range(index + 1))
        drawn = pixels(draw_faces(torch.ones(1, 3, 200, 240), Faces((faces,), 240, 200)))
        rows, columns = ((drawn == 0).all(-1)).nonzero().unbind(1)
        return rows.min().item(), rows.max().item(), columns.min().item(), columns.max().item()
    top, bottom, left, right = box_of_label(0.0, 0)
    assert left >= 60
    assert 54 <= top < bottom < 70
    assert right - left < 12, "a whole-image stand-in has no confidence to tell"
    assert box_of_label(0.87, 0)[3] > right + 15


@pytest.mark.parametrize("spare", [50, 1, 0, -40])
def test_a_label_is_right_above_its_box_or_inside_where_the_photo_ends(spare):
    """spare: pixels between the label and the photo's edge if it stood above."""
    from PIL import ImageDraw, ImageFont
    from PIL.Image import new
    left, top, right, bottom = ImageDraw.Draw(new("RGB", (99, 99))).textbbox((0, 0), "0", font=ImageFont.load_default(size=11))
    high = bottom + 1 + spare                            # of the box, whose line is 1 wide
    drawn = pixels(draw_faces(torch.ones(1, 3, 240, 200), Faces(((Face(torch.tensor([60.0, high, 120, 180]), 0.0),),), 200, 240)))
    rows, columns = (drawn == 0).all(-1).nonzero().unbind(1)
    start = spare if spare > 0 else max(high, 0) + 1
    assert (rows.min().item(), rows.max().item()) == (start + top, start + bottom)
    assert (columns.min().item(), columns.max().item()) == (61 + left, 61 + right)
