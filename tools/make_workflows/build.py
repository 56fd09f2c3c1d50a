"""Every template and blueprint as the file it becomes."""
from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from . import blueprints, templates
from .blueprint import described
from .graph import Workflow


def modules() -> dict[str, ModuleType]:
    """File name without suffix -> the module that describes the template, in the order in which they are shown.

    ValueError where templates.ORDER and the files beside it differ.
    """
    there = {found.name for found in pkgutil.iter_modules(templates.__path__)}
    if there != set(templates.ORDER):
        raise ValueError(f"templates.ORDER and its files differ in {', '.join(sorted(there ^ set(templates.ORDER)))}")
    found = (importlib.import_module(f"{templates.__name__}.{name}") for name in templates.ORDER)
    return {getattr(module, "FILE", module.__name__.rpartition(".")[2]): module for module in found}


def workflows(object_info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """File name without suffix -> content of workflows/<name>.json, from every module of templates/."""
    built = {}
    for name, module in modules().items():
        workflow = Workflow(object_info, name)
        module.build(workflow)
        built[name] = workflow.saved()
    return built


def index() -> list[dict[str, str]]:
    """name, title and one-sentence description of every template, in the order in which they are shown."""
    return [{"name": name, "title": module.TITLE, "description": (module.__doc__ or "").strip()}
            for name, module in modules().items()]


def subgraphs(object_info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """File name without suffix -> content of subgraphs/<name>.json, from every module of blueprints/.

    The name is the title of the blueprint; its description is the module's docstring.
    """
    built = {}
    for found in sorted(pkgutil.iter_modules(blueprints.__path__), key=lambda found: found.name):
        module = importlib.import_module(f"{blueprints.__name__}.{found.name}")
        built[module.TITLE] = described(object_info, module).saved()
    return built
