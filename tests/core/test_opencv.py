"""OpenCV is a requirement that any of its builds meets: what is said where none does, and where two are."""
from __future__ import annotations

import sys
from types import ModuleType

import pytest

from caphuman_core import opencv as room
from caphuman_core.check import InputError
from caphuman_core.files import doctor


@pytest.fixture(autouse=True)
def forgotten():
    room.opencv.cache_clear()
    yield
    room.opencv.cache_clear()


def known(monkeypatch, **builds: str) -> None:
    """As if pip knew just these builds: opencv_python="4.10.0"."""
    monkeypatch.setattr(room, "_version", lambda name: builds.get(name.replace("-", "_")))


def fake(monkeypatch, version: str | None) -> None:
    """A cv2 of that version, or none at all."""
    module = None
    if version is not None:
        module = ModuleType("cv2")
        module.__version__ = version
    monkeypatch.setitem(sys.modules, "cv2", module)


def test_the_build_that_is_here_is_taken():
    circle = room.opencv().circle                       # of the real package
    import numpy as np
    drawn = np.zeros((9, 9), np.uint8)
    circle(drawn, (6, 2), 1, 255, -1)                   # x, y
    assert drawn[2, 6] == 255
    assert drawn[6, 2] == 0


def test_without_one_the_install_line_is_told(monkeypatch):
    fake(monkeypatch, None)
    known(monkeypatch)
    with pytest.raises(InputError, match=r"OpenCV \(cv2\) must be installed .*: run `pip install opencv-python-headless` with"):
        room.opencv()


@pytest.mark.parametrize("version", ["4.7.0.72", "3.4.18", "dev"])
def test_one_too_old_is_upgraded_and_not_joined_by_a_second_build(monkeypatch, version):
    fake(monkeypatch, version)
    known(monkeypatch, opencv_contrib_python=version)
    with pytest.raises(InputError, match=rf"4\.8 or newer, but got {version}: run `pip install --upgrade opencv-contrib-python`"):
        room.opencv()


@pytest.mark.parametrize("version", ["4.8.0", "4.10.0.84", "5.0.0.93"])
def test_the_oldest_and_newer_ones_serve(monkeypatch, version):
    fake(monkeypatch, version)
    assert room.opencv().__version__ == version


@pytest.mark.parametrize("name", room.BUILDS)
def test_the_doctor_is_content_with_any_build(monkeypatch, name):
    known(monkeypatch, **{name.replace("-", "_"): "4.10.0"})
    assert f"  [x] {name} 4.10.0" in doctor.report({}).splitlines()


def test_the_doctor_says_what_is_missing_and_that_two_are_one_too_many(monkeypatch):
    known(monkeypatch)
    monkeypatch.setattr(room, "find_spec", lambda name: None)
    text = doctor.report({})
    assert "[ ] OpenCV (cv2): missing, needed; pip install opencv-python-headless (any" in text
    assert "Next: pip install opencv-python-headless with ComfyUI's own Python" in text
    known(monkeypatch, opencv_python="4.10.0", opencv_contrib_python="4.11.0")
    assert "[x] opencv-python 4.10.0 and opencv-contrib-python 4.11.0; these share one folder" in doctor.report({})


def test_a_build_that_pip_does_not_know_serves(monkeypatch):
    known(monkeypatch)
    monkeypatch.setattr(room, "find_spec", lambda name: object())
    assert "  [x] cv2, not installed by pip" in doctor.report({}).splitlines()
