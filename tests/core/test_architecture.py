"""The rooms of docs/ARCHITECTURE.md hold: no circles, no way up from the core, translation only in the nodes."""
from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOST = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "server", "execution", "latent_preview"}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(folder: str) -> dict[str, Path]:
    return {module_of(path): path for path in (ROOT / folder).rglob("*.py")}


def imported(path: Path, known: set[str]) -> set[str]:
    """Modules a file imports anywhere in it, at the top or inside functions; what only type checkers read does not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
    here = module_of(path).split(".") if path.name == "__init__.py" else module_of(path).split(".")[:-1]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*(here[:len(here) - node.level + 1] if node.level else []), *([node.module] if node.module else [])])
            found |= {name if (name := f"{base}.{alias.name}") in known else base for alias in node.names}
    return found


@pytest.mark.parametrize("folder", ["caphuman_core", "nodes", "caphuman_bench", "tools"])
def test_there_are_no_import_circles(folder):
    known = set(sources(folder))
    graph = {module: imported(path, known) & known - {module} for module, path in sources(folder).items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def test_the_core_knows_neither_host_nor_nodes_nor_programs():
    known = set(sources("caphuman_core"))
    for module, path in sources("caphuman_core").items():
        roots = {name.split(".")[0] for name in imported(path, known)}
        assert not roots & (HOST | {"nodes", "caphuman_bench", "caphuman_train"}), module


def test_nothing_that_ships_knows_the_tools_and_the_tools_do_not_know_the_tests():
    shipped = {**sources("caphuman_core"), **sources("nodes"), **sources("caphuman_bench")}
    for module, path in shipped.items():
        assert not {name.split(".")[0] for name in imported(path, set(shipped))} & {"tools", "tests", "benchmarks"}, module
    known = set(sources("tools"))
    helpers = {path.stem for path in (ROOT / "tests").rglob("*.py")}
    for module, path in sources("tools").items():
        assert not {name.split(".")[0] for name in imported(path, known)} & ({"tests", "benchmarks"} | helpers), module


def test_no_search_path_is_edited_but_for_comfyui():
    """What is imported lies in packages; dev.py, pytest (pyproject.toml) and python -m say where those lie."""
    allowed = {"tools/devkit/host.py", "tools/devkit/guarded.py", "caphuman_train/host.py",
               "tools/devkit/forks.py", "tests/core/test_mutants.py"}         # a fork leaves this checkout for a copy of it
    mentions = "sys." + "path"
    folders = ("tools", "tests", "benchmarks", "caphuman_bench", "caphuman_core", "nodes")
    changes = tuple(mentions + change for change in (".insert", ".append", ".extend", "[", " =", " +="))
    edited = {path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).rglob("*.py")
              if any(change in path.read_text(encoding="utf-8") for change in changes)}
    assert edited <= allowed


def test_each_folder_has_its_line_on_the_page():
    page = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    folders = {path.parent.relative_to(ROOT).as_posix() for folder in ("caphuman_core", "nodes")
               for path in sources(folder).values()}
    folders |= {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "tools").glob("*/__init__.py")}
    missing = [folder for folder in folders if f"`{folder}/`" not in page]
    assert not missing, f"docs/ARCHITECTURE.md says nothing of {', '.join(missing)}"
