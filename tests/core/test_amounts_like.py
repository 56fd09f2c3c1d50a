"""Names for an expression that a head already has."""
from __future__ import annotations

import pytest
import torch

from caphuman_core.head.edit.editor_wire import EditorModel, amounts_json
from caphuman_core.head.edit.expressions import amounts_like, expression_change
from caphuman_core.head.edit.recipes import EXPRESSIONS
from caphuman_core.head.model.head_model import load_builtin


@pytest.fixture(scope="module")
def model():
    return load_builtin()


def moved(model, code) -> torch.Tensor:
    return torch.einsum("k,kvc->vc", code, model.expression_basis)


@pytest.mark.parametrize("amounts", [{}, {"smile": 0.8}, {"jaw_left": 0.5, "brows_up": 0.6}, {"surprise": 1.0, "blink_left": 0.7}])
def test_a_mixture_of_names_is_found_again(model, amounts):
    code, _ = expression_change(model, amounts)
    found = amounts_like(model, code)
    assert set(found) == set(EXPRESSIONS)
    again, _ = expression_change(model, found)
    apart = (moved(model, again) - moved(model, code)).norm(dim=-1).max()
    assert float(apart) < 0.02 * max(1e-6, float(moved(model, code).norm(dim=-1).max())) + 1e-9      # the ridge shrinks a little
    for name, amount in amounts.items():
        assert found[name] > 0.6 * amount               # names overlap: surprise is partly raised brows and an open mouth


def test_the_message_says_which_jaw_comes_along(model):
    code, _ = expression_change(model, {"surprise": 1.0})
    told = amounts_json(EditorModel(model), {"expression": code.tolist()})
    _, jaw = expression_change(model, told["amounts"])
    assert told["jaw_radians"] == pytest.approx(jaw.tolist())
    assert told["jaw_radians"][0] > 0.02
