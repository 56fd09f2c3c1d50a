"""CapFace beside other node packs: stand-ins that do what the packs do, or real copies from the folder COMFYUI_PACKS."""
from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from narrow_fixtures import _fresh, _no_gradients, _one_thread, part, world  # noqa: F401


@pytest.fixture(scope="session")
def real(host):
    """real("ComfyUI-TiledDiffusion") -> the host's module of that pack, from a developer's own copy; skips where there is none."""
    loaded = {}

    def _real(*names):
        packs = Path(os.environ.get("COMFYUI_PACKS") or os.devnull)
        folder = next((packs / name for name in names if (packs / name).is_dir()), None)
        if folder is None:
            pytest.skip(f"optional: no copy of {names[0]} in COMFYUI_PACKS")
        if folder not in loaded:
            before = set(sys.modules)
            assert asyncio.run(host.load_custom_node(str(folder), module_parent="custom_nodes")), f"{folder.name} did not load"
            loaded[folder] = [name for name in sys.modules if name not in before]
        return loaded[folder]
    return _real
