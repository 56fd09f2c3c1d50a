"""Every template and blueprint as the file it becomes."""
from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from . import templates
from .graph import Workflow


def workflows(object_info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """File name without suffix -> content of workflows/<name>.json, from every module of templates/."""
    built = {}
    for module in sorted(pkgutil.iter_modules(templates.__path__), key=lambda found: found.name):
        workflow = Workflow(object_info, module.name)
        importlib.import_module(f"{templates.__name__}.{module.name}").build(workflow)
        built[module.name] = workflow.saved()
    return built
