"""Areas and tiles as parts of the hint's frame, and the map that tells them apart after other packs have cut it."""
from __future__ import annotations

import pytest
import torch

from caphuman_core.capface import places
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


def test_a_tile_of_an_area_of_another_shape_is_placed_in_the_area_s_own_crop():
    """An area three times as wide as high, in a square hint: the sampler saw the middle third of the hint's height."""
    area = Area(height=4, width=12, top=4, left=0, whole=(12, 12))
    assert sides(within_area(tile(1 / 3, 2 / 3, 0.0, 1.0), area, 96, 96)) == (1 / 3, 2 / 3, 0.0, 1.0)
    assert sides(within_area(tile(1 / 3, 1 / 2, 0.0, 0.5), area, 96, 96)) == (1 / 3, 1 / 2, 0.0, 0.5)


def test_a_tile_that_wraps_round_is_no_frame_for_another_on_either_axis():
    whole, halves = (Stretch(0, 1, 8),), (Stretch(0, 0.5, 4), Stretch(0.5, 1, 4))
    for outer in (Tile(whole, halves), Tile(halves, whole)):
        with pytest.raises(InputError, match=r"but got an area within a tile that wraps round the picture's edge: use"):
            tile(0, 1, 0, 1).inside(outer)
    inner = Tile(halves, whole).inside(tile(0.0, 0.5, 0.5, 1.0))
    assert [(row.start, row.stop, row.pixels) for row in inner.rows] == [(0, 0.25, 4), (0.25, 0.5, 4)]
    assert [(column.start, column.stop) for column in inner.columns] == [(0.5, 1.0)]


@pytest.mark.parametrize(("spoil", "got"), [
    (lambda map_: map_[:, :2], r"shape \[1, 2, 24, 24\]"), (lambda map_: map_[0], r"shape \[3, 24, 24\]"),
    (lambda map_: map_.transpose(-1, -2), "a hint that was turned, or mixed"), (lambda map_: map_ * float("nan"),
                                                                                "turned, or mixed"),
    (lambda map_: map_.flip(-1), "mirrored, bent or drawn over"), (lambda map_: map_.flip(-2), "mirrored, bent or drawn over"),
    (lambda map_: map_ * 0, "mirrored, bent or drawn over"), (lambda map_: map_ ** 2, "mirrored, bent or drawn over")])
def test_a_spoilt_map_is_told_how(spoil, got):
    with pytest.raises(InputError, match=f"but got .*{got}"):
        read_tiles(spoil(map_of_places(1, 24, 24)))


def test_a_map_may_be_off_by_a_hundredth_of_the_frame():
    """Half precision and nearest-neighbour resizing leave that much; corners say whether it was turned."""
    for off, fine in ((0.004, True), (0.012, False)):
        for axis in (0, 1):
            map_ = map_of_places(1, 24, 24).clone()
            map_[:, axis, -1, -1] += off
            if fine:
                assert sides(read_tiles(map_)[0]) == (0.0, 1.0, 0.0, 1.0)
            else:
                with pytest.raises(InputError, match="turned, or mixed"):
                    read_tiles(map_)
    noisy = map_of_places(1, 24, 24).clone()
    noisy[:, 0, :, 7] += 0.04                       # one column off by nearly one pixel of 1/24: what a nearest neighbour leaves
    assert len(read_tiles(noisy)[0].columns) == 1
    noisy[:, 0, :, 16:] = noisy[:, 0, :, 15:16]
    with pytest.raises(InputError, match="drawn over"):
        read_tiles(noisy)


def test_short_runs_of_a_rolled_map_take_the_longest_one_s_step():
    """Up to a cell's 8 pixels a run of its own tells its slope badly."""
    found, = read_tiles(map_of_places(1, 20, 40).roll(3, -1))
    first, second = found.columns
    assert (first.start, first.stop, first.pixels) == pytest.approx((37 / 40, 1.0, 3), abs=1e-6)
    assert (second.start, second.stop, second.pixels) == pytest.approx((0.0, 37 / 40, 37), abs=1e-6)
    single, = read_tiles(map_of_places(1, 20, 40).roll(1, -2))
    assert [row.pixels for row in single.rows] == [1, 19]
    assert single.rows[0].start == pytest.approx(19 / 20, abs=1e-6)
    assert places._slope(torch.tensor([0.5])) == 0.0
    assert places._slope(torch.tensor([0.0, 1.0, 2.0, 9.0])) == pytest.approx(2.8)           # least squares


