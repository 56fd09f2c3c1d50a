from __future__ import annotations

import sys
from pathlib import Path

from tools.devkit.places import ROOT, host_tree


def test_pack_loads(pack):
    assert pack.comfy_entrypoint


def test_nodes_is_the_host_s_module_and_not_this_checkout_s_folder(host):
    assert Path(host.__file__) == host_tree() / "nodes.py"
    places = [Path(place or ".").resolve() for place in sys.path]
    assert places.index(host_tree().resolve()) < places.index(ROOT)


def test_the_browser_gets_the_web_folder_once(host):
    """The host serves what __init__.py names and what pyproject.toml names, under names of their own."""
    served = [name for name, folder in host.EXTENSION_WEB_DIRS.items() if Path(folder).resolve() == ROOT / "web"]
    assert served == [ROOT.name]           # the folder's name: under it the frontend looks up the help pages
