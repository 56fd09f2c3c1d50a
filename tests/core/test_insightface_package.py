"""The insightface back end with the real package, on the networks of tools/stand_ins/insightface_pack.py."""
from __future__ import annotations

import importlib.util

import pytest
import torch

from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.index import make_detector
from tools.stand_ins import insightface_pack
from tools.stand_ins.insightface_pack import CELL, STRIDE

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("insightface", "onnxruntime", "onnx")),
    reason="optional: insightface, onnxruntime or onnx has no wheel here")


@pytest.fixture
def pack(tmp_path):
    insightface_pack.write(tmp_path)
    return tmp_path


def test_the_package_finds_what_its_networks_say(pack):
    found = detect(make_detector("insightface", "auto", {"insightface": [pack]}, ["CUDAExecutionProvider", "CPUExecutionProvider"]),
                   torch.rand(2, 3, 320, 640, generator=torch.Generator().manual_seed(0)))
    assert [len(faces) for faces in found.per_image] == [1, 1]
    face = found.per_image[0][0]
    x, y = CELL[1] * STRIDE, CELL[0] * STRIDE
    torch.testing.assert_close(face.box_xyxy, torch.tensor([x - 64.0, y - 80.0, x + 64.0, y + 80.0]))
    assert face.confidence == pytest.approx(0.9)
    torch.testing.assert_close(face.points5[0], torch.tensor([x - 32.0, y - 16.0]))
    assert face.points106.shape == (106, 2)
    assert face.points68.shape == (68, 2)
    torch.testing.assert_close(face.arcface, torch.nn.functional.normalize(torch.arange(512.0) + 1, dim=0))
