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
