from __future__ import annotations

from pathlib import Path

PACK = Path(__file__).resolve().parents[2]


def test_pack_loads(pack):
    assert pack.comfy_entrypoint


def test_the_browser_gets_the_web_folder_once(host):
    """The host serves what __init__.py names and what pyproject.toml names, under names of their own."""
    served = [name for name, folder in host.EXTENSION_WEB_DIRS.items() if Path(folder).resolve() == PACK / "web"]
    assert served == [PACK.name]           # the folder's name: under it the frontend looks up the help pages