def test_tiles_of_a_batch_are_read_one_by_one():
    map_ = map_of_places(2, 20, 40)
    first, second = read_tiles(torch.cat([map_[:1, :, :, :20], map_[1:, :, :, 10:30]]))
    assert sides(first) == (0.0, 1.0, 0.0, 0.5)
    assert sides(second) == (0.0, 1.0, 0.25, 0.75)
    again, middle, last = read_tiles(torch.cat([map_[:1, :, :, :20], map_[1:, :, :, 10:30], map_[:1, :, :, :20]]))
    assert (again, middle, last) == (first, second, first)


def test_stretches_share_the_pixels_by_their_lengths_and_those_without_any_are_left_out():
    parts = (Stretch(0.75, 1.0, 1), Stretch(0.0, 0.75, 3))
    assert [side for _, side in places._sides(parts, 8)] == [2, 6]
    assert [side for _, side in places._sides(parts, 6)] == [2, 4]             # 1.5 is rounded, and the ends always meet
    ((kept, side),) = places._sides((Stretch(0.9, 1.0, 1), Stretch(0.0, 0.9, 9)), 2)
    assert (kept.start, side) == (0.0, 2)


def test_a_part_a_tenth_of_a_pixel_too_short_is_cut_and_not_enlarged():
    picture = torch.arange(8.0).expand(1, 1, 8, 8) + 10 * torch.arange(8.0)[:, None]
    exact = tile(0.0, 4 / 8, 4 / 8, 1.0)
    assert torch.equal(seen(picture, (4, 4), exact), picture[..., :4, 4:])
    nearly = tile(0.0, 3.95 / 8, 4.05 / 8, 1.0)
    assert torch.equal(seen(picture, (4, 4), nearly), picture[..., :4, 4:])
    for off in (tile(0.0, 3.85 / 8, 4 / 8, 1.0), tile(0.0, 4 / 8, 4.15 / 8, 1.0)):
        assert not torch.equal(seen(picture, (4, 4), off), picture[..., :4, 4:])
    last = seen(picture, (1, 1), tile(0.94, 1.0, 0.94, 1.0))
    assert last.item() == pytest.approx(77.0, abs=0.5)


@pytest.mark.parametrize("shape", [(4, 12), (12, 4)])
def test_every_cell_of_a_picture_that_is_not_square_is_cut_from_its_place(shape):
    """Also those that lie beyond the shorter side's length."""
    height, width = shape
    picture = torch.arange(float(height * width)).view(1, 1, height, width)
    for row, column in ((0, 0), (height - 1, width - 1), (height // 2, width - 2), (height - 2, width // 2)):
        cell = tile(row / height, (row + 1) / height, column / width, (column + 1) / width)
        assert seen(picture, (1, 1), cell).item() == picture[0, 0, row, column].item()


def test_enlarging_takes_the_pixels_beyond_the_part_s_edges():
    picture = torch.arange(8.0).expand(1, 1, 4, 8).clone() + 10 * torch.arange(4.0)[:, None]
    part = seen(picture, (4, 8), tile(0.25, 0.75, 0.25, 0.75))          # rows 1..3, columns 2..6, twice as large
    torch.testing.assert_close(part[0, 0, :, 0], torch.tensor([7.5, 12.5, 17.5, 22.5]) + 1.75)
    torch.testing.assert_close(part[0, 0, 0], 7.5 + torch.arange(8.0) / 2 + 1.75)


def test_a_stretch_stays_in_the_frame_though_its_pixels_are_off_by_a_little():
    shares = (torch.arange(20) + 0.5) / 20
    for off, ends in ((0.004, (0.004, 1.0)), (-0.004, (0.0, 0.996)), (0.0, (0.0, 1.0))):
        stretch = places._straight(shares + off, 1 / 20)
        assert (stretch.start, stretch.stop, stretch.pixels) == pytest.approx((*ends, 20), abs=1e-6)
        assert 0 <= stretch.start < stretch.stop <= 1
