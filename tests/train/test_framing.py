"""The part of a photo that becomes the target: whole where it can be, around the face, never enlarged without need."""
from __future__ import annotations

import pytest
import torch
from PIL import Image
from PIL.ImageDraw import Draw

from caphuman_core.flow import Face
from caphuman_core.pixels import photo_of
from caphuman_train.prepare.framing import frame_of
from caphuman_train.prepare.settings import Settings

SQUARE = Settings(512, 512)


@pytest.mark.parametrize(("size", "box", "frame"), [
    ((1000, 1000), (300, 300, 700, 700), (0, 0, 1000, 1000)),            # all of it
    ((1500, 1000), (300, 300, 700, 700), (0, 0, 1000, 1000)),            # as far to the left as it goes
    ((1500, 1000), (600, 300, 1000, 700), (300, 0, 1000, 1000)),         # around the face
    ((1000, 1500), (300, 1200, 700, 1500), (0, 500, 1000, 1000)),        # at the lower end
    ((2000, 2000), (900, 900, 1140, 1140), (620, 620, 800, 800)),        # a face of 240 of 2000: zoomed to three tenths
    ((2000, 2000), (950, 950, 1050, 1050), (744, 744, 512, 512)),        # of 100: no nearer than one pixel for one
    ((300, 300), (100, 100, 200, 200), (0, 0, 300, 300))])               # smaller than the target: enlarged, where that is allowed
def test_the_frame(size, box, frame):
    made = frame_of(box, *size, SQUARE)
    assert (made.left, made.top, made.width, made.height) == pytest.approx(frame)


def test_a_frame_has_the_targets_shape():
    frame = frame_of((300, 300, 700, 700), 1000, 1000, Settings(512, 768))
    assert (frame.width, frame.height) == pytest.approx((1000 * 2 / 3, 1000))


def test_the_face_moves_with_the_picture():
    """A dot drawn on the photo lies where the point is placed to, to a pixel."""
    photo = Image.new("RGB", (1500, 1000))
    Draw(photo).ellipse((790, 390, 810, 410), fill=(255, 255, 255))
    face = Face(torch.tensor([600.0, 300, 1000, 700]), 0.9, torch.tensor([[800.0, 400.0]] * 5))
    frame = frame_of((600, 300, 1000, 700), 1500, 1000, SQUARE)
    target, placed = photo_of(frame.cut(photo, SQUARE)), frame.place(face, SQUARE)
    assert target.shape == (3, 512, 512)
    rows, columns = (target[0] > 0.5).nonzero().T
    middle = torch.stack([columns.float().mean() + 0.5, rows.float().mean() + 0.5])
    torch.testing.assert_close(placed.points5[0], middle, rtol=0, atol=0.6)
    torch.testing.assert_close(placed.box_xyxy, torch.tensor([300.0, 300, 700, 700]) * 0.512)
