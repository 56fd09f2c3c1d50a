"""The FLAME-format test head, and heads of the golden cases on it."""
from __future__ import annotations

import pytest

from caphuman_core.head.model.flame_files import load_flame
from tools.goldens import heads


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
