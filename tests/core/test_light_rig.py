"""The lights set up around the first one."""
from __future__ import annotations

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.head.edit.relight import Others, relight
from caphuman_core.head.edit.widget_values import edited
from caphuman_core.head.light import shade
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head

WHITE = (1.0, 1.0, 1.0)
AZIMUTH, ELEVATION = 60.0, 40.0
# Normals: the picture's right is +x, up +y, the viewer +z.
RIGHT, LEFT, BEHIND_LEFT, FRONT = (0.87, 0.0, 0.5), (-0.87, 0.0, 0.5), (-0.71, 0.3, -0.64), (0.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def model():
    return load_builtin()


def grey(head, *normals) -> list[float]:
    return shade(torch.tensor(normals), head.light[0])[:, 0].tolist()


def test_fill_brightens_the_side_away_from_the_light(model):
    head = new_head(model, 64, 64)
    alone = relight(head, AZIMUTH, ELEVATION, 1.0, 0.2, WHITE)
    filled = relight(head, AZIMUTH, ELEVATION, 1.0, 0.2, WHITE, Others(fill=0.5))
    (right, left), (more_right, more_left) = grey(alone, RIGHT, LEFT), grey(filled, RIGHT, LEFT)
    assert right > left + 0.5                            # lit from the picture's right
    assert more_left - left == pytest.approx(0.5, abs=0.06)          # a surface that faces the fill gets its strength
    assert abs(more_right - right) < 0.06


def test_rim_lights_the_edge_behind_opposite_the_light_and_not_the_face(model):
    head = new_head(model, 64, 64)
    alone = relight(head, AZIMUTH, ELEVATION, 1.0, 0.2, WHITE)
    edged = relight(head, AZIMUTH, ELEVATION, 1.0, 0.2, WHITE, Others(rim=0.8))
    before, after = grey(alone, BEHIND_LEFT, FRONT, RIGHT), grey(edged, BEHIND_LEFT, FRONT, RIGHT)
    assert after[0] - before[0] > 0.6
    assert max(abs(after[k] - before[k]) for k in (1, 2)) < 0.1


def test_without_them_the_light_is_what_it_was(model):
    head = new_head(model, 64, 64)
    plain = relight(head, AZIMUTH, ELEVATION, 1.0, 0.2, WHITE)
    assert torch.equal(plain.light, relight(head, AZIMUTH, ELEVATION, 1.0, 0.2, WHITE, Others()).light)
    values = {"relight": True, "light_azimuth": AZIMUTH, "light_elevation": ELEVATION, "light_intensity": 1.0, "light_ambient": 0.2}
    assert torch.equal(edited(head, model, values).light, plain.light)
    lit = edited(head, model, {**values, "light_fill": 0.3, "light_rim": 0.6}).light
    assert torch.equal(lit, relight(head, AZIMUTH, ELEVATION, 1.0, 0.2, WHITE, Others(0.3, 0.6)).light)


def test_a_strength_below_nothing_is_refused(model):
    with pytest.raises(InputError, match="rim"):
        relight(new_head(model, 64, 64), 0.0, 0.0, 1.0, 0.2, WHITE, Others(rim=-1.0))
