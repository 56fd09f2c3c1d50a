"""DECA's way from photos to heads around a stand-in encoder: which part of the codes is what, and where the crops come from."""
from __future__ import annotations

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.face.detectors.mtcnn import Mtcnn
from caphuman_core.flow import Face, Faces
from caphuman_core.head.camera import to_picture
from caphuman_core.head.fit import deca
from caphuman_core.head.fit.deca import Crops, crop_faces, head_of_codes
from caphuman_core.head.fit.from_photo import fit_photos, fit_photos_by_deca
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.render.maps import pose


def box_points(left, top, right, bottom):
    """68 points whose box is that."""
    share = torch.linspace(0, 1, 68)[:, None]
    return torch.tensor([[left, top]]) * (1 - share) + torch.tensor([[right, bottom]]) * share


def photo_with_points(width=200, height=160):
    points = box_points(60.0, 40.0, 120.0, 90.0)
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0)), Face(torch.tensor([50.0, 30, 130, 100]), 1.0,
                                                                                          points68=points)


def test_the_parts_of_the_codes(model):
    """Shape 100, texture 50, expression 50, pose 6 (head, jaw), camera 3, light 9 x 3, in this order."""
    codes = torch.arange(236.0)[None]
    crops = Crops(torch.zeros(1, 3, 224, 224), torch.eye(3)[None] * 2, 30, 20, torch.tensor([False]))
    head = head_of_codes(codes, crops, model)
    assert [getattr(head, name)[0].flatten()[[0, -1]].tolist() for name in
            ("identity", "texture", "expression", "rotation_radians", "jaw_radians", "camera", "light")] == [
        [0, 99], [100, 149], [150, 199], [200, 202], [203, 205], [206, 208], [209, 235]]
    assert head.light[0, 1].tolist() == [212, 213, 214], "a row is a term's red, green and blue"
    assert torch.equal(head.crop_to_picture, crops.placings)
    assert (head.width, head.height, head.present.tolist(), head.model_fingerprint) == (30, 20, [False], model.fingerprint)


def test_other_head_models_are_refused(model):
    crops = Crops(torch.zeros(1, 3, 224, 224), torch.eye(3)[None], 30, 20, torch.tensor([True]))
    with pytest.raises(InputError, match="head model must be FLAME, which DECA's codes refer to, but got 'built-in': load FLAME's"):
        head_of_codes(torch.zeros(1, 236), crops, load_builtin())


def test_a_crop_is_centred_on_the_points_and_a_tenth_and_a_quarter_larger():
    """Box of 60 x 50 about (90, 65): the mean side 55 becomes int(55 * 1.1 * 1.25) = 75 pixels for 223 steps of the crop."""
    photo, face = photo_with_points()
    crops = crop_faces(photo[None], Faces(((face,),), 200, 160), [None])
    corners = (torch.tensor([[0.0, 0, 1], [223, 223, 1]]) @ crops.placings[0])[:, :2]
    torch.testing.assert_close(corners, torch.tensor([[90 - 37.5, 65 - 37.5], [90 + 37.5, 65 + 37.5]]), atol=1e-3, rtol=0)
    place = torch.tensor([10.0, 200.0, 1.0]) @ crops.placings[0]
    column, row = place[:2].tolist()
    low_x, low_y = int(column), int(row)
    right, down = column - low_x, row - low_y
    near = photo[:, low_y:low_y + 2, low_x:low_x + 2]                    # bilinear of the four pixels around
    mixed = (near * torch.tensor([[(1 - down) * (1 - right), (1 - down) * right], [down * (1 - right), down * right]])).sum((1, 2))
    torch.testing.assert_close(crops.images[0, :, 200, 10], mixed, atol=1e-5, rtol=0)
    assert (crops.width, crops.height, crops.present.tolist()) == (200, 160, [True])


def test_beyond_the_photo_a_crop_is_black():
    photo = torch.ones(3, 50, 50)
    crop = deca.crop_around(photo, torch.tensor([30.0, 10.0]), torch.tensor([60.0, 40.0]))
    assert float(crop.image[:, :, -1].max()) == 0
    assert float(crop.image[:, 100, 20].min()) == pytest.approx(1)


def test_predicted_points_serve_where_the_detector_gave_none_and_empty_places_are_black():
    photo, face = photo_with_points()
    bare = Face(face.box_xyxy, 1.0)
    faces = Faces(((bare,), (), (face,)), 200, 160)
    crops = crop_faces(photo.expand(3, -1, -1, -1), faces, [face.points68, None, torch.zeros(68, 2)])
    assert torch.equal(crops.images[0], crops.images[2]), "what was detected is not replaced by what was predicted"
    assert float(crops.images[1].abs().max()) == 0
    assert torch.equal(crops.placings[1], torch.eye(3))
    assert crops.present.tolist() == [True, False, True]


def test_squashing_moves_the_points_along():
    """200 x 160 squashed to 100 x 100: x halves, y shrinks to five eighths."""
    photo, face = photo_with_points()
    squashed = crop_faces(photo[None], Faces(((face,),), 200, 160), [None], squash=100)
    centre = (torch.tensor([111.5, 111.5, 1.0]) @ squashed.placings[0])[:2]
    torch.testing.assert_close(centre, torch.tensor([45.0, 65 * 0.625]), atol=0.01, rtol=0)
    assert (squashed.width, squashed.height) == (100, 100)


def test_without_points_the_whole_picture_is_the_box_the_wrong_way_round_as_released():
    low, high = deca.box_of(None, 200, 160)
    assert (low.tolist(), high.tolist()) == ([0, 0], [159, 199])


def test_a_face_below_a_pixel_is_refused():
    with pytest.raises(InputError, match="face must be larger than a pixel, but got a crop of 0 pixels"):
        deca.crop_around(torch.zeros(3, 9, 9), torch.tensor([4.0, 4.0]), torch.tensor([4.5, 4.5]))
    assert deca.crop_around(torch.zeros(3, 9, 9), torch.tensor([4.0, 4.0]), torch.tensor([4.8, 4.8])).image.shape == (3, 224, 224)
    assert deca.crop_around(torch.ones(3, 1, 1), torch.tensor([0.0, 0.0]), torch.tensor([3.0, 3.0])).image.shape == (3, 224, 224)


def test_photos_by_deca_are_cropped_encoded_and_told_of(model):
    photo, face = photo_with_points()
    shown, steps = [], []

    def encode(crops):
        shown.append(crops)
        return torch.arange(236.0).expand(len(crops), 236) * 0.001
    head = fit_photos_by_deca(photo.expand(2, -1, -1, -1), Faces(((face,), ()), 200, 160), encode, model, step=steps.append)
    assert steps == [1, 2]
    assert [batch.shape for batch in shown] == [(2, 3, 224, 224)]
    assert head.present.tolist() == [True, False]
    torch.testing.assert_close(head.camera[0], torch.tensor([0.206, 0.207, 0.208]))


def test_photos_by_landmarks_come_with_their_light():
    from face_photos import golden_photo
    builtin, photo = load_builtin(), golden_photo("astronaut_300x400")[None]
    found = Mtcnn().find(photo)
    steps = []
    head = fit_photos(photo, Faces((found[0][:1],), photo.shape[3], photo.shape[2]), builtin, steps.append)
    assert steps == [1]
    points = to_picture(head, pose(head, builtin).landmarks2d)[0, :, :2]
    eyes = found[0][0].points5[:2]
    assert float((points[36:42].mean(0) - eyes[0]).norm() / (eyes[1] - eyes[0]).norm()) < 0.1
    assert float(head.light.std(2).max()) > 0.01, "her skin is lit in colour"
