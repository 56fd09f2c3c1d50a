"""Where a ComfyUI keeps its model files, told from its folder alone: nothing of it is imported."""
from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..check import fail


def find_comfyui(given: Path | None) -> Path | None:
    """The ComfyUI folder: `given`, else COMFYUI_PATH, else the one around this pack; None where there is none.

    Raises InputError if a folder that was named holds no ComfyUI.
    """
    named = given or (Path(text) if (text := os.environ.get("COMFYUI_PATH", "").strip()) else None)
    if named is not None:
        if not (named / "folder_paths.py").is_file():
            fail("the ComfyUI folder", "must hold folder_paths.py", str(named), "name the folder that holds ComfyUI's main.py")
        return named
    here, shell = Path(__file__), Path(os.environ.get("PWD", "."))       # the shell knows by which link one came here
    around = [parent for path in (here.absolute(), here.resolve(), shell.absolute() / ".", Path.cwd() / ".")
              for parent in (path, *path.parents)]
    return next((folder for folder in around if (folder / "folder_paths.py").is_file()), None)


def find_folders(directories: Iterable[str], comfyui: Path | None, extra: Sequence[Path] = ()) -> dict[str, list[Path]]:
    """Model folders by directory: models/<directory> of each root, then what extra_model_paths.yaml adds.

    Raises InputError if that file cannot be read.
    """
    roots = [*extra, *([comfyui / "models"] if comfyui else [])]
    folders = {directory: [root / directory for root in roots] for directory in directories}
    config = comfyui / "extra_model_paths.yaml" if comfyui else None
    if config is not None and config.is_file():
        for directory, path in _extra_paths(config):
            if directory in folders and path not in folders[directory]:
                folders[directory].append(path)
    return folders


def _extra_paths(config: Path) -> list[tuple[str, Path]]:
    """(directory, folder) of ComfyUI's extra_model_paths.yaml, by its rules; none in a Python without ComfyUI's packages."""
    try:
        import yaml
    except ImportError:
        return []
    try:
        sections = yaml.safe_load(config.read_text(encoding="utf-8"))
        found = []
        for section in (sections or {}).values():
            entries = dict(section or {})
            base = Path(os.path.expandvars(os.path.expanduser(str(entries.pop("base_path", "") or ""))))
            entries.pop("is_default", None)
            found += [(key, Path(os.path.abspath(config.parent / base / line.strip()))) for key, text in entries.items()
                      for line in str(text).split("\n") if line.strip()]
        return found
    except (yaml.YAMLError, OSError, AttributeError, ValueError, TypeError) as error:
        fail("extra_model_paths.yaml", "must be readable", str(error).splitlines()[0][:100], "compare it with ComfyUI's example")


def host_version(comfyui: Path | None) -> str:
    """Of comfyui_version.py, read as text; "" if there is none."""
    path = comfyui / "comfyui_version.py" if comfyui else None
    text = path.read_text(encoding="utf-8", errors="replace") if path and path.is_file() else ""
    return text.partition('__version__ = "')[2].partition('"')[0]
