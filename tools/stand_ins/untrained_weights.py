"""The model files that the demo's graph needs: real ones found, and *untrained* ones made, for tests that want noise.

A real file in any of the host's folders is recognised by its weights' names and shapes, never by its own name.
An untrained one has the real architecture and is written, once, in half precision: every value
follows from its name, scaled so that activations stay in range. What such networks draw is noise.
"""
from __future__ import annotations

import json
import math
import os
import struct
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..devkit import lock
from ..devkit.host import first_on_path
from ..devkit.places import MODELS, SERVER, say
from . import sd15_shapes

UNTRAINED = "untrained-"
OURS = (UNTRAINED, "miniature-drawn-heads")         # how names of files begin that were made here (caphuman_train.miniature.files)
SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")


@dataclass(frozen=True)
class Role:
    """A model file the graph needs, and how to know one."""

    folder: str                                     # the host's folder key
    what: str
    shapes: Callable[[], sd15_shapes.Shapes]
    signature: dict[str, tuple[int, ...]]           # weights that say it is this network

    @property
    def stand_in(self) -> Path:
        return MODELS / self.folder / f"{UNTRAINED}{self.what.lower().replace(' ', '-')}.safetensors"


ROLES = {
    "checkpoint": Role("checkpoints", "SD15 checkpoint", sd15_shapes.checkpoint, {
        "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)}),
    "capface": Role("capface", "CapFace", sd15_shapes.capface, {
        "control_model.input_hint_block.0.weight": (16, 9, 3, 3), "id_linear.weight": (768, 512),
        "img_linear.weight": (768, 1024)}),
    "clip_vision": Role("clip_vision", "CLIP vision", sd15_shapes.clip_vision, {
        "vision_model.embeddings.position_embedding.weight": (257, 1024),
        "vision_model.encoder.layers.23.layer_norm2.weight": (1024,)}),
    "facenet": Role("facenet", "FaceNet", sd15_shapes.facenet, {
        "conv2d_1a.conv.weight": (32, 3, 3, 3), "last_linear.weight": (512, 1792)}),
}


def shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights in a file, without reading the weights."""
    if path.suffix in (".safetensors", ".sft"):
        with path.open("rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        return {key: tuple(entry["shape"]) for key, entry in header.items() if key != "__metadata__"}
    import torch
    state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    state = state.get("state_dict", state)
    return {key: tuple(value.shape) for key, value in state.items() if hasattr(value, "shape")}


def real_file(role: Role, folders: Any) -> str | None:
    """The first file of the host's folder that is this network, trained by somebody; None if there is none."""
    for name in folders.get_filename_list(role.folder):
        if Path(name).name.startswith(OURS) or not name.lower().endswith(SUFFIXES):
            continue
        try:
            found = shapes_in(Path(folders.get_full_path(role.folder, name)))
        except Exception as error:              # one bad file among somebody's models must not stop the search
            say(f"  passing over {name}, which cannot be read here ({type(error).__name__})")
            continue
        if all(found.get(key) == shape for key, shape in role.signature.items()):
            return name
    return None


def write_stand_in(role: Role) -> str:
    """Write the untrained file unless it is there whole; returns its name."""
    path = role.stand_in
    with lock.held(path.parent.with_suffix(".lock")):           # parts of the test suite run side by side
        return _written(role, path)


def _written(role: Role, path: Path) -> str:
    if not path.is_file():
        from safetensors.torch import save_file
        start = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor() as pool:
            shapes = role.shapes()
            weights = dict(zip(shapes, pool.map(filled, shapes.keys(), shapes.values()), strict=True))
        partial = path.with_suffix(".partial")
        save_file(weights, str(partial), metadata={"format": "pt", "untrained": "true"})
        os.replace(partial, path)
        say(f"  wrote {path.name}: {path.stat().st_size / 1e9:.2f} GB in {time.monotonic() - start:.0f} s")
    return path.name


def filled(name: str, shape: tuple[int, ...]) -> Any:
    """The weight `name` in half precision: zero mean, variance 1 / fan-in; scales of norms near 1; counters 0."""
    import torch
    last = name.rsplit(".", 1)[-1]
    if last == "position_ids":
        return torch.arange(shape[-1]).expand(shape).contiguous()
    if last == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    source = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    draws = torch.empty(shape).uniform_(-math.sqrt(3), math.sqrt(3), generator=source)
    if len(shape) >= 2:
        draws /= math.sqrt(math.prod(shape[1:]))
    elif last in ("weight", "running_var"):
        draws = 1 + 0.1 * draws
    else:
        draws *= 0.1 if last == "running_mean" else 0.05
    return draws.half()


def host_folders(tree: Path) -> Any:
    """The host's folder registry, set up as its server will have it."""
    first_on_path(tree)
    sys.argv = [sys.argv[0], "--base-directory", str(SERVER)]
    import comfy.options
    comfy.options.enable_args_parsing()
    import folder_paths
    from utils.extra_config import load_extra_path_config
    for extra in (tree / "extra_model_paths.yaml", SERVER / "model_folders.yaml"):
        if extra.is_file():
            load_extra_path_config(str(extra))
    for role in ROLES.values():
        folder_paths.add_model_folder_path(role.folder, str(Path(folder_paths.models_dir) / role.folder))
    return folder_paths


def has_graphics_device() -> bool:
    """Whether torch can compute on anything but the processor."""
    import torch
    return torch.cuda.is_available() or torch.backends.mps.is_available() or (hasattr(torch, "xpu") and torch.xpu.is_available())
