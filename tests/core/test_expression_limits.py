"""Named expressions together: what a face allows of their sum."""
from __future__ import annotations

import math

import pytest
import torch

from caphuman_core.head.edit import limits
from caphuman_core.head.edit.expressions import expression_change, unit_expression
from caphuman_core.head.edit.limits import JAW, within_limits
from caphuman_core.head.edit.recipes import EXPRESSIONS
from caphuman_core.head.model.head_model import load_builtin


@pytest.fixture(scope="module")
def builtin():
    return load_builtin()


def done(model, named: dict[str, float]) -> dict[str, float]:
    code, jaw = expression_change(model, named)
    return dict(zip(model.expression_names, code.tolist(), strict=True)) | {JAW: math.degrees(float(jaw[0])) / 18}


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("amount", [1.0, 1.7, -0.5])
def test_one_by_itself_is_what_it_was(builtin, name, amount):
    code, jaw = expression_change(builtin, {name: amount})
    alone = unit_expression(builtin, name)
    assert torch.equal(code, amount * alone[0])
    assert torch.equal(jaw, amount * alone[1])


def test_little_of_several_is_their_sum(builtin):
    code, _ = expression_change(builtin, {"smile": 0.3, "brows_up": 0.4, "blink_left": 0.3})
    sums = 0.3 * unit_expression(builtin, "smile")[0] + 0.4 * unit_expression(builtin, "brows_up")[0]
    torch.testing.assert_close(code, sums + 0.3 * unit_expression(builtin, "blink_left")[0])


def test_an_action_goes_as_far_as_who_asks_most(builtin):
    """grin: 0.85 of mouthSmile, smile_left: 1."""
    both = done(builtin, {"grin": 0.4, "smile_left": 0.4})
    assert both["mouthSmileLeft"] == pytest.approx(0.74)
    assert within_limits([{"browInnerUp": 1.4}, {"browInnerUp": 0.3}])["browInnerUp"] == pytest.approx(1.4)
    assert within_limits([{"browInnerUp": 0.8}, {"browInnerUp": 0.7}])["browInnerUp"] == pytest.approx(1.0)
    assert within_limits([{"browInnerUp": -0.8}, {"browInnerUp": -0.7}])["browInnerUp"] == pytest.approx(-1.5)


def test_two_open_mouths_are_one(builtin):
    assert done(builtin, {"mouth_open": 1.0, "surprise": 1.0})[JAW] == pytest.approx(1.0, abs=1e-5)
    assert done(builtin, {"mouth_open": 1.5, "surprise": 1.0})[JAW] == pytest.approx(1.5, abs=1e-5)


def test_a_blink_closes_what_is_left_open(builtin):
    """A squint has gone 0.37 of the way."""
    assert within_limits([{"eyeBlinkLeft": 1.0}, {"eyeSquintLeft": 1.0}])["eyeBlinkLeft"] == pytest.approx(0.63)
    assert within_limits([{"eyeBlinkLeft": 0.5}, {"eyeSquintLeft": 1.0}])["eyeBlinkLeft"] == pytest.approx(0.5)
    assert within_limits([{"eyeBlinkLeft": 1.0}, {"eyeSquintRight": 1.0}])["eyeBlinkLeft"] == pytest.approx(1.0)


def test_one_side_leaves_the_other_alone():
    """Left: eyeSquint 1 and cheekSquint 1 pull by 2, of 1.5 that the skin around an eye takes."""
    found = within_limits([{"eyeSquintLeft": 1.0, "eyeSquintRight": 1.0}, {"cheekSquintLeft": 1.0, "cheekSquintRight": 0.2}])
    assert found == pytest.approx({"eyeSquintLeft": 0.75, "cheekSquintLeft": 0.75, "eyeSquintRight": 1.0, "cheekSquintRight": 0.2})


def test_the_strictest_of_two_parts_counts():
    """cheekSquint pulls at the eye (0.25 + 1 + 0.5 of 1.5) and at the mouth's corner (1 + 0.5 + 0.5, of the 1.5 that
    the first asks by itself)."""
    found = within_limits([{"mouthSmileLeft": 1.0, "cheekSquintLeft": 1.0}, {"cheekPuff": 1.0, "eyeSquintLeft": 0.5}])
    assert found["cheekSquintLeft"] == pytest.approx(1.5 / 2)
    assert found["eyeSquintLeft"] == pytest.approx(0.5 * 1.5 / 1.75)


def test_lips_that_are_pressed_together_do_not_cross(builtin):
    """The lower one gives way: 0.95 and 0.5 millimetres, of which 0.25 may stay; both sides of it move 3.6 together."""
    found = within_limits([{"mouthLeft": 1.0}, {"cheekPuff": 0.8}])
    pressed = found["mouthLeft"] * 0.95 + found["cheekPuff"] * 0.5
    assert found["mouthLowerDownLeft"] == found["mouthLowerDownRight"] == pytest.approx((pressed - 0.25) / 3.6)
    assert "mouthLowerDownLeft" not in within_limits([{"mouthLeft": 1.0}, {"cheekPuff": 0.8, JAW: 0.5}])


def test_another_head_model_heeds_the_same_limits(model):
    """A squint and a blink close FLAME's eye as a blink does: less than their sum."""
    both, jaw = expression_change(model, {"blink_left": 1.0, "squint": 1.0})
    sums = unit_expression(model, "blink_left")[0] + unit_expression(model, "squint")[0]
    back = unit_expression(model, "blink_left")[0]
    share = float((sums - both) @ back / (back @ back))
    assert 0.2 < share < 0.6
    assert not jaw.any()


def test_what_is_limited_are_actions_of_the_head(builtin):
    """A misspelt name would limit nothing."""
    named = {name for table in (*(part.shares for part in limits.PARTS), limits.CLOSING, limits.PRESSING) for name in table}
    assert {limits._of(name, side) for name in named for side in limits.SIDES} <= {*builtin.expression_names, JAW}
