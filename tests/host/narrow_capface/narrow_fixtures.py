"""What tests of CapFace on narrow networks share: networks, a count of what they compute, one thread."""
from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest
import torch

from tools.stand_ins import narrow_nets as nets


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Tiny networks gain nothing from a second thread and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def part(pack):
    return lambda name: importlib.import_module(f"{pack.__name__}.{name}")


@pytest.fixture(scope="module")
def world(part):
    """Networks, and a count of what CapFace computes."""
    net = nets.capface(part("nodes.capface.network"))
    control = part("nodes.capface.control")
    counts = {"forward": 0, "rows": 0, "hint": 0, "project": 0, "keys": 0}

    def count(module, name):
        module.register_forward_hook(lambda m, args, out: counts.update({name: counts[name] + 1}))
    count(net, "forward")
    net.register_forward_hook(lambda m, args, out: counts.update(rows=counts["rows"] + len(args[0])))
    count(net.mask_predict, "hint")
    count(net.img_linear, "project")
    count(net.middle_block[1].transformer_blocks[0].attn2.to_k, "keys")
    capface = control.CapFace(net, part("nodes.host").patcher(net), torch.float32, "narrow")
    return SimpleNamespace(base=nets.base_model(), capface=capface, counts=counts, flow=part("caphuman_core.flow"), control=control)


@pytest.fixture(autouse=True)
def _fresh(world, part, monkeypatch):
    monkeypatch.setitem(part("nodes.capface.base_model").SHAPE, "model_channels", nets.WIDTH)
    world.counts.update(dict.fromkeys(world.counts, 0))
