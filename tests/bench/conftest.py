"""The benchmark tool as a top-level package, without the pack's folder on sys.path (as tests/conftest.py does for the core)."""
from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PACK = Path(__file__).resolve().parents[2]


def _load() -> None:
    if "caphuman_bench" in sys.modules:
        return
    folder = PACK / "caphuman_bench"
    spec = importlib.util.spec_from_file_location("caphuman_bench", folder / "__init__.py",
                                                  submodule_search_locations=[str(folder)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["caphuman_bench"] = module
    spec.loader.exec_module(module)


_load()
sys.path.insert(0, str(Path(__file__).parent))      # made_runs, bench_plans
sys.path.insert(0, str(PACK / "tools"))             # devkit: starting real servers
