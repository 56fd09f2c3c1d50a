"""A part of a picture as a picture of its own: laws of regions, heads and hints."""
from __future__ import annotations

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.flow import HeadHint
from caphuman_core.head.camera import to_picture
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.head.region import Region, around, head_in, hint_in, of_mask
from caphuman_core.render.maps import render

PICTURE = 160, 128                                   # width, height


@pytest.fixture(scope="module")
def model():
    return load_builtin()


@pytest.fixture(scope="module")
def head(model):
    return new_head(model, *PICTURE)


@pytest.mark.parametrize("region", [Region(40, 16, 64, 96), Region(0, 0, *PICTURE), Region(-8, 60, 100, 68)])
def test_a_head_drawn_in_a_region_is_the_crop_of_the_head_drawn_in_the_picture(head, model, region):
    whole, part = render(head, model, *PICTURE), render(head_in(head, region), model, region.width, region.height)
    want, got = hint_in(whole.hint(), region), part.hint()
    inside = slice(max(0, -region.x), None)          # left of the picture the whole render has nothing to compare with
    differ = (got.mask != want.mask)[..., inside]
    assert float(differ.float().mean()) < 0.002      # the outline, where an edge passes a pixel's centre within rounding
    apart = (got.maps - want.maps).abs().amax(1)[..., inside][~differ]
    assert float(apart.quantile(0.99)) < 1e-3


def test_points_move_with_the_frame(head):
    points = torch.tensor([[[0.0, 0.0, 0.05], [0.02, -0.03, 0.0]]])
    moved = to_picture(head_in(head, Region(30, 20, 64, 64)), points)[..., :2]
    torch.testing.assert_close(moved, to_picture(head, points)[..., :2] - torch.tensor([30.0, 20.0]))


def test_the_whole_picture_is_the_same_head_and_a_region_of_a_region_adds_up(head):
    same = head_in(head, Region(0, 0, *PICTURE))
    assert torch.equal(same.crop_to_picture, head.crop_to_picture)
    twice = head_in(head_in(head, Region(30, 20, 90, 80)), Region(5, 10, 40, 40))
    once = head_in(head, Region(35, 30, 40, 40))
    torch.testing.assert_close(twice.crop_to_picture, once.crop_to_picture)
    assert (twice.width, twice.height) == (once.width, once.height)


def test_a_cut_hint_is_empty_beyond_the_picture(head, model):
    hint = render(head, model, *PICTURE).hint()
    part = hint_in(hint, Region(-16, -16, 32, 32))
    assert torch.equal(part.maps[..., 16:, 16:], hint.maps[..., :16, :16])
    assert not part.maps[..., :16, :].any()
    assert not part.mask[..., :16].any()
    assert not hint_in(hint, Region(1000, 0, 8, 8)).maps.any()


@pytest.mark.parametrize(("factor", "want"), [(1.0, Region(40, 40, 20, 10)), (2.0, Region(30, 35, 40, 20)),
                                              (0.5, Region(45, 42, 10, 5)), (100.0, Region(0, 0, 160, 128))])
def test_growing_keeps_the_centre(factor, want):
    assert Region(40, 40, 20, 10).grown(factor, *PICTURE) == want


def test_growing_stays_in_the_picture():
    assert Region(2, 100, 20, 20).grown(3.0, *PICTURE) == Region(0, 68, 60, 60)


@pytest.mark.parametrize(("region", "want"), [(Region(0, 0, 100, 100), (512, 512)), (Region(0, 0, 200, 100), (1024, 512)),
                                              (Region(0, 0, 100, 133), (512, 680)), (Region(0, 0, 1000, 2000), (512, 1024))])
def test_sampled_sizes(region, want):
    assert region.sampled_size(512) == want


