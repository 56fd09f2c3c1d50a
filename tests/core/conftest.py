"""The FLAME-format test head, and heads of the golden cases on it."""
from __future__ import annotations

import re

import pytest

from caphuman_core.check import InputError
from caphuman_core.head.model.flame_files import load_flame
from tools.goldens import heads

VERBS = "must|needs"
# imperatives
FIXES = ("average|check|choose|compare|connect|convert|copy|count|do not|download|drag|encode|fit|free|give|load|look|make|"
         "move|name|paint|pick|put|raise|remove|run|save|send|set|transfer|type|unpack|update|use|write")
ORDER = re.compile(rf"(?s)^(?!.*but got ({VERBS}) ).+? ({VERBS}) .+, but got .*: ({FIXES})\b.*\.$")


@pytest.fixture(scope="session")
def flame_folder(flame_files):
    """The synthetic model in FLAME's original file formats."""
    return flame_files.model.parent


@pytest.fixture(scope="session")
def flame_files(tmp_path_factory):
    return heads.flame_files(tmp_path_factory.mktemp("flame"))


@pytest.fixture(scope="session")
def model(flame_files):
    return load_flame(flame_files)


@pytest.fixture(scope="session")
def head_of():
    """head_of(case, model, size, placing="decode_tform") -> the Head of a golden case's codes."""
    return heads.head_of


@pytest.fixture(autouse=True)
def in_order(monkeypatch):
    """Every refusal of the core, whatever a test looks for in it, says name, rule, what came and the fix, in this order."""
    def checked(self, *told):
        ValueError.__init__(self, *told)
        assert ORDER.match(str(self)), str(self)
    monkeypatch.setattr(InputError, "__init__", checked, raising=False)
