"""ComfyUI as a library: the trainer trains the very network that samples, so it loads the pack's nodes on the host's blocks."""
from __future__ import annotations

import atexit
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from caphuman_core.check import fail

PACK = Path(__file__).resolve().parents[1]
NAME = "caphuman_pack"                          # the pack as a package; its folder's own name is no identifier
CORE = f"{NAME}.caphuman_core"


class SharedCore(MetaPathFinder, Loader):
    """Makes the pack's `..caphuman_core` the core that is loaded already: one InputError, one Head, one HeadHint."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname == CORE or fullname.startswith(CORE + ".") else None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(module.__name__.removeprefix(f"{NAME}."))


def host_folder() -> Path:
    """The ComfyUI tree: COMFYUI_PATH, else the one whose custom_nodes holds this pack, else the private one of dev.py."""
    named = os.environ.get("COMFYUI_PATH")
    private = sorted((PACK / ".host").glob("ComfyUI-*"), key=_version)
    for tree in [Path(named)] if named else [PACK.parents[1], *reversed(private)]:
        if (tree / "comfy" / "model_base.py").is_file():
            return tree.resolve()
    fail("ComfyUI", "must be found: the trainer uses its networks", named or "none beside this pack",
         "set COMFYUI_PATH to ComfyUI's folder, or run the trainer from custom_nodes/ComfyUI-CapHuman")


def _version(tree: Path) -> list[int]:
    return [int(part) for part in tree.name.removeprefix("ComfyUI-").split(".") if part.isdigit()]


@cache
def part() -> Callable[[str], ModuleType]:
    """part()("nodes.capface.network") is that module of the pack, on the host's modules. The host is started up once,
    without a server, on the graphics card where there is one."""
    _prepare_host()
    if NAME not in sys.modules:
        sys.meta_path.insert(0, SharedCore())
        spec = importlib.util.spec_from_file_location(NAME, PACK / "__init__.py", submodule_search_locations=[str(PACK)])
        if spec is None or spec.loader is None:
            raise ImportError(str(PACK))
        sys.modules[NAME] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return lambda name: importlib.import_module(f"{NAME}.{name}")


def _prepare_host() -> None:
    """Put the host first on the path (its `nodes` is not ours) and choose what it decides when it is imported."""
    tree = str(host_folder())
    if tree in sys.path:
        sys.path.remove(tree)
    sys.path.insert(0, tree)
    import comfy.cli_args
    import torch
    if "comfy.model_management" not in sys.modules:
        comfy.cli_args.args.cpu = not torch.cuda.is_available()
        comfy.cli_args.args.use_pytorch_cross_attention = True      # the default on a CPU is ten times slower in training
    import utils.install_util  # noqa: F401     older hosts put comfy/ first on the path and would find comfy/utils.py
    atexit.register(_let_go)


def _let_go() -> None:
    """Models need not be unpatched when the process ends, and their patchers' `__del__` would look for modules that are gone."""
    patcher = sys.modules.get("comfy.model_patcher")
    if patcher is not None and "__del__" in vars(patcher.ModelPatcher):
        del patcher.ModelPatcher.__del__
