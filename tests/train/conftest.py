"""The trainer as a top-level package, on the host's modules in process (as tests/conftest.py and tests/host do for theirs)."""
from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

PACK = Path(__file__).resolve().parents[2]
HOST = Path(os.environ.get("COMFYUI_PATH") or PACK / ".host" / "ComfyUI-0.30.0").resolve()
os.environ["COMFYUI_PATH"] = str(HOST)
sys.path.insert(0, str(HOST))
sys.path.insert(1, str(Path(__file__).parent))      # made_world: narrow networks, drawn data


def _load(name: str) -> None:
    """A package of the checkout without the checkout on sys.path, where its `nodes/` would shadow the host's."""
    if name in sys.modules:
        return
    folder = PACK / name
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


for package in ("caphuman_bench", "caphuman_train"):
    _load(package)


@pytest.fixture(scope="session")
def part():
    """part("nodes.capface.network"): a module of the pack, as the trainer loads it."""
    from caphuman_train.host import part
    return part()


@pytest.fixture
def one_thread():
    """Tiny networks gain nothing from a second thread and lose much on a busy machine."""
    import torch
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
