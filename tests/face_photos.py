"""The people of tools/stand_ins, for tests: one that needs a package which is not here does not run."""
from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from tools.stand_ins import GOLDEN, people
from tools.stand_ins.people import IDENTITIES, as_tensor, golden_photo, group_photo, photo

__all__ = ["GOLDEN", "IDENTITIES", "as_tensor", "golden_photo", "group_photo", "package", "photo"]

HAS_WHEELS = sys.platform.startswith("linux") and platform.machine() == "x86_64"


def package(name: str) -> Path:
    """Folder of an installed package, without importing it."""
    try:
        return people.package(name)
    except LookupError as error:
        pytest.skip(f"{'' if HAS_WHEELS else 'optional: '}{error}")
