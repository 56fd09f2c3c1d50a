"""An insightface pack made here, for no pack can be had where the tests run: networks with the inputs and outputs of buffalo_l's
that answer constants, so that every layout and call is the package's own."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

CELL, STRIDE = (10, 20), 16              # where the detector "sees" a face: row and column of its second level


def write(models: Path) -> Path:
    """Write models/buffalo_l below the models folder `insightface`; returns the pack's folder."""
    folder = models / "models" / "buffalo_l"
    folder.mkdir(parents=True, exist_ok=True)
    constant_network(folder / "det_10g.onnx", [1, 3, "?", "?"], detector_answers())
    constant_network(folder / "2d106det.onnx", [None, 3, 192, 192], [np.linspace(-0.5, 0.5, 212)[None]])
    constant_network(folder / "w600k_r50.onnx", [None, 3, 112, 112], [np.arange(512)[None] + 1.0])
    return folder


def constant_network(path: Path, input_shape: Sequence, outputs: Sequence[np.ndarray]) -> None:
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


def detector_answers() -> list[np.ndarray]:
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
