"""Loader nodes: one per model file kind."""
from __future__ import annotations

from comfy_api.v0_0_2 import io

from ..caphuman_core.head.files import find_flame_files, load_flame
from ..caphuman_core.head.model import BUILT_IN, load_builtin, load_file
from . import host, wires

CATEGORY = "CapHuman/loaders"
HEAD_MODEL_SUFFIXES = (".pkl", ".safetensors")


class LoadHeadModel(io.ComfyNode):
    """The head model: the built-in one, or FLAME."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanLoadHeadModel", display_name="CapHuman Load Head Model", category=CATEGORY,
            description="Loads the 3D head that is fitted, edited and drawn. CapFace was trained on FLAME and works best "
                        "with FLAME files; the built-in head needs no download.",
            search_aliases=["flame", "head model", "3dmm", "face model"],
            inputs=[io.Combo.Input("head_model_name", options=host.model_choice("flame", HEAD_MODEL_SUFFIXES, [BUILT_IN]),
                                   default=BUILT_IN,
                                   tooltip="built-in, or a file in the models folder 'flame': FLAME's generic_model.pkl with its "
                                           "companions beside it, or a converted .safetensors.")],
            outputs=[wires.HeadModel.Output("head_model", display_name="head_model",
                                            tooltip="For the nodes that fit, edit and draw heads.")])

    @classmethod
    def validate_inputs(cls, head_model_name) -> bool | str:
        return True                      # a missing file is explained in one sentence when the node runs

    @classmethod
    def fingerprint_inputs(cls, head_model_name) -> str:
        return head_model_name if head_model_name == BUILT_IN else host.file_stamp("flame", head_model_name)

    @classmethod
    def execute(cls, head_model_name) -> io.NodeOutput:
        if head_model_name == BUILT_IN:
            return io.NodeOutput(load_builtin())
        path = host.model_path("flame", head_model_name, "head model", "get generic_model.pkl from flame.is.tue.mpg.de")
        if path.suffix.lower() == ".pkl":
            return io.NodeOutput(load_flame(find_flame_files(path, host.model_folders("flame")), path.stem))
        return io.NodeOutput(load_file(path))


NODES: list[type] = [LoadHeadModel]
