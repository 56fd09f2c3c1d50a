"""A CapFace file from the trainer tells in its loader's node where it comes from."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from caphuman_core.capface.about import About
from caphuman_core.capface.layout import parameter_shapes
from caphuman_core.capface.spec import SPEC
from caphuman_core.files.weights import write_safetensors

ABOUT = About(head_model="built-in", head_model_fingerprint="aa11", base_model="photo.safetensors", steps="12000",
              licences='{"CC0-1.0": 300}')
NODE_TEXT = "() => JSON.stringify(app.graph.getNodeById(1).widgets.map((widget) => widget.value)) + document.body.innerText"


@pytest.mark.parametrize("vue", [False, True], ids=["classic", "vue"])
def test_the_loader_shows_what_a_file_was_trained_with(open_page, server_folder, vue):
    path = server_folder / "models" / "capface" / "mine.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(path, {key: torch.zeros(shape) for key, shape in parameter_shapes(replace(SPEC, width=32)).items()},
                      ABOUT.metadata())
    page = open_page(vue)
    page.load_api({"1": {"class_type": "CapHumanLoadCapFace", "inputs": {"capface_name": path.name}},
                           "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}})
    page.look_at(1)
    page.queue_and_wait()
    page.wait(lambda: "head model: built-in" in page.page.evaluate(NODE_TEXT), lambda: page.page.evaluate(NODE_TEXT))
    assert "12,000 steps for photo.safetensors" in page.page.evaluate(NODE_TEXT)
    page.screenshot(f"trained_file_{'vue' if vue else 'classic'}")
