"""Shared by all parts of the suite. What can be imported stands in pyproject.toml (pythonpath)."""
from __future__ import annotations

from pathlib import Path

import pytest
from plugin_required import Required, block_host

GOLDEN = Path(__file__).resolve().parent / "golden"

block_host()


def pytest_configure(config):
    config.pluginmanager.register(Required(), "caphuman-required")


@pytest.fixture(scope="session")
def golden():
    """golden("face_flame_procedural") -> dict of arrays of tests/golden/<name>.npz."""
    import numpy as np
    return lambda name: dict(np.load(GOLDEN / f"{name}.npz"))
