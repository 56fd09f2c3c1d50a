"""Loader nodes: one per model file kind."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comfy_api.v0_0_2 import io

from ..caphuman_core.capface.keys import read_capface
from ..caphuman_core.head.deca import build_encoder, is_encoder_key
from ..caphuman_core.head.files import find_flame_files, load_flame
from ..caphuman_core.head.model import BUILT_IN, load_builtin, load_file
from ..caphuman_core.weights import read_state_dict
from . import host, wires
from .capface_control import CapFace
from .capface_network import build

CATEGORY = "CapHuman/loaders"
HEAD_MODEL_SUFFIXES = (".pkl", ".safetensors")
HEAD_FITTER_SUFFIXES = (".tar", ".safetensors", ".pth", ".pt", ".ckpt")


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


@dataclass(frozen=True)
class HeadFitter:
    """DECA's encoder under the host's model management; travels on the HEAD_FITTER wire."""

    patcher: Any             # comfy.model_patcher.ModelPatcher of a DecaEncoder
    name: str


class LoadHeadFitter(io.ComfyNode):
    """DECA's encoder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanLoadHeadFitter", display_name="CapHuman Load Head Fitter", category=CATEGORY,
            description="Loads DECA's encoder, which fits FLAME's codes to a photo as CapFace was trained with.",
            search_aliases=["deca", "flame encoder", "head fitter"],
            inputs=[io.Combo.Input("model_name", options=host.model_choice("flame", HEAD_FITTER_SUFFIXES),
                                   tooltip="deca_model.tar in the models folder 'flame', or its converted .safetensors.")],
            outputs=[wires.HeadFitter.Output("head_fitter", display_name="head_fitter", tooltip="For CapHuman Fit Head.")])

    @classmethod
    def validate_inputs(cls, model_name) -> bool | str:
        return True                      # a missing file is explained in one sentence when the node runs

    @classmethod
    def fingerprint_inputs(cls, model_name) -> str:
        return host.file_stamp("flame", model_name)

    @classmethod
    def execute(cls, model_name) -> io.NodeOutput:
        path = host.model_path("flame", model_name, "head fitter", "get deca_model.tar from the DECA project (registration needed)")
        state = read_state_dict(path, "head fitter", keep=is_encoder_key)
        return io.NodeOutput(HeadFitter(host.patcher(build_encoder(state, f"head fitter file '{path.name}'")), path.name))


class LoadCapFace(io.ComfyNode):
    """CapFace weights, from the full CapHuman checkpoint or alone."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanLoadCapFace", display_name="CapHuman Load CapFace", category=CATEGORY,
            description="Loads CapFace, the network that puts a person into pictures of Stable Diffusion 1.5. From a full "
                        "CapHuman checkpoint only CapFace is read.",
            search_aliases=["capface", "caphuman", "controlnet loader", "identity"],
            inputs=[io.Combo.Input("capface_name", options=host.model_choice("capface"),
                                   tooltip="caphuman.ckpt, or CapFace alone as .ckpt or .safetensors, in the models folder "
                                           "'capface'; float32, float16 or bfloat16.")],
            outputs=[wires.CapFace.Output("capface", display_name="capface",
                                          tooltip="For CapHuman Apply CapFace; all of them share it.")])

    @classmethod
    def validate_inputs(cls, capface_name) -> bool | str:
        return True                      # a missing file is explained in one sentence when the node runs

    @classmethod
    def fingerprint_inputs(cls, capface_name) -> str:
        return host.file_stamp("capface", capface_name)

    @classmethod
    def execute(cls, capface_name) -> io.NodeOutput:
        path = host.model_path("capface", capface_name, "CapFace", "get caphuman.ckpt from the CapHuman project page")
        network, dtype = build(read_capface(path), f"CapFace file '{path.name}'")
        return io.NodeOutput(CapFace(network, host.patcher(network), dtype, path.name))


NODES: list[type] = [LoadCapFace, LoadHeadModel, LoadHeadFitter]
