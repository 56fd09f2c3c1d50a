"""The insightface back end with the real package, on networks made here: no model pack can be had where the tests run.

The networks have the inputs and outputs of buffalo_l's and answer constants, so that every layout and call is the package's own.
"""
from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.index import make_detector

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("insightface", "onnxruntime", "onnx")),
    reason="optional: insightface, onnxruntime or onnx has no wheel here")

CELL, STRIDE = (10, 20), 16              # where the detector "sees" a face: row and column of its second level


def constant_network(path, input_shape, outputs):
    """An .onnx file that answers `outputs` whatever it is shown."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    values = [numpy_helper.from_array(np.asarray(value, np.float32), f"c{i}") for i, value in enumerate(outputs)]
    values.append(numpy_helper.from_array(np.zeros((), np.float32), "zero"))
    nodes = [helper.make_node("ReduceSum", ["input.1"], ["sum"], keepdims=0), helper.make_node("Mul", ["sum", "zero"], ["none"]),
             *(helper.make_node("Add", [f"c{i}", "none"], [f"o{i}"]) for i in range(len(outputs)))]
    results = [helper.make_tensor_value_info(f"o{i}", TensorProto.FLOAT, list(np.shape(value))) for i, value in enumerate(outputs)]
    shown = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, input_shape)
    model = helper.make_model(helper.make_graph(nodes, "constant", [shown], results, values),
                              opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))


def detector_answers():
    """Scores, box distances and points of SCRFD's three levels: one face, everything in units of the level's stride."""
    scores, boxes, points = [], [], []
    for stride in (8, STRIDE, 32):
        count = (640 // stride) ** 2 * 2
        scores.append(np.full((count, 1), 0.01))
        boxes.append(np.zeros((count, 4)))
        points.append(np.zeros((count, 10)))
        if stride == STRIDE:
            anchor = (CELL[0] * (640 // stride) + CELL[1]) * 2
            scores[-1][anchor] = 0.9
            boxes[-1][anchor] = [4, 5, 4, 5]
            points[-1][anchor] = [-2, -1, 2, -1, 0, 1, -1.5, 3, 1.5, 3]
    return [*scores, *boxes, *points]


@pytest.fixture
def pack(tmp_path):
    folder = tmp_path / "models" / "buffalo_l"
    folder.mkdir(parents=True)
    constant_network(folder / "det_10g.onnx", [1, 3, "?", "?"], detector_answers())
    constant_network(folder / "2d106det.onnx", [None, 3, 192, 192], [np.linspace(-0.5, 0.5, 212)[None]])
    constant_network(folder / "w600k_r50.onnx", [None, 3, 112, 112], [np.arange(512)[None] + 1.0])
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