def test_masks_and_boxes():
    mask = torch.zeros(2, 64, 80)
    mask[0, 10:20, 30:40] = 1
    mask[1, 15:30, 30:41] = 0.7
    mask[0, 0, 0] = 0.4
    assert of_mask(mask, 80, 64) == Region(30, 10, 11, 20)
    assert of_mask(mask, *PICTURE) == Region(60, 20, 22, 40)         # a mask of half the picture's size
    assert around(1.2, 2.0, 3.1, 4.0) == Region(1, 2, 3, 2)


@pytest.mark.parametrize("refused", [lambda: of_mask(torch.zeros(1, 8, 8), 8, 8), lambda: of_mask(torch.ones(8, 8), 8, 8),
                                     lambda: around(5, 5, 5, 9), lambda: around(0, 0, float("nan"), 9)])
def test_nothing_is_refused_in_a_sentence(refused):
    with pytest.raises(InputError, match="must"):
        refused()


# --- ends and middles

@pytest.mark.parametrize(("region", "factor", "want"), [
    (Region(0, 0, 3, 3), 0.1, Region(2, 2, 1, 1)), (Region(150, 120, 10, 8), 2.0, Region(140, 112, 20, 16)),
    (Region(40, 40, 20, 11), 1.5, Region(35, 38, 30, 16)), (Region(-10, 5, 20, 20), 1.0, Region(0, 5, 20, 20))])
def test_growing_rounds_and_never_vanishes(region, factor, want):
    assert region.grown(factor, *PICTURE) == want


@pytest.mark.parametrize(("region", "side", "want"), [(Region(0, 0, 3, 300), 4, (8, 400)), (Region(0, 0, 300, 3), 4, (400, 8)),
                                                      (Region(5, 5, 100, 105), 100, (96, 104)), (Region(0, 0, 64, 64), 500, (496,
                                                                                                                             496))])
def test_sampled_sides_are_the_nearest_multiples_of_eight(region, side, want):
    assert region.sampled_size(side) == want


def test_a_mask_of_another_size_is_scaled_along_each_side():
    mask = torch.zeros(1, 10, 40)
    mask[0, 2:5, 30:32] = 0.51
    mask[0, 9, 39] = 0.5
    assert of_mask(mask, 80, 100) == Region(60, 20, 4, 30)
    assert of_mask(mask, 20, 10) == Region(15, 2, 1, 3)
    assert around(-1.5, -0.2, 2.0, 3.01) == Region(-2, -1, 4, 5)
    for refused, words in (
            (lambda: around(0.0, 0.0, 5.0, float("inf")),
             "region must have a width and a height, but got 0.0, 0.0, 5.0, inf: choose"),
            (lambda: around(5.0, 0.0, 5.0, 9.0), "but got 5.0, 0.0, 5.0, 9.0"), (lambda: around(0.0, 9.0, 5.0, 9.0), "region must"),
            (lambda: of_mask(mask * 0, 8, 8), r"mask must select some pixels, but got shape \[1, 10, 40\], none above 0.5: paint")):
        with pytest.raises(InputError, match=words):
            refused()


@pytest.mark.parametrize(("region", "rows", "columns"), [
    (Region(2, 1, 3, 2), [1, 2], [2, 3, 4]), (Region(-1, -1, 3, 3), [None, 0, 1], [None, 0, 1]), (Region(4, 3, 3, 3), [3, None,
                                                                                                                       None], [4,
                                                                                                                               5,
                                                                                                                               None]),
    (Region(6, 0, 2, 2), [0, 1], [None, None]), (Region(-5, -9, 3, 4), [None] * 4, [None] * 3)])
def test_a_hint_is_cut_pixel_by_pixel(region, rows, columns):
    maps = torch.arange(1.0, 25).view(1, 1, 4, 6).expand(1, 9, 4, 6)
    cut = hint_in(HeadHint(maps, maps[:, 0], torch.tensor([True]), "f"), region)
    wanted = [[0.0 if row is None or column is None else 1.0 + row * 6 + column for column in columns] for row in rows]
    assert cut.maps[0, 8].tolist() == cut.mask[0].tolist() == wanted
    assert cut.model_fingerprint == "f"
