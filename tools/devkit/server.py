"""A ComfyUI with this pack, as a child process on a loopback port, its whole state in one folder."""
from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from .children import child, guarded, tool_environment
from .places import MODELS, PACK_NAME, ROOT, Failure

PATIENCE_SECONDS = 300
FOLDERS = ("custom_nodes", "input", "output", "temp", "user", "models")
# Keys of the host's own folders that the demo's graph reads; the pack adds the others itself.
MODEL_KEYS = ("checkpoints", "clip_vision", "capface", "flame", "face_parsing", "facenet", "insightface", "detection", "vae",
              "loras", "controlnet", "embeddings")
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".host", ".demo", ".test-output", ".gpu-output", "demo-output", "__pycache__")


def free_port(wanted: int | None = None) -> int:
    """A free loopback port, or `wanted` if it is free; Failure if it is taken."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        if os.name != "nt":                 # there the option would let two servers share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except (OSError, OverflowError) as error:
            raise Failure(f"port {wanted} must be free, but it cannot be taken ({error}): stop the program that uses it "
                          "or pass another --port.") from error
        return probe.getsockname()[1]


def make_base(base: Path, tree: Path) -> Path:
    """Lay out the server's folder with the pack linked in; returns the file that names the model folders."""
    for name in FOLDERS:
        (base / name).mkdir(parents=True, exist_ok=True)
    _link_pack(base / "custom_nodes" / PACK_NAME)
    extra = base / "model_folders.yaml"
    lines = []
    for label, folder in (("host", tree / "models"), ("untrained", MODELS)):
        lines += [f"{label}:", f"  base_path: {json.dumps(str(folder))}", *(f"  {key}: {key}" for key in MODEL_KEYS)]
    extra.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return extra


def _link_pack(link: Path) -> None:
    if link.is_symlink() or link.exists():
        if link.resolve() == ROOT:
            return
        link.unlink() if link.is_symlink() else shutil.rmtree(link)
    try:
        link.symlink_to(ROOT, target_is_directory=True)
    except OSError:                         # Windows without developer mode: a junction needs no right
        try:
            import _winapi
            _winapi.CreateJunction(str(ROOT), str(link))     # type: ignore[attr-defined]
        except (ImportError, AttributeError, OSError):
            shutil.copytree(ROOT, link, ignore=NOT_COPIED)


@contextlib.contextmanager
def serving(tree: Path, base: Path, port: int, cpu: bool, arguments: Sequence[str] = ()) -> Iterator[str]:
    """A running server's address for the block; the log is kept in <base>/server.log.

    cpu: no graphics device is there. Nothing is written into `tree` (compiled files go to the cache). Failure if the
    server does not come up.
    """
    extra = make_base(base, tree)
    database = (base / "user" / "comfyui.db").as_posix()
    command = guarded(tree / "main.py", "--base-directory", base, "--listen", "127.0.0.1", "--port", str(port),
                      "--extra-model-paths-config", extra, "--database-url", f"sqlite:///{database}",
                      "--disable-auto-launch", "--disable-api-nodes", *(["--cpu"] if cpu else []), *arguments)
    log = base / "server.log"
    with log.open("wb") as output, child(command, tool_environment(), output=output, cwd=base) as process:
        url = f"http://127.0.0.1:{port}"
        _wait_until_up(process, url, log)
        yield url


def _wait_until_up(process: subprocess.Popen, url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failure(f"ComfyUI must start, but it ended with '{_last_line(log)}': see {_shown(log)}.")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/system_stats", timeout=5):  # noqa: S310
            return
        time.sleep(0.2)
    raise Failure(f"ComfyUI must answer within {PATIENCE_SECONDS} s, but it did not: see {_shown(log)}.")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no word")


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
