"""The trainer and the benchmark tool, whose pieces it uses, as top-level packages, without the pack's folder on sys.path; on the
host's modules in process."""
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


def _load(name: str) -> None:
    if name in sys.modules:
        return
    folder = PACK / name
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


_load("caphuman_bench")
_load("caphuman_train")
sys.path.insert(1, str(Path(__file__).parent))
sys.path.insert(2, str(PACK / "tools"))


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
