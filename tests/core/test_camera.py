"""Where a head lies in its picture: camera, placing, framing, and the point it is turned about. Numbers are worked out by hand."""
from __future__ import annotations

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.head import camera
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.model.reduced import rest_joints
from caphuman_core.head.new import new_head
from caphuman_core.head.pivot import UNIT_METRES, move_pivot, pivot, scale_about_pivot, scale_of
from caphuman_core.render.maps import render

PIXELS = {"atol": 1e-3, "rtol": 0}       # float32 at a few hundred pixels


@pytest.fixture(scope="module")
def model():
    return load_builtin()


@pytest.fixture
def head(model):
    return new_head(model, 320, 240)


# --- world -> crop -> picture -> raster

def test_the_camera_shifts_then_scales_and_turns_y_and_z_round():
    point, eye = torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[2.0, 0.5, -0.25]])           # scale, tx, ty
    assert camera.project(point, eye).tolist() == [[[3.0, -3.5, -6.0]]]                         # 2 (1 + 0.5), -2 (2 - 0.25), -2 * 3


def test_placing_takes_the_crop_s_minus_one_to_one_to_its_224_pixels_and_on():
    move = camera.picture_transform(2.0, 3.0, 10.0, 20.0)
    at = torch.tensor([[[0.5, -0.5, 7.0], [-1.0, -1.0, 0.0], [1.0, 1.0, 0.0]]])                 # crop pixels (168, 56), 0, 224
    assert camera.place(at, move[None]).tolist() == [[[346.0, 188.0, 7.0], [10.0, 20.0, 0.0], [458.0, 692.0, 0.0]]]


@pytest.mark.parametrize(("width", "height", "corner"), [(200, 100, (2.0, 1.0)), (100, 200, (1.0, 2.0)), (100, 100, (1.0, 1.0))])
def test_the_shorter_side_spans_the_raster(width, height, corner):
    corners = torch.tensor([[[0.0, 0.0, 5.0], [width, height, 6.0]]])
    assert camera.to_raster(corners, width, height).tolist() == [[[-corner[0], -corner[1], 5.0], [*corner, 6.0]]]


def test_a_centred_crop_takes_its_share_of_the_shorter_side():
    placing = camera.centred_placing(300, 200, 0.5)                                            # a square of 100 pixels
    assert (torch.tensor([[0.0, 0, 1], [224, 224, 1]]) @ placing)[:, :2].tolist() == [[100.0, 50.0], [200.0, 150.0]]
    assert torch.equal(camera.centred_placing(300, 200), camera.centred_placing(300, 200, 0.75))


def test_pixels_per_unit_is_how_far_a_metre_goes(head):
    two = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    for one in (head, camera.reframe(head, 64, 300)):
        first, second = camera.to_picture(one, two)[0, :, 1]
        assert float(first - second) == pytest.approx(float(camera.pixels_per_unit(one)), rel=1e-5)
    squashed = camera.reframe(head, 640, 240, "stretch")           # twice as wide: the size is that of the square of equal area
    assert float(camera.pixels_per_unit(squashed) / camera.pixels_per_unit(head)) == pytest.approx(2 ** 0.5, rel=1e-5)


# --- framing

def corners_after(head, width, height, framing):
    """Where the old picture's corners and centre go: left, top, right, bottom, centre x, centre y."""
    moved = camera.reframe(head, width, height, framing)
    assert (moved.width, moved.height) == (width, height)
    step = torch.linalg.inv(head.crop_to_picture[0]) @ moved.crop_to_picture[0]
    points = torch.tensor([[0.0, 0, 1], [head.width, head.height, 1], [head.width / 2, head.height / 2, 1]])
    return (points @ step)[:, :2].flatten()


@pytest.mark.parametrize(("size", "framing", "expected"), [
    ((640, 640), "contain", [0, 80, 640, 560, 320, 320]),          # 320 x 240 doubled is 640 x 480: 80 above and below
    ((400, 120), "contain", [120, 0, 280, 120, 200, 60]),
    ((640, 640), "cover", [-320 / 3, 0, 640 + 320 / 3, 640, 320, 320]),
    ((400, 120), "cover", [0, -90, 400, 210, 200, 60]),
    ((640, 120), "stretch", [0, 0, 640, 120, 320, 60]),
])
def test_framing_centres_the_old_picture_and_never_squashes_it_unasked(head, size, framing, expected):
    torch.testing.assert_close(corners_after(head, *size, framing), torch.tensor(expected, dtype=torch.float32), **PIXELS)


