"""python -m tools.demo.models COMFYUI REPORT.json: which model files the demo's graph uses.

Real ones where all of them are there; else the miniature's, which fit one another and nothing else, widened once; else, where the
miniature's weights are missing or damaged, untrained stand-ins for whatever is not there.
"""
from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from caphuman_core.check import InputError

from ..devkit import lock
from ..devkit.places import MINIATURE, MODELS, say
from ..stand_ins.untrained_weights import ROLES, has_graphics_device, host_folders, real_file, write_stand_in

Chosen = dict[str, Any]


def choose(tree: Path) -> Chosen:
    """Role -> name and whether it is untrained; "miniature": None, or what the demo needs to know of it; "cpu"."""
    folders = host_folders(tree)
    real = {key: real_file(role, folders) for key, role in ROLES.items()}
    if all(real.values()):
        chosen: Chosen = {key: {"name": name, "untrained": False} for key, name in real.items()} | {"miniature": None}
    else:
        chosen = _miniature(tree, real) or _stand_ins(real)
    for key, role in ROLES.items():
        say(f"{role.what}: {chosen[key]['name']}" + ("  (UNTRAINED: no real file found)" if chosen[key]["untrained"] else ""))
    return {**chosen, "cpu": not has_graphics_device()}


def _miniature(tree: Path, real: dict[str, str | None]) -> Chosen | None:
    """The miniature's files; None, and a sentence that says why, where its weights cannot be had."""
    os.environ["COMFYUI_PATH"] = str(tree)
    from caphuman_train.miniature.files import SAID, write_files
    from caphuman_train.miniature.pack import load_packed

    from .miniature import TEXT
    try:
        told = load_packed(MINIATURE).told
    except InputError as error:
        say(f"without the miniature, so with untrained networks: {error}")
        return None
    kept = ", ".join(name for name in real.values() if name)
    say(f"{SAID}" + (f" (not used, as the others are missing: {kept})" if kept else ""))
    MODELS.mkdir(parents=True, exist_ok=True)
    with lock.held(MODELS / "miniature.lock"):
        made = write_files(MINIATURE, MODELS, say, (*ROLES, "styled"))
    facts = {"side": int(told["side"]), "style": told["style"], "styled": made["styled"].name, "text": TEXT}
    return {role: {"name": made[role].name, "untrained": False} for role in ROLES} | {"miniature": facts}


def _stand_ins(real: dict[str, str | None]) -> Chosen:
    """Real files as far as they are there."""
    return {key: {"name": real[key] or write_stand_in(role), "untrained": real[key] is None}
            for key, role in ROLES.items()} | {"miniature": None}


def main(tree: Path, report: Path) -> int:
    """Choose, and say so; a full disk is one sentence."""
    try:
        report.write_text(json.dumps(choose(tree), indent=1), encoding="utf-8")
        return 0
    except InputError as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
