"""Loader nodes: one per model file kind."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.clip_vision
import torch
from comfy_api.v0_0_2 import io

from ..caphuman_core.check import fail
from ..caphuman_core.face.detectors.index import BACKENDS, make_detector
from ..caphuman_core.face.detectors.model_files import AUTO, find_bundles, find_packs
from ..caphuman_core.face.options import MTCNN_FILES
from ..caphuman_core.files.telltale import CLIP_IN_CHECKPOINT
from ..caphuman_core.head.options import BUILT_IN
from . import host, wires
from .face_parsing import FaceParser
from .faces import FaceDetector
from .from_file import FromModelFile
from .identity import IdentityEncoder

CATEGORY = "CapHuman/loaders"
HEAD_MODEL_SUFFIXES = (".pkl", ".safetensors")
HEAD_FITTER_SUFFIXES = (".tar", ".safetensors", ".pth", ".pt", ".ckpt")


class LoadHeadModel(FromModelFile):
    """The head model: the built-in one, or FLAME."""

    FOLDER = "flame"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanLoadHeadModel", display_name="CapHuman Load Head Model", category=CATEGORY,
            description="Loads the 3D head that is fitted, edited and drawn. CapFace was trained on FLAME and works best "
                        "with FLAME files; the built-in head needs no download.",
            search_aliases=["flame", "head model", "3dmm", "face model"],
            inputs=[io.Combo.Input("head_model_name", options=head_model_names(), default=BUILT_IN,
                                   tooltip="built-in, or a file in the models folder 'flame': FLAME's generic_model.pkl with its "
                                           "companions beside it, or a converted .safetensors.")],
            outputs=[wires.HeadModel.Output("head_model", display_name="head_model",
                                            tooltip="For the nodes that fit, edit and draw heads.")])

    @classmethod
    def stamp(cls, name: str) -> str:
        """The built-in model never changes."""
        return name if name == BUILT_IN else super().stamp(name)

    @classmethod
    def execute(cls, head_model_name) -> io.NodeOutput:
        return io.NodeOutput(load_head_model(head_model_name))


def head_model_names() -> list[str]:
    """What a head model may be called: built-in, or a file in the models folder."""
    return host.model_choice("flame", HEAD_MODEL_SUFFIXES, [BUILT_IN])


def load_head_model(name: str):
    """The HeadModel of that name, which it carries, so that the editor can ask for it again."""
    from ..caphuman_core.head.model.flame_files import find_flame_files, load_flame
    from ..caphuman_core.head.model.head_model import load_builtin, load_file
    if name == BUILT_IN:
        return load_builtin()
    path = host.model_path("flame", name, "head model", "get generic_model.pkl from flame.is.tue.mpg.de")
    if path.suffix.lower() == ".pkl":
        return load_flame(find_flame_files(path, host.model_folders("flame")), name)
    return load_file(path, name)


@dataclass(frozen=True)
class HeadFitter:
    """DECA's encoder under the host's model management; travels on the HEAD_FITTER wire."""

    patcher: Any             # comfy.model_patcher.ModelPatcher of a DecaEncoder
    name: str

    def encode(self, crops: torch.Tensor) -> torch.Tensor:
        """[B, 3, 224, 224], 0..1 -> codes [B, 236] on the CPU."""
        device = host.load(self.patcher)
        return self.patcher.model(crops.to(device)).cpu()


class LoadHeadFitter(FromModelFile):
    """DECA's encoder."""

    FOLDER = "flame"

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
    def execute(cls, model_name) -> io.NodeOutput:
        from ..caphuman_core.files.weights import read_state_dict
        from ..caphuman_core.head.fit.deca import build_encoder, is_encoder_key
        path = host.model_path("flame", model_name, "head fitter", "get deca_model.tar from the DECA project (registration needed)")
        state = read_state_dict(path, "head fitter", keep=is_encoder_key)
        return io.NodeOutput(HeadFitter(host.patcher(build_encoder(state, f"head fitter file '{path.name}'")), path.name))


