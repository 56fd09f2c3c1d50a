"""How large a face is in its picture, and the note where it is too small."""
from __future__ import annotations

import pytest
import torch

from caphuman_core.head.camera import reframe
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.face_size import face_pixels, small_face_note
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.head.pivot import pivot, scale_of
from caphuman_core.render.maps import render


@pytest.fixture(scope="module")
def model():
    return load_builtin()


def test_it_is_the_height_from_brows_to_chin_of_a_neutral_face(model):
    head = new_head(model, 400, 600)
    points = render(head, model, 400, 600).landmarks[0]
    height = float((points.amax(0) - points.amin(0))[1])
    assert float(face_pixels(head)[0]) == pytest.approx(height, rel=0.02)          # the constant is rounded to millimetres
    turned = edit_head(head, model, Edit(yaw_degrees=80.0, pitch_degrees=30.0))
    torch.testing.assert_close(face_pixels(turned), face_pixels(head))


def test_the_note_names_the_size_in_the_picture_that_is_drawn(model):
    head = edit_head(new_head(model, 1024, 1024), model, Edit(scale=0.39))
    assert small_face_note(head, 1024, 1024) is None
    small = float(face_pixels(reframe(head, 512, 512))[0])
    assert 62 < small < 64
    assert f"{int(small)} pixels" in small_face_note(head, 512, 512)
    assert small_face_note(head, 512, 1024, "contain") is not None
    assert small_face_note(head, 512, 1024, "cover") is None


def test_framed_heads_keep_their_pose_and_have_a_portrait_s_size_and_place(model):
    head = edit_head(new_head(model, 640, 480), model, Edit(20.0, -5.0, 8.0, 0.4, -0.2, 0.3, 6.0, {"smile": 0.5}))
    framed = edit_head(head, model, Edit(), framed=True)
    assert float(scale_of(framed)[0]) == pytest.approx(1.0, rel=1e-5)
    torch.testing.assert_close(pivot(framed, model), torch.tensor([[320.0, 240.0]]), atol=1e-3, rtol=0)
    for same in ("rotation_radians", "jaw_radians", "expression", "light"):
        assert torch.equal(getattr(framed, same), getattr(head, same))
    moved = edit_head(head, model, Edit(x=0.1, scale=0.5), framed=True)      # from there on they count as ever
    assert float(scale_of(moved)[0]) == pytest.approx(0.5, rel=1e-5)
    torch.testing.assert_close(pivot(moved, model), torch.tensor([[320.0 + 48, 240.0]]), atol=1e-3, rtol=0)
    posed = edit_head(head, model, Edit(yaw_degrees=10.0), framed=True)
    assert not torch.equal(posed.rotation_radians, head.rotation_radians)
