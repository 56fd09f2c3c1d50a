"""What a run costs: forwards, constants, memory."""
from __future__ import annotations

import torch
from narrow_world import STEPS, alone, apply, hint, identity, near, sample, text


def test_one_forward_a_step_and_constants_once_a_run(call, world):
    sample(world, apply(call, world))
    assert world.counts == {"forward": STEPS, "rows": STEPS, "hint": 2, "project": 1, "keys": 1}     # one hint for face_mask


def test_one_forward_a_step_also_in_separate_calls(call, world, monkeypatch):
    together = sample(world, apply(call, world))
    alone(monkeypatch, world)
    world.counts.update(forward=0)
    apart = sample(world, apply(call, world))
    assert world.counts["forward"] == STEPS
    near(apart, together)


def test_the_straightforward_way_gives_the_same(call, world, monkeypatch):
    """The oracle: everything, both branches, every step."""
    cheap = sample(world, apply(call, world))
    steps = world.control.StepCache
    monkeypatch.setattr(steps, "_sources", lambda self, pieces: list(pieces))
    monkeypatch.setattr(world.control.CapFaceControl, "_features", lambda self, *args: self.encode(*args))
    world.counts.update(dict.fromkeys(world.counts, 0))
    full = sample(world, apply(call, world))
    assert world.counts["forward"] == 2 * STEPS
    torch.testing.assert_close(cheap, full, rtol=0, atol=0)              # the same arithmetic, only repeated


def test_two_people_cost_two_forwards_and_share_weights(call, world):
    pair = apply(call, world)
    both = apply(call, world, *pair, who=identity(world, seed=30), posed=hint(world, seed=31))
    sample(world, both)
    assert world.counts["forward"] == 2 * STEPS
    second = both[0][0][1]["control"]
    assert second is both[1][0][1]["control"]
    models = second.get_models()
    assert len(models) == 2
    assert models[0] is models[1] is world.capface.patcher


def test_strength_zero_does_no_work_at_all(call, world):
    positive, negative = text(1), text(2)
    out = call("CapHumanApplyCapFace", positive=positive, negative=negative, capface=world.capface, identity=identity(world),
               hint=hint(world), strength=0.0)
    assert out[0] is positive
    assert out[1] is negative
    assert not any(world.counts.values())
    assert out[2].shape == (1, 64, 64)
    assert not out[2].any()


def test_nothing_is_computed_outside_start_and_end(call, world):
    sample(world, apply(call, world, start_percent=0.0, end_percent=0.4))
    assert 0 < world.counts["forward"] < STEPS
    world.counts.update(forward=0)
    sample(world, apply(call, world, strength_schedule="0: 0"))
    assert world.counts["forward"] == 0


def test_nothing_of_a_run_is_kept_after_it(call, world):
    pair = apply(call, world)
    sample(world, pair)
    control = pair[0][0][1]["control"]
    assert control.identities is None
    assert control.features == {}
    assert control.steps.entries == []
    assert control.sampling is None


def test_all_comparisons_come_before_the_forward(call, world, monkeypatch):
    """A comparison waits for the card: after the forward it would wait for that too."""
    order = []
    equal = torch.equal
    monkeypatch.setattr(torch, "equal", lambda *args: order.append("asked") or equal(*args))
    hook = world.capface.network.register_forward_hook(lambda *_: order.append("computed"))
    try:
        sample(world, apply(call, world), steps=1)
    finally:
        hook.remove()
    assert order.count("computed") == 1
    assert order.index("computed") == len(order) - 1
    assert order.count("asked") >= 2