class LoadCapFace(FromModelFile):
    """CapFace weights, from the full CapHuman checkpoint or alone."""

    FOLDER = "capface"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanLoadCapFace", display_name="CapHuman Load CapFace", category=CATEGORY,
            description="Loads CapFace, the network that puts a person into pictures of Stable Diffusion 1.5. From a full "
                        "CapHuman checkpoint only CapFace is read. A file that the pack's trainer made shows which head model "
                        "it was trained with.",
            search_aliases=["capface", "caphuman", "controlnet loader", "identity", "load controlnet", "ip-adapter model"],
            inputs=[io.Combo.Input("capface_name", options=host.model_choice("capface"),
                                   tooltip="caphuman.ckpt, or CapFace alone as .ckpt or .safetensors, in the models folder "
                                           "'capface'; float32, float16 or bfloat16.")],
            outputs=[wires.CapFace.Output("capface", display_name="capface",
                                          tooltip="For CapHuman Apply CapFace; all of them share it.")])

    @classmethod
    def execute(cls, capface_name) -> io.NodeOutput:
        from ..caphuman_core.capface.about import read_about
        from ..caphuman_core.capface.keys import read_capface
        from .capface.control import CapFace
        from .capface.network import build
        path = host.model_path("capface", capface_name, "CapFace", "get caphuman.ckpt from the CapHuman project page")
        network, dtype = build(read_capface(path), f"CapFace file '{path.name}'")
        about = read_about(path)
        if about.known:
            host.show_text(about.shown())
        return io.NodeOutput(CapFace(network, host.patcher(network), dtype, path.name, about))


