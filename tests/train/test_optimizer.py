"""Learning rates, the running mean, the optimizer in eight bits."""
from __future__ import annotations

import sys

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_train.train.optimizer import RunningMean, learning_rate, make_optimizer
from caphuman_train.train.settings import Optimizer, Schedule


def test_warm_up_and_constant():
    schedule = Schedule(warmup_steps=4)
    assert [learning_rate(step, 100, 1.0, schedule) for step in (0, 1, 3, 4, 99)] == [0.25, 0.5, 1.0, 1.0, 1.0]
    assert learning_rate(0, 100, 1.0, Schedule()) == 1.0


def test_cosine_falls_to_its_share_at_the_end():
    schedule = Schedule("cosine", 10, 0.1)
    rates = [learning_rate(step, 110, 2.0, schedule) for step in range(10, 111)]
    assert rates[0] == 2.0
    assert rates[50] == pytest.approx(2.0 * 0.55)           # half-way: the mean of start and end
    assert rates[100] == pytest.approx(0.2)
    assert rates == sorted(rates, reverse=True)


def test_the_running_mean_follows():
    weights = {"a": torch.zeros(3)}
    mean = RunningMean(weights, 0.9)
    weights["a"] += 1
    mean.follow(weights, 1)
    assert mean.weights["a"].tolist() == pytest.approx([1 - 2 / 11] * 3)     # (1 + 1) / (10 + 1) of the past
    for steps in range(100, 400):
        mean.follow(weights, steps)
    before = mean.weights["a"].clone()
    weights["a"] += 1
    mean.follow(weights, 400)
    torch.testing.assert_close(mean.weights["a"], 0.9 * before + 0.1 * weights["a"])


def test_eight_bits_step_like_thirty_two():
    """bitsandbytes keeps moments in blocks of eight bits; a first step's direction is the gradient's sign all the same."""
    pytest.importorskip("bitsandbytes", reason="optional: bitsandbytes")
    start = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    moved = {}
    for name in ("adamw", "adamw8bit"):
        weight = torch.nn.Parameter(start.clone())
        optimizer = make_optimizer([weight], Optimizer(name, lr=1e-2))
        for _ in range(5):
            optimizer.zero_grad()
            (weight.square().sum() / 2).backward()
            optimizer.step()
        moved[name] = weight.detach() - start
        kinds = {value.dtype for value in optimizer.state[weight].values() if isinstance(value, torch.Tensor)}
        assert (torch.uint8 in kinds) == (name == "adamw8bit")
    error = (moved["adamw8bit"] - moved["adamw"]).square().mean() / moved["adamw"].square().mean()
    assert float(error) ** 0.5 < 0.05


def test_without_bitsandbytes_its_install_line_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(InputError, match="pip install bitsandbytes"):
        make_optimizer([torch.nn.Parameter(torch.zeros(1))], Optimizer("adamw8bit"))