def test_the_same_size_is_the_same_head_and_other_words_are_refused(head):
    assert camera.reframe(head, 320, 240, "cover") is head
    for size in ((0, 10), (10, -1)):
        with pytest.raises(InputError, match=f"picture size must be at least 1 x 1, but got {size[0]} x {size[1]}"):
            camera.reframe(head, *size)
    assert len(camera.reframe(head, 1, 1)) == 1
    with pytest.raises(InputError, match="framing must be one of contain, cover, stretch, but got 'squash'"):
        camera.reframe(head, 10, 10, "squash")


# --- a new head and its pivot

def test_a_new_head_is_neutral_centred_and_fills_three_quarters(model):
    for width, height in ((320, 240), (200, 300)):
        head = new_head(model, width, height, batch=2)
        assert len(head) == 2
        assert all(float(getattr(head, name).abs().sum()) == 0 for name in
                   ("identity", "expression", "texture", "rotation_radians", "jaw_radians"))
        torch.testing.assert_close(pivot(head, model), torch.tensor([[width / 2, height / 2]] * 2), **PIXELS)
        torch.testing.assert_close(scale_of(head), torch.ones(2), atol=1e-5, rtol=0)
        assert float(camera.pixels_per_unit(head)[0]) == pytest.approx(min(width, height) / UNIT_METRES, rel=1e-5)
        mask = render(head[0], model, width, height).mask[0]
        rows, columns = (mask.amax(side).nonzero() for side in (1, 0))
        assert 0.65 < (rows.max() - rows.min()) / min(width, height) < 0.85
        assert bool(mask[0].sum() + mask[-1].sum() == 0), "not cut off"
        assert abs(float(columns.float().mean()) - width / 2) < 1


@pytest.mark.parametrize("size", [(0, 10), (10, 0)])
def test_a_new_head_needs_a_picture(model, size):
    with pytest.raises(InputError, match=f"{'width' if size[0] == 0 else 'height'} must be at least 1 pixel, but got 0"):
        new_head(model, *size)
    assert len(new_head(model, 1, 1)) == 1


def test_the_pivot_lies_midway_between_the_eyes_and_the_jaw_hinge(model, head):
    identity = torch.randn(head.identity.shape, generator=torch.Generator().manual_seed(2)) * 0.5
    head = head.replace(identity=identity)
    joints = rest_joints(model, identity)[0]
    middle = ((joints[3] + joints[4]) / 2 + joints[2]) / 2
    torch.testing.assert_close(pivot(head, model), camera.to_picture(head, middle[None, None])[0, :, :2], **PIXELS)


def test_the_pivot_moves_with_pose_and_identity_alone(model, head):
    still = pivot(head, model)
    moving = {"expression": False, "jaw_radians": False, "texture": False, "rotation_radians": True, "identity": True}
    for name, moves in moving.items():
        apart = (pivot(head.replace(**{name: getattr(head, name) + 0.4}), model) - still).norm()
        assert (float(apart) > 0.1) == moves, name


def test_moving_and_scaling_about_the_pivot(model, head):
    moved = move_pivot(head, model, torch.tensor([[50.0, 200.0]]))
    torch.testing.assert_close(pivot(moved, model), torch.tensor([[50.0, 200.0]]), **PIXELS)
    torch.testing.assert_close(scale_of(moved), scale_of(head))
    larger = scale_about_pivot(moved, model, torch.tensor([1.5]))
    torch.testing.assert_close(pivot(larger, model), torch.tensor([[50.0, 200.0]]), **PIXELS)
    torch.testing.assert_close(scale_of(larger), 1.5 * scale_of(head))
    assert torch.equal(head.crop_to_picture, new_head(model, 320, 240).crop_to_picture), "the one that came in is as it was"