class LoadFaceDetector(FromModelFile):
    """One of the face detector back ends."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = [AUTO, *find_bundles(host.model_folders("detection")), *sorted(find_packs(host.model_folders("insightface")))]
        return io.Schema(
            node_id="CapHumanLoadFaceDetector", display_name="CapHuman Load Face Detector", category=CATEGORY,
            description="Loads what finds faces. mtcnn gives 5 points and is what CapFace was trained with; mediapipe gives 478 "
                        "points, expression scores and head pose; insightface 68 or 106 points and ArcFace.",
            search_aliases=["mtcnn", "mediapipe", "insightface", "face detector", "buffalo_l", "antelopev2"],
            inputs=[
                io.Combo.Input("backend", options=list(BACKENDS), default=BACKENDS[0],
                               tooltip="mtcnn needs facenet-pytorch's three weight files; mediapipe and insightface need their "
                                       "Python packages. What is missing is named, with its install line."),
                io.Combo.Input("model_name", options=names, default=AUTO,
                               tooltip="auto takes the first model there is. Else a .task bundle of the models folder 'detection' "
                                       "for mediapipe, or a pack of the models folder 'insightface' for insightface."),
            ],
            outputs=[wires.FaceDetector.Output("detector", display_name="detector", tooltip="For CapHuman Detect Faces.")])

    @classmethod
    def fingerprint_inputs(cls, backend, model_name) -> str:
        folders = [folder for key in ("facenet", "detection", "insightface") for folder in host.model_folders(key)]
        files = sorted(str(path) for folder in folders if folder.is_dir()
                       for path in folder.rglob("*") if path.suffix in (".pt", ".task", ".onnx"))
        return "|".join((backend, str(model_name), *files))

    @classmethod
    def execute(cls, backend, model_name) -> io.NodeOutput:
        folders = {key: host.model_folders(key) for key in ("facenet", "detection", "insightface")}
        detector = make_detector(backend, str(model_name), folders, host.onnx_providers())    # any JSON may come
        return io.NodeOutput(FaceDetector(detector, host.patcher(detector) if isinstance(detector, torch.nn.Module) else None))


class LoadIdentityEncoder(FromModelFile):
    """FaceNet."""

    FOLDER = "facenet"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanLoadIdentityEncoder", display_name="CapHuman Load Identity Encoder", category=CATEGORY,
            description="Loads FaceNet, which reads who a face belongs to.",
            search_aliases=["facenet", "vggface2", "identity encoder", "face recognition"],
            inputs=[io.Combo.Input("model_name", options=_not_mtcnn(host.model_choice("facenet")),
                                   tooltip="20180402-114759-vggface2.pt, or a conversion of it, in the models folder 'facenet'.")],
            outputs=[wires.IdentityEncoder.Output("identity_encoder", display_name="identity_encoder",
                                                  tooltip="For CapHuman Encode Identity.")])

    @classmethod
    def execute(cls, model_name) -> io.NodeOutput:
        from ..caphuman_core.files.weights import fingerprint, read_state_dict
        from ..caphuman_core.identity.facenet import build_facenet
        path = host.model_path("facenet", model_name, "FaceNet", "get 20180402-114759-vggface2.pt from facenet-pytorch's releases")
        net = build_facenet(read_state_dict(path, "FaceNet"), f"FaceNet file '{path.name}'")
        known = fingerprint({name: value for name, value in net.state_dict().items() if name.startswith("last_")})
        return io.NodeOutput(IdentityEncoder(host.patcher(net), known))


def _not_mtcnn(names: list[str]) -> list[str]:
    """Names without MTCNN's three nets, which share FaceNet's folder."""
    return [name for name in names if Path(name).name not in MTCNN_FILES] or [host.NO_FILE]


class LoadFaceParser(FromModelFile):
    """BiSeNet."""

    FOLDER = "face_parsing"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanLoadFaceParser", display_name="CapHuman Load Face Parser", category=CATEGORY,
            description="Loads BiSeNet, which knows which part of a face each pixel shows.",
            search_aliases=["bisenet", "face parsing", "face segmentation"],
            inputs=[io.Combo.Input("model_name", options=host.model_choice("face_parsing"),
                                   tooltip="79999_iter.pth, or a conversion of it, in the models folder 'face_parsing'.")],
            outputs=[wires.FaceParser.Output("face_parser", display_name="face_parser",
                                             tooltip="For CapHuman Encode Identity and CapHuman Parse Face.")])

    @classmethod
    def execute(cls, model_name) -> io.NodeOutput:
        from ..caphuman_core.face.bisenet import build_bisenet
        from ..caphuman_core.files.weights import read_state_dict
        path = host.model_path("face_parsing", model_name, "face parsing", "get 79999_iter.pth from face-parsing.PyTorch")
        net = build_bisenet(read_state_dict(path, "face parsing"), f"face parsing file '{path.name}'")
        return io.NodeOutput(FaceParser(host.patcher(net)))


class LoadCLIPVision(FromModelFile):
    """The CLIP tower inside a full CapHuman checkpoint."""

    FOLDER = "capface"

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CapHumanLoadCLIPVision", display_name="CapHuman Load CLIP Vision (from caphuman.ckpt)", category=CATEGORY,
            description="Takes the CLIP ViT-L/14 tower out of a full CapHuman checkpoint, for those who have no CLIP vision file.",
            search_aliases=["clip vision", "clip tower", "caphuman checkpoint"],
            inputs=[io.Combo.Input("capface_name", options=host.model_choice("capface"),
                                   tooltip="A full caphuman.ckpt in the models folder 'capface'.")],
            outputs=[io.ClipVision.Output("clip_vision", display_name="clip_vision",
                                          tooltip="For CapHuman Encode Identity; it has no projection for other nodes.")])

    @classmethod
    def execute(cls, capface_name) -> io.NodeOutput:
        from ..caphuman_core.files.weights import read_state_dict, strip_prefix
        path = host.model_path("capface", capface_name, "CapHuman checkpoint", "get caphuman.ckpt from the CapHuman project page")
        tower = read_state_dict(path, "CapHuman checkpoint", keep=lambda key: key.startswith(CLIP_IN_CHECKPOINT))
        state = strip_prefix(tower, CLIP_IN_CHECKPOINT)
        state.pop("vision_model.embeddings.position_ids", None)
        state["visual_projection.weight"] = torch.zeros(768, 1024)      # not in the checkpoint; identity does not use it
        clip_vision = comfy.clip_vision.load_clipvision_from_sd(state) if len(state) > 1 else None
        if clip_vision is None:
            fail(f"CapHuman checkpoint '{path.name}'", "must carry the CLIP ViT-L/14 vision tower", "none",
                 "use Load CLIP Vision with a CLIP ViT-L/14 file instead")
        return io.NodeOutput(clip_vision)


NODES: list[type] = [LoadCapFace, LoadHeadModel, LoadHeadFitter, LoadFaceDetector, LoadFaceParser, LoadIdentityEncoder,
                     LoadCLIPVision]
