"""Areas and tiles as parts of the hint's frame, and the map that tells them apart after other packs have cut it."""
from __future__ import annotations

import pytest
import torch

from caphuman_core.capface.places import Area, Stretch, Tile, cropped_frame, map_of_places, read_tiles, seen, within_area
from caphuman_core.check import InputError


def sides(tile):
    """(top, bottom, left, right) in shares of the frame, of a tile in one piece."""
    (row,), (column,) = tile.rows, tile.columns
    return pytest.approx((row.start, row.stop, column.start, column.stop), abs=1e-6)


def tile(top, bottom, left, right, pixels=(64, 64)):
    return Tile((Stretch(top, bottom, pixels[0]),), (Stretch(left, right, pixels[1]),))


def test_an_area_of_a_known_picture_is_its_share_of_it():
    area = Area(height=2, width=6, top=1, left=2, whole=(4, 16))
    assert sides(area.of_whole()) == (0.25, 0.75, 0.125, 0.5)
    assert (area.of_whole().rows[0].pixels, area.of_whole().columns[0].pixels) == (16, 48)
    assert sides(area.of_frame(32, 128)) == (0.25, 0.75, 0.125, 0.5)


def test_of_a_hint_of_another_shape_the_host_s_centre_crop_is_taken():
    """A square hint on a picture twice as wide: the middle half of its height."""
    area = Area(height=4, width=8, top=0, left=8, whole=(8, 16))
    assert sides(area.of_frame(64, 64)) == (0.25, 0.5, 0.5, 1.0)
    tall = Area(height=8, width=4, top=8, left=0, whole=(16, 8))
    assert sides(tall.of_frame(64, 64)) == (0.5, 1.0, 0.25, 0.5)


def test_an_area_of_an_unknown_picture_lies_in_the_hint_s_or_in_one_that_just_holds_it():
    area = Area(height=2, width=6, top=1, left=2)
    assert sides(area.of_frame(64, 128)) == (1 / 8, 3 / 8, 2 / 16, 8 / 16)
    assert sides(area.of_frame(8, 8)) == (1 / 3, 1.0, 2 / 8, 1.0)
    assert sides(area.of_whole()) == (1 / 3, 1.0, 2 / 8, 1.0)


def test_a_crop_keeps_the_middle_of_the_longer_side():
    assert sides(cropped_frame(100, 200, 10, 10)) == (0.0, 1.0, 0.25, 0.75)
    assert sides(cropped_frame(200, 100, 10, 10)) == (0.25, 0.75, 0.0, 1.0)
    assert sides(cropped_frame(100, 200, 5, 10)) == (0.0, 1.0, 0.0, 1.0)


def test_a_part_of_a_part():
    assert sides(tile(0.5, 1.0, 0.0, 0.5).inside(tile(0.2, 0.6, 0.5, 0.9))) == (0.4, 0.6, 0.5, 0.7)
    with pytest.raises(InputError, match="wraps round"):
        tile(0, 1, 0, 1).inside(Tile((Stretch(0, 0.5, 4), Stretch(0.5, 1, 4)), (Stretch(0, 1, 8),)))


def test_a_tile_of_an_area_is_placed_within_it():
    """The right half of a wide picture's area, whose map a tiled sampler cropped to the area's square."""
    area = Area(height=8, width=8, top=0, left=8, whole=(8, 16))
    assert sides(within_area(tile(0.0, 1.0, 0.25, 0.5), area, 64, 128)) == (0.0, 1.0, 0.5, 0.75)
    assert sides(within_area(tile(0.5, 1.0, 0.5, 0.75), area, 64, 128)) == (0.5, 1.0, 0.75, 1.0)


def test_the_map_s_pieces_tell_what_they_show():
    whole = map_of_places(1, 20, 40)
    assert [whole[0, 0, 0, 0].item(), whole[0, 1, 0, 0].item(), whole[0, 0, 0, -1].item()] == pytest.approx([0.0125, 0.025, 0.9875])
    found, = read_tiles(whole[..., 5:15, 10:30])
    assert sides(found) == (0.25, 0.75, 0.25, 0.75)
    assert (found.rows[0].pixels, found.columns[0].pixels) == (10, 20)
    halves = read_tiles(torch.cat([whole[..., :20], whole[..., 20:]]))
    assert [sides(half) == (0.0, 1.0, left, left + 0.5) for half, left in zip(halves, (0.0, 0.5), strict=True)] == [True, True]


def test_a_rolled_map_has_two_stretches():
    found, = read_tiles(map_of_places(1, 20, 40).roll(10, -1))
    first, second = found.columns
    assert (first.start, first.stop, first.pixels) == pytest.approx((0.75, 1.0, 10), abs=1e-6)
    assert (second.start, second.stop, second.pixels) == pytest.approx((0.0, 0.75, 30), abs=1e-6)
    assert len(found.rows) == 1


@pytest.mark.parametrize("spoilt", [
    lambda map_: map_.flip(-1), lambda map_: map_.flip(-2), lambda map_: map_.transpose(-1, -2), lambda map_: map_ * float("nan"),
    lambda map_: map_[:, :2], lambda map_: map_[0], lambda map_: (map_ + map_.flip(-1)) / 2])
def test_a_map_that_tells_nothing_is_refused_in_a_sentence(spoilt):
    with pytest.raises(InputError, match=r"cropped, resized or shifted only") as refusal:
        read_tiles(spoilt(map_of_places(1, 24, 24)))
    assert "\n" not in str(refusal.value)


def test_what_a_tile_sees():
    picture = torch.arange(8.0).expand(1, 1, 8, 8) + 10 * torch.arange(8.0)[:, None]
    assert torch.equal(seen(picture, (4, 2), tile(0.5, 1.0, 0.25, 0.5)), picture[..., 4:, 2:4])
    smaller = seen(picture, (2, 2), tile(0.5, 1.0, 0.0, 0.5))
    assert torch.equal(smaller[0, 0], torch.tensor([[45.5, 47.5], [65.5, 67.5]]))
    larger = seen(picture, (8, 8), tile(0.0, 0.5, 0.5, 1.0))
    assert larger.shape == (1, 1, 8, 8)
    assert larger[0, 0, 4, 4].item() == pytest.approx(10 * 1.75 + 5.75)            # bilinear, about the cells' centres
    rolled = Tile((Stretch(0, 1, 8),), (Stretch(0.75, 1.0, 2), Stretch(0.0, 0.75, 6)))
    assert torch.equal(seen(picture, (8, 8), rolled), picture.roll(2, -1))
