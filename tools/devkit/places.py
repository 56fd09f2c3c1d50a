"""Where things lie inside the checkout, and the one exception that ends a command with a sentence."""
from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
STATE = ROOT / ".demo"                      # everything the demo keeps between runs
MODELS = STATE / "models"                   # the widened miniature, or untrained stand-ins: <folder key>/<file>
MINIATURE = ROOT / "miniature" / "miniature.safetensors"
SERVER = STATE / "server"                   # the server's --base-directory
CACHE = STATE / "cache"
OUTPUT = ROOT / "demo-output"
TEST_OUTPUT = ROOT / ".test-output"
GPU_OUTPUT = ROOT / ".gpu-output"            # results of dev.py gpu
PACK_NAME = "comfyui-caphuman"

HOST_VERSION = "0.30.0"
OWN_HOST = ROOT / ".host" / f"ComfyUI-{HOST_VERSION}"


class Failure(Exception):
    """Ends the command. Its text is one sentence for the user."""


def venv_python() -> Path:
    """The interpreter of the private environment."""
    return venv_program("python")


def venv_program(name: str) -> Path:
    """A program that the private environment brings."""
    return VENV / (f"Scripts/{name}.exe" if os.name == "nt" else f"bin/{name}")


def chosen_host() -> Path | None:
    """The tree that COMFYUI_PATH names, or None where the variable is unset; Failure if it is no ComfyUI."""
    value = os.environ.get("COMFYUI_PATH", "").strip()
    if not value:
        return None
    tree = Path(value).expanduser().resolve()
    if not (tree / "main.py").is_file() or not (tree / "comfy").is_dir():
        raise Failure(f"COMFYUI_PATH must name a ComfyUI folder (with main.py and comfy/), but got {value}: "
                      "correct it, or unset it to use a private copy.")
    return tree


def host_tree() -> Path:
    """The ComfyUI to run: COMFYUI_PATH if set, else the private copy."""
    return chosen_host() or OWN_HOST


def say(text: str) -> None:
    """One line for the user, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
