"""From the packed miniature to model files that the host and the pack load as any others."""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from torch import Tensor

from caphuman_core.files.weights import read_metadata, write_safetensors

from .eyes import clip_weights, facenet_weights
from .pack import Packed, load_packed
from .text import text_weights
from .widen import capface_shapes, wide_checkpoint, widened

MARK = "miniature"                               # metadata: of which packed file a model file was made
SAID = "miniature: trained on drawn heads only; real files draw real people"


def file_names(style: str) -> dict[str, str]:
    """Role -> where its file goes below a models folder."""
    return {"checkpoint": "checkpoints/miniature-drawn-heads-sd15.safetensors",
            "styled": f"checkpoints/miniature-drawn-heads-{style}-sd15.safetensors",
            "capface": "capface/miniature-drawn-heads-capface.safetensors",
            "clip_vision": "clip_vision/miniature-drawn-heads-clip-vision.safetensors",
            "facenet": "facenet/miniature-drawn-heads-facenet.safetensors"}


def write_files(packed_file: Path, models: Path) -> dict[str, Path]:
    """Widen a packed miniature into a models folder, as far as that is not done; role -> file. InputError when the disk refuses."""
    packed = load_packed(packed_file)
    mark = sha256(packed_file.read_bytes()).hexdigest()[:16]
    made = {role: models / name for role, name in file_names(packed.told["style"]).items()}
    for role, path in made.items():
        if not path.is_file() or read_metadata(path, role).get(MARK) != mark:
            write_safetensors(path, MAKERS[role](packed), {MARK: mark, "said": SAID, **_told(packed, role)})
    return made


def _told(packed: Packed, role: str) -> dict[str, str]:
    """What CapFace's file tells of its training."""
    return json.loads(packed.told["capface"]) if role == "capface" else {}


def _checkpoint(packed: Packed) -> dict[str, Tensor]:
    return wide_checkpoint(packed.base, packed.autoencoder, text_weights(packed.seed))


def _styled(packed: Packed) -> dict[str, Tensor]:
    return wide_checkpoint(packed.styled, packed.autoencoder, text_weights(packed.seed))


def _capface(packed: Packed) -> dict[str, Tensor]:
    return {name: value.half() for name, value in widened(packed.capface, capface_shapes()).items()}


def _clip(packed: Packed) -> dict[str, Tensor]:
    return clip_weights(packed.seed)


def _facenet(packed: Packed) -> dict[str, Tensor]:
    return {name: value.half() if value.is_floating_point() else value
            for name, value in facenet_weights(packed.seed, packed.facenet).items()}


MAKERS: Mapping[str, Callable[[Packed], dict[str, Tensor]]] = {
    "checkpoint": _checkpoint, "styled": _styled, "capface": _capface, "clip_vision": _clip, "facenet": _facenet}
