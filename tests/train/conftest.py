"""The trainer on the host's modules, in process. COMFYUI_PATH names the host's tree; else the one that dev.py keeps is used."""
from __future__ import annotations

import os

import pytest

from tools.devkit.host import first_on_path
from tools.devkit.places import host_tree

os.environ["COMFYUI_PATH"] = str(host_tree())           # for the trainer, here and in child processes
first_on_path(host_tree())
FULL_SIZE = ("test_golden", "test_miniature_loader")


def pytest_collection_modifyitems(items):
    """Full-size networks last: those of other parts that run beside this one have gone by then, and memory is for two of them."""
    items.sort(key=lambda item: item.path.stem in FULL_SIZE)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Small pictures gain nothing from more threads, and results must not depend on their number."""
    import torch
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def part():
    """part("nodes.capface.network"): a module of the pack, as the trainer loads it."""
    from caphuman_train.host import part
    return part()


@pytest.fixture(scope="session")
def head_model():
    from caphuman_core.head.model.head_model import load_builtin
    return load_builtin()


@pytest.fixture(scope="session")
def drawn_shards(tmp_path_factory):
    """A folder of 12 drawn heads of 4 people; not to be changed."""
    from caphuman_train.data.drawn import Drawing, write_drawn_shards
    folder = tmp_path_factory.mktemp("drawn")
    write_drawn_shards(folder, Drawing(count=12, people=4, per_shard=5))
    return folder
