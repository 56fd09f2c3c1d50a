"""What the registry and a visitor of the repository read agrees with the pack itself."""
from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from PIL import Image

from caphuman_core.files.catalogue import CATALOGUE

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
    for workflow, runs in (("ci", ".ci/run"), ("thorough", "dev.py test --thorough")):
        assert runs in (ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text(encoding="utf-8")
    assert Image.open(ROOT / "docs" / "icon.png").size == (400, 400)
    assert Image.open(ROOT / "docs" / "banner.png").size == (1260, 540)


def test_the_host_s_lowest_version_is_the_same_everywhere():
    lowest = re.search(r'requires-comfyui = ">=(.+)"', PROJECT)[1]
    assert f"(ComfyUI {lowest} or newer)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"ComfyUI {lowest} to" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# --- what the registry's archive holds

@pytest.fixture(scope="module")
def tracked():
    """tracked() -> the repository's files; tracked("--ignored", ...) -> those that match more of git's own rules."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("optional: needs a git checkout")

    def listed(*more):
        answer = subprocess.run([git, "ls-files", "-z", "--cached", *more], cwd=ROOT, capture_output=True, check=True)
        return {Path(name) for name in answer.stdout.decode().split("\0") if (ROOT / name).is_file()}
    return listed


@pytest.fixture(scope="module")
def archive(tracked, tmp_path_factory):
    """A folder with what the registry would publish: the repository's files less those of .comfyignore."""
    folder = tmp_path_factory.mktemp("archive") / "comfyui-caphuman"
    for name in tracked() - tracked("--ignored", "--exclude-from=.comfyignore"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def test_the_archive_is_small_and_holds_what_users_need_only(archive, tracked):
    files = [path for path in archive.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 16 << 20
    inside = {path.relative_to(archive) for path in files}
    own = {"tests", "tools", "benchmarks", "caphuman_bench", "caphuman_train", "miniature", ".ci", ".github"}
    assert not own & {path.parts[0] for path in inside}
    needed = ("nodes", "caphuman_core", "web", "locales", "workflows", "subgraphs", "__init__.py", "pyproject.toml",
              "requirements.txt", "README.md", "LICENSE")
    assert {path for path in tracked() if path.parts[0] in needed} <= inside


def test_the_miniature_is_small_and_says_what_it_is_wherever_it_is_judged():
    """Its weights come with their card and their report, or none of them is there."""
    folder, report = ROOT / "miniature", ROOT / "docs" / "MINIATURE.md"
    weights, card = folder / "miniature.safetensors", folder / "miniature.md"
    assert weights.is_file() == card.is_file() == report.is_file()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 60_000_000
    for page in filter(Path.is_file, (folder / "README.md", card, report)):
        assert "trained on drawn heads only" in page.read_text(encoding="utf-8"), page.name


def test_links_of_the_archive_s_pages_lead_to_files_in_it(archive):
    missing = []
    for page in [archive / "README.md", *archive.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                missing.append((page.name, target))
    assert not missing


@pytest.mark.parametrize("program", ["doctor", "convert"])
def test_the_archive_works_by_itself(archive, program):
    """The programs of the pack run from the archive alone."""
    done = subprocess.run([sys.executable, "-m", f"caphuman_core.{program}", *(["--help"] if program == "convert" else [])],
                          cwd=archive, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout.strip()


# --- licences

FAMILIES = {"apache": "Apache", "mit": "MIT", "hpnd": "MIT", "mpl": "MPL", "mozilla": "MPL", "bsd": "BSD", "0bsd": "BSD",
            "gpl": "GPL", "boost": "BSL", "bsl": "BSL", "psf": "PSF", "python software": "PSF", "zlib": "Zlib", "cc0": "CC0",
            "unlicense": "Unlicense"}


def families(text: str) -> set[str]:
    """The kinds of licence a text names."""
    return {name for word, name in FAMILIES.items() if re.search(rf"(?<![a-z]){word}(?![a-z])", text.lower())}


def stated(package: str) -> set[str]:
    """What an installed package's metadata says; nothing if it says nothing, or is not here."""
    try:
        info = metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return set()
    classifiers = [line for line in info.get_all("Classifier", []) if line.startswith("License ::")]
    return families(info.get("License-Expression") or " ".join(classifiers) or (info.get("License") or "")[:60])


def licence_table() -> dict[str, str]:
    """Package -> the licence that docs/LICENCES.md gives it."""
    page = (ROOT / "docs" / "LICENCES.md").read_text(encoding="utf-8").split("## Packages")[1]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")]
    return {row[0].split(" ")[0].lower(): row[1] for row in rows[1:]}


def table(title: str) -> str:
    """The text of one table of pyproject.toml."""
    return PROJECT.partition(f"\n[{title}]\n")[2].partition("\n[")[0]


def named(text: str) -> dict[str, str]:
    """Package -> the rest of its requirement, of every one in a text."""
    return {name.lower(): rest for name, rest in re.findall(r'"([A-Za-z][\w.-]*)(?:\[\w+\])?([<>=][^";]*)', text)}


def required_packages() -> set[str]:
    """Every package that the project asks for anywhere, and what the host brings."""
    asked = table("project"), table("project.optional-dependencies"), table("dependency-groups")
    return set().union(*map(named, asked)) | {"torch", "torchvision", "torchaudio"}


def test_there_is_one_place_for_requirements_and_one_copy_for_comfyui_s_manager():
    assert [path.name for path in ROOT.glob("*requirements*")] == ["requirements.txt"]


def extras() -> dict[str, dict[str, str]]:
    """Extra -> package -> its lower bound."""
    found = re.findall(r"^(\w+) = \[(.*?)\]$", re.sub(r" *#.*", "", table("project.optional-dependencies")), re.M | re.S)
    return {name: named(f"{packages}") for name, packages in found}


@pytest.mark.parametrize(("extra", "package"), [("insightface", "insightface"), ("insightface", "onnxruntime"),
                                                ("mediapipe", "mediapipe"), ("pytorch3d", "easypytorch3d"),
                                                ("opencv", "opencv-python-headless")])
def test_users_get_what_the_tests_run_with(extra, package):
    """The extra's lower bound lets the tested version in, and leaves an installed one that is as new alone."""
    bound, tested = extras()[extra][package], named(table("dependency-groups"))[package]
    assert bound.startswith(">=")
    numbers = [[int(part) for part in text.lstrip(">=").split(".post")[0].split(".")] for text in (bound, tested)]
    assert numbers[0] <= numbers[1]


def test_no_requirement_touches_torch_or_lays_a_second_opencv_over_the_first():
    needed = set(named(table("project")))
    assert needed == {"numpy", "pillow", "safetensors", "tqdm"}
    everywhere = {package for packages in extras().values() for package in packages}
    assert not {"torch", "torchvision", "torchaudio"} & everywhere
    assert {package for package in everywhere if package.startswith("opencv")} == set(extras()["opencv"])


def test_every_package_is_in_the_table_of_licences():
    assert required_packages() - set(licence_table()) == set()


def test_the_table_of_licences_agrees_with_the_packages_themselves():
    compared, wrong = 0, {}
    for package, licence in licence_table().items():
        theirs, ours = stated(package), families(licence)
        compared += bool(theirs)
        if theirs and not (theirs <= ours and families(re.split(r"[(;]| and ", licence)[0]) <= theirs):
            wrong[package] = (licence, sorted(theirs))
    assert not wrong
    assert compared >= 4                 # the pack's own packages are always there
