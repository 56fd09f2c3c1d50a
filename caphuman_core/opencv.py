"""OpenCV, whichever build of it this Python has: opencv-python, its headless and its contrib twins all bring the module `cv2`.

requirements.txt names none of them. A requirement names one distribution, and pip would lay it over the build that is there: all
own the same folder `cv2`. So the requirement is the module, looked for where it is used; the doctor and `opencv` say how it is met.
"""
from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from .check import fail

BUILDS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
OLDEST = (4, 8)                          # major, minor
INSTALL = "pip install opencv-python-headless"


@cache
def opencv() -> Any:
    """The module cv2, imported at its first use; InputError with the install line where there is none, or one too old."""
    try:
        module = import_module("cv2")
    except Exception as error:           # a build for another numpy fails with whatever its loader raises
        fail("OpenCV (cv2)", "must be installed and match this numpy", f"{type(error).__name__}: {str(error)[:120]}", _remedy())
    found = str(getattr(module, "__version__", "no version"))
    if _numbers(found) < OLDEST:
        fail("OpenCV (cv2)", f"must be {'.'.join(map(str, OLDEST))} or newer", found, _remedy())
    return module


def installed_builds() -> list[str]:
    """What pip knows of OpenCV here, as "name version"; or that a build is there that pip does not know; or nothing."""
    found = [f"{name} {known}" for name in BUILDS if (known := _version(name))]
    return found or (["cv2, not installed by pip"] if find_spec("cv2") else [])


def _remedy() -> str:
    """One line that leaves a single build: the one that is here anew, else the headless one."""
    known = [name for name in BUILDS if _version(name)]
    return f"run `pip install --upgrade {known[0]}` with ComfyUI's own Python" if known else (
        f"run `{INSTALL}` with ComfyUI's own Python")


def _numbers(text: str) -> tuple[int, ...]:
    """(major, minor) of a version; (0,) where it says none."""
    parts = text.split(".")[:2]
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else (0,)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
