"""Refusals in one style, and what counts as a picture."""
from __future__ import annotations

import pytest
import torch

from caphuman_core.check import LONGEST, InputError, fail, require, require_image


def test_a_refusal_says_name_rule_what_came_and_the_fix():
    with pytest.raises(InputError) as caught:
        fail("frames", "must be at least 1", 0, "choose a larger number.")
    assert str(caught.value) == "frames must be at least 1, but got 0: choose a larger number."
    require(True, "frames", "must be at least 1", 0, "choose a larger number")
    with pytest.raises(InputError, match="frames must be at least 1, but got 0: choose a larger number"):
        require(False, "frames", "must be at least 1", 0, "choose a larger number")


@pytest.mark.parametrize(("came", "shown"), [("x" * LONGEST, "x" * LONGEST), ("x" * (LONGEST + 1), "x" * LONGEST + "..."),
                                             ("a\nb\x1b[31m", "a?b?[31m")])
def test_what_came_fits_on_a_line(came, shown):
    with pytest.raises(InputError) as caught:
        fail("a", "must be short", came, "type less")
    assert str(caught.value) == f"a must be short, but got {shown}: type less."


def picture(*shape):
    return torch.zeros(shape)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 4, 3), (1, 9, 9, 4)])
def test_pictures_pass(shape):
    require_image("image", picture(*shape))


@pytest.mark.parametrize(("image", "sentence"), [
    (picture(3, 4, 3), "image must be a batch of pictures [B, H, W, C], but got shape [3, 4, 3]: connect a Load Image node."),
    ("text", "image must be a batch of pictures [B, H, W, C], but got shape []: connect a Load Image node."),
    *((picture(*shape),
       f"image must hold at least one picture with pixels, but got shape {list(shape)}: connect a Load Image node.")
      for shape in ((0, 4, 4, 3), (1, 4, 0, 3))),
    (picture(1, 4, 4, 2), "image must have 1 or 3 or 4 channels, but got 2: connect a Load Image node."),
    (picture(1, 4, 4, 3) / 0, "image must hold finite numbers, but got NaN or infinity: check the node that made the picture."),
])
def test_anything_else_is_refused(image, sentence):
    with pytest.raises(InputError) as caught:
        require_image("image", image)
    assert str(caught.value) == sentence


def test_the_channels_can_be_narrowed():
    with pytest.raises(InputError, match="photo must have 3 channels, but got 4"):
        require_image("photo", picture(1, 4, 4, 4), channels=(3,))
