"""ComfyUI in this process, with flags of its own command line, set up as its server sets itself up."""
from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tools.devkit.host import first_on_path
from tools.devkit.places import host_tree

from .parts import PARTS
from .rows import Setting


def start(setting: Setting) -> Callable[[str], ModuleType]:
    """start(setting)("nodes.host") is that module of the pack, on the host's modules. Only the first call starts the host: its
    flags are those of the setting's part, and they are read when it is imported."""
    begin(_flags(setting), setting.device == "cpu")
    from caphuman_train.host import part
    pack = part()
    _own_folders(setting.out)
    return pack


def _flags(setting: Setting) -> Sequence[str]:
    return next((part.flags for part in PARTS if part.name == setting.part), ())


def begin(flags: Sequence[str], on_processor: bool) -> None:
    """Import the host as main.py does, in its order."""
    if "comfy.model_management" in sys.modules:
        return
    first_on_path(host_tree())
    sys.argv = ["main.py", *flags]
    import comfy.options
    comfy.options.enable_args_parsing()
    import comfy.cli_args
    comfy.cli_args.args.cpu = on_processor      # as --cpu, which its parser does not take together with --lowvram
    import comfy.model_management
    if _wants_dynamic(comfy.cli_args):
        _start_dynamic()


def _wants_dynamic(cli_args: Any) -> bool:
    """Whether a server with these flags would manage the card's memory page by page; hosts before 0.24 cannot."""
    import comfy.model_management
    wants = getattr(cli_args, "enables_dynamic_vram", lambda: False)
    return wants() and comfy.model_management.is_nvidia()


def _start_dynamic() -> None:
    """What main.py does for it."""
    import comfy.memory_management
    import comfy.model_management
    import comfy.model_patcher
    import comfy_aimdo.control as control
    control.init()
    devices = comfy.model_management.get_all_torch_devices()
    try:
        ready = control.init_devices((device.index, 0) for device in devices)
    except TypeError:                    # the package's older protocol
        ready = control.init_devices(device.index for device in devices)
    if ready:
        comfy.model_patcher.CoreModelPatcher = comfy.model_patcher.ModelPatcherDynamic
        comfy.memory_management.aimdo_enabled = True


def _own_folders(out: Path) -> None:
    """Nodes write their previews here and not into the host's tree."""
    import folder_paths
    for name in ("input", "output", "temp", "user"):
        folder = out / "host" / name
        folder.mkdir(parents=True, exist_ok=True)
        getattr(folder_paths, f"set_{name}_directory")(str(folder))
