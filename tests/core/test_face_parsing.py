"""Face parsing: the reference's numbers, and photos of any size."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from face_photos import as_tensor

from caphuman_core.check import InputError
from caphuman_core.face import parsing
from caphuman_core.face.bisenet import build_bisenet
from tools.goldens import faces as goldens
from tools.stand_ins.face_nets import bisenet, bisenet_state


@pytest.mark.parametrize("case", ["sq256", "odd"])
def test_scores_and_classes_are_the_references(case):
    for each in goldens.bisenet(bisenet(), case):
        each.require()
    assert goldens.wrong_classes(bisenet(), case) == 0


@pytest.mark.parametrize("case", ["sq256", "odd", "white"])
def test_whitening_is_the_references(golden, case):
    numbers = golden("face_parser")
    white = parsing.whitened(as_tensor(numbers[f"{case}/image"])[None], torch.from_numpy(numbers[f"{case}/labels"])[None])
    assert np.array_equal((white[0] * 255).round().permute(1, 2, 0), numbers[f"{case}/whitened"])


def test_strips_change_nothing(golden, monkeypatch):
    photo = as_tensor(golden("face_parser")["odd/image"])[None]
    whole = parsing.parse(bisenet(), photo)
    monkeypatch.setattr(parsing, "STRIP", 97 * 5)
    assert torch.equal(parsing.parse(bisenet(), photo), whole)


@pytest.mark.parametrize("size", [(1, 1), (9, 700), (300, 2100)])
def test_any_size_is_parsed(size):
    assert parsing.parse(bisenet(), torch.zeros(1, 3, *size)).shape == (1, *size)


@pytest.mark.thorough
def test_large_photos_look_like_small_ones(golden):
    photo = as_tensor(golden("face_parser")["sq256/image"])[None]
    big = torch.nn.functional.interpolate(photo, (2048, 2048), mode="nearest")
    mid = torch.nn.functional.interpolate(photo, (1024, 1024), mode="nearest")
    classes = parsing.parse(bisenet(), big)[0, ::2, ::2]
    # Both are parsed at 1024; only the pixel grid of the enlargement differs, at borders between classes.
    assert (classes == parsing.parse(bisenet(), mid)[0]).float().mean() > 0.97


def test_tables_agree():
    assert len(parsing.CLASS_NAMES) == len(parsing.COLOURS) == len(set(parsing.COLOURS)) == 19
    classes = torch.arange(19)[None, None]
    face = [name for name, kept in zip(parsing.CLASS_NAMES, parsing.is_face(classes)[0, 0].tolist(), strict=True) if kept]
    assert face == ["skin", "left brow", "right brow", "left eye", "right eye", "glasses", "nose", "mouth", "upper lip",
                    "lower lip"]
    assert torch.equal((parsing.coloured(classes)[0, :, 0] * 255).round().T.int(), torch.tensor(parsing.COLOURS, dtype=torch.int32))


def test_other_files_are_refused():
    with pytest.raises(InputError, match="must hold the face parsing BiSeNet"):
        build_bisenet({"a": torch.zeros(1)}, "face parsing file 'x'")
    state = bisenet_state()
    del state["conv_out32.conv_out.weight"]
    with pytest.raises(InputError, match=r"missing: conv_out32.conv_out.weight"):
        build_bisenet(state, "face parsing file 'x'")


# As drawings of these classes are known from BiSeNet's own: readers tell brows and lips by their colours.
PALETTE = ("000000", "cc6654", "4c9900", "cccc00", "3333ff", "cc00cc", "00ffff", "ffcccc", "663300", "ff0000", "66cc00", "ffff00",
           "000099", "0000cc", "ff3399", "00cccc", "003300", "ff9933", "00cc00")


def test_each_class_has_its_known_colour():
    assert tuple(bytes(colour).hex() for colour in parsing.COLOURS) == PALETTE
    assert len(parsing.CLASS_NAMES) == len(set(PALETTE)) == 19


class Shown(torch.nn.Module):
    """Notes what it is shown, and scores class k by k times the red of the picture's corner."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        self.seen = x
        return torch.arange(19.0).view(1, 19, 1, 1) * x[:, :1, :1, :1].sign()


def test_the_network_sees_eight_bits_in_imagenet_s_units_of_at_most_1024_pixels():
    net = Shown()
    for size, seen in (((4, 1024), (4, 1024)), ((4, 1025), (4, 1024)), ((3000, 1500), (1024, 512)), ((1, 5000), (1, 1024))):
        parsing.scores(net, torch.zeros(3, *size))
        assert tuple(net.seen.shape[2:]) == seen
    colour = torch.tensor([0.5, 0.25, 2.0])[:, None, None].expand(3, 2, 2)
    parsing.scores(net, colour)
    wanted = [(128 / 255 - 0.485) / 0.229, (64 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert net.seen[0, :, 1, 0].tolist() == pytest.approx(wanted, abs=1e-6)
    assert parsing.parse(net, torch.stack([torch.ones(3, 2, 2), torch.zeros(3, 2, 2)])).tolist() == [[[18] * 2] * 2, [[0] * 2] * 2]


def test_rows_of_enlarged_scores_are_those_of_the_whole():
    low = torch.randn(19, 5, 7, generator=torch.Generator().manual_seed(0))
    whole = torch.nn.functional.interpolate(low[None], (23, 31), mode="bilinear", align_corners=True)[0]
    for first, last in ((0, 23), (0, 1), (22, 23), (7, 15)):
        torch.testing.assert_close(parsing.enlarged(low, 23, 31, first, last), whole[:, first:last], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(parsing.enlarged(low, 1, 7, 0, 1)[:, 0], low[:, 0])
    torch.testing.assert_close(parsing.enlarged(low[:, :1], 4, 7, 0, 4), low[:, :1].expand(19, 4, 7))


def test_what_is_no_face_becomes_white_photo_by_photo():
    photos = torch.full((2, 3, 1, 3), 0.25)
    white = parsing.whitened(photos, torch.tensor([[[1, 0, 17]], [[16, 10, 4]]]))
    assert white[0, :, 0].tolist() == [[0.25, 1, 1]] * 3
    assert white[1, :, 0].tolist() == [[1, 0.25, 0.25]] * 3
