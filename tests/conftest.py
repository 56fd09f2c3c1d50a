"""Shared by the core tests (no host) and the host tests (ComfyUI in process)."""
from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

PACK = Path(__file__).resolve().parents[1]
GOLDEN = PACK / "tests" / "golden"


def _load_core() -> None:
    """Import caphuman_core as a top-level package without putting the pack on sys.path,
    where its `nodes/` would shadow the host's `nodes.py`."""
    if "caphuman_core" in sys.modules:
        return
    folder = PACK / "caphuman_core"
    spec = importlib.util.spec_from_file_location("caphuman_core", folder / "__init__.py",
                                                  submodule_search_locations=[str(folder)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["caphuman_core"] = module
    spec.loader.exec_module(module)


_load_core()
sys.path.insert(0, str(GOLDEN))         # detfill, face_synthetic: how golden inputs are made
sys.path.insert(0, str(PACK / "tests"))

from plugin_required import Required, block_host  # noqa: E402

block_host()


def pytest_configure(config):
    config.pluginmanager.register(Required(), "caphuman-required")


@pytest.fixture(scope="session")
def golden():
    """golden("face_flame_procedural") -> dict of arrays of tests/golden/<name>.npz."""
    import numpy as np
    return lambda name: dict(np.load(GOLDEN / f"{name}.npz"))
