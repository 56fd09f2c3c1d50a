"""Every template and blueprint as the file it becomes."""
from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from . import blueprints, templates
from .blueprint import Blueprint
from .graph import Workflow


def workflows(object_info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """File name without suffix -> content of workflows/<name>.json, from every module of templates/."""
    built = {}
    for module in sorted(pkgutil.iter_modules(templates.__path__), key=lambda found: found.name):
        workflow = Workflow(object_info, module.name)
        importlib.import_module(f"{templates.__name__}.{module.name}").build(workflow)
        built[module.name] = workflow.saved()
    return built


def subgraphs(object_info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """File name without suffix -> content of subgraphs/<name>.json, from every module of blueprints/.

    The name is the title of the blueprint; its description is the module's docstring.
    """
    built = {}
    for found in sorted(pkgutil.iter_modules(blueprints.__path__), key=lambda found: found.name):
        module = importlib.import_module(f"{blueprints.__name__}.{found.name}")
        blueprint = Blueprint(object_info, module.TITLE, (module.__doc__ or "").strip())
        module.build(blueprint)
        built[module.TITLE] = blueprint.saved()
    return built
