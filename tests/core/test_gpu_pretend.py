"""The card that is not there: it computes what the processor computes, counts what crosses, and refuses what a real one refuses."""
from __future__ import annotations

import pytest
import torch

from benchmarks.gpu import pretend
from benchmarks.gpu.pretend import CARD, TO_CARD, TO_HOME, WAIT, OnCard, a_card


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def ways(crossings):
    return [one.way for one in crossings.seen]


def test_numbers_are_the_processors():
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    with a_card() as crossings:
        there = x.to(CARD)
        there[1] = 0
        there[:, 2] += 1
        total = (there @ torch.ones(4, 2, device=CARD)).cpu()
    want = x.clone()
    want[1] = 0
    want[:, 2] += 1
    assert torch.equal(total, want @ torch.ones(4, 2))
    assert ways(crossings) == [TO_CARD, TO_HOME]
    assert [one.bytes for one in crossings.seen] == [48, 24]


def test_a_tensor_says_that_it_lies_on_the_card():
    with a_card():
        there = torch.zeros(2, device="cuda")
        assert isinstance(there, OnCard)
        assert there.device.type == "cuda"
        assert isinstance((there + 1).view(1, 2), OnCard)
        assert not isinstance(there.cpu(), OnCard)


@pytest.mark.parametrize(("ask", "way"), [
    (lambda x: float(x[0]), WAIT), (lambda x: bool((x > 1).any()), WAIT), (lambda x: x.nonzero(), WAIT),
    (lambda x: x.tolist(), TO_HOME),
    (lambda x: torch.equal(x, x.clone()), WAIT), (lambda x: x.new_tensor([1.0, 2.0]), TO_CARD),
    (lambda x: torch.tensor([0, 1], device=x.device), TO_CARD), (lambda x: x[torch.tensor([1, 0])], TO_CARD),
    (lambda x: x.copy_(torch.ones(3)), TO_CARD), (lambda x: torch.ones(3).copy_(x), TO_HOME)])
def test_whatever_crosses_is_counted_once(ask, way):
    with a_card() as crossings:
        there = torch.arange(3.0, device=CARD)
        ask(there)
    assert ways(crossings) == [way]


def test_work_on_the_card_alone_crosses_nothing():
    with a_card() as crossings:
        x = torch.ones(2, 3, 8, 8, device=CARD)
        layer = torch.nn.Conv2d(3, 4, 3)
        with a_card():                                       # bringing weights there is not counted here
            pretend.put(layer)
        y = torch.nn.functional.group_norm(layer(x), 2)
        torch.nn.functional.scaled_dot_product_attention(y, y, y).softmax(-1).sum()
    assert ways(crossings) == []


def test_mixing_with_the_processor_is_an_error_but_for_single_numbers():
    with a_card():
        there = torch.ones(3, device=CARD)
        assert (there * torch.tensor(2.0)).tolist() == [2, 2, 2]
        with pytest.raises(RuntimeError, match="expected all tensors to be on the same device"):
            there + torch.ones(3)


def test_the_line_of_the_pack_that_asked_is_told():
    from caphuman_core.head.model.head_model import load_builtin
    from caphuman_core.head.new import new_head
    from caphuman_core.render.maps import render
    model = load_builtin()
    with a_card() as crossings:
        drawn = render(new_head(model, 64, 64), model, 64, 64, device=CARD)
        assert isinstance(drawn.normal, OnCard)
        got = drawn.normal.cpu()
    assert torch.equal(got, render(new_head(model, 64, 64), model, 64, 64).normal)
    places = {one.place.partition(":")[0] for one in crossings.seen[:-1]}
    assert {"caphuman_core/render/maps.py", "caphuman_core/render/raster.py"} <= places
    assert all(place.startswith("caphuman_core/") for place in places)
    assert crossings.seen[-1].place == "the host"


def test_heads_are_drawn_together_on_a_card_and_look_as_alone():
    """Two skins, two lights, one place without a head; the same bits, and waits that do not grow with the number of heads."""
    from caphuman_core.flow import Head
    from caphuman_core.head.edit.edit import Edit, edit_head
    from caphuman_core.head.model.head_model import load_builtin
    from caphuman_core.head.new import new_head
    from caphuman_core.render.maps import render
    model = load_builtin()
    one = new_head(model, 64, 64)
    heads = Head.stack([edit_head(one, model, Edit(yaw_degrees=angle)) for angle in (-30, 0, 20, 40)])
    skins = torch.zeros_like(heads.texture)
    skins[1] = 1.0
    lights = heads.light * torch.tensor([1.0, 0.5, 0.8, 1.2])[:, None, None]
    heads = heads.replace(texture=skins, light=lights, present=torch.tensor([True, True, False, True]))
    steps: list[int] = []
    with a_card() as crossings:
        there = render(heads, model, 64, 48, step=steps.append, device=CARD)
        got = [value.cpu() for value in (there.hint().maps, there.mask, there.depth)]
        before = len(crossings.seen)
        render(Head.stack([one] * 2), model, 64, 48, device=CARD)
        two = len(crossings.seen) - before
        render(Head.stack([one] * 6), model, 64, 48, device=CARD)
        assert len(crossings.seen) - before - two == two
    here = render(heads, model, 64, 48)
    for mine, want in zip(got, (here.hint().maps, here.mask, here.depth), strict=True):
        assert torch.equal(mine, want)
    assert steps == [2, 4]
    for i in (0, 1, 3):
        assert torch.equal(render(heads[i], model, 64, 48).hint().maps, here.hint().maps[i:i + 1])
    assert not here.mask[2].any()
