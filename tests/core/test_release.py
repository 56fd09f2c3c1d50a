"""What the registry and a visitor of the repository read agrees with the pack itself."""
from __future__ import annotations

import ast
import re
from pathlib import Path

from PIL import Image

from caphuman_core.model_catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")          # Python 3.10 has no reader for it


def test_the_registry_s_list_of_packages_is_requirements_txt():
    listed = ast.literal_eval(PROJECT.split("\ndependencies = ")[1].split("\n")[0])
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert listed == [line for line in lines if line and not line.startswith("#")]


def test_the_registry_s_models_are_the_catalogue_s_downloads():
    listed = re.findall(r'location = "/(\S+?)/(\S+?)", model_url = "(\S+?)"', PROJECT)
    assert listed == [(entry.directory, entry.download.name, entry.download.url) for entry in CATALOGUE if entry.download]


def test_pages_and_pictures_are_there_and_version_is_in_the_changelog():
    version = re.search(r'^version = "(.+)"$', PROJECT, re.M)[1]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for page in ("CONTRIBUTING.md", "docs/LICENCES.md", "docs/RESPONSIBLE_USE.md", ".github/ISSUE_TEMPLATE/bug_report.yml"):
        assert (ROOT / page).stat().st_size > 300, page
    assert ".ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert Image.open(ROOT / "docs" / "icon.png").size == (400, 400)
    assert Image.open(ROOT / "docs" / "banner.png").size == (1260, 540)


def test_the_host_s_lowest_version_is_the_same_everywhere():
    lowest = re.search(r'requires-comfyui = ">=(.+)"', PROJECT)[1]
    assert f"(ComfyUI {lowest} or newer)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"ComfyUI {lowest} to" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
