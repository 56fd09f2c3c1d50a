"""From the packed miniature to model files that the host and the pack load as any others.

    python -m caphuman_train.miniature.files miniature/miniature.safetensors MODELS [ROLE ...]
"""
from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from torch import Tensor

from caphuman_core.check import InputError, require
from caphuman_core.files.weights import read_metadata, write_safetensors

from .eyes import clip_weights, facenet_weights
from .pack import Packed, load_packed
from .text import text_weights
from .widen import capface_shapes, points_shapes, wide_checkpoint, widened

MARK = "miniature"                               # metadata: of which packed file a model file was made
SAID = "miniature: trained on drawn heads only; real files draw real people"
PREFIX = "miniature-drawn-heads"                 # of every file's name
# How it is sampled. LCM draws its noise anew in each step; samplers that keep theirs also keep what so small networks err at the
# noisiest timesteps: mottled, pale faces.
SAMPLING = {"steps": 10, "cfg": 1.0, "sampler_name": "lcm", "scheduler": "normal"}
CONTROL = "control_model."                       # how names of a ControlNet's weights begin


def file_names(style: str) -> dict[str, str]:
    """Role -> where its file goes below a models folder."""
    return {"checkpoint": f"checkpoints/{PREFIX}-sd15.safetensors", "styled": f"checkpoints/{PREFIX}-{style}-sd15.safetensors",
            "capface": f"capface/{PREFIX}-capface.safetensors", "clip_vision": f"clip_vision/{PREFIX}-clip-vision.safetensors",
            "facenet": f"facenet/{PREFIX}-facenet.safetensors", "points": f"controlnet/{PREFIX}-landmarks.safetensors"}


def write_files(packed_file: Path, models: Path, say: Callable[[str], object] = lambda line: None,
                roles: Sequence[str] = ()) -> dict[str, Path]:
    """Widen a packed miniature into a models folder, as far as that is not done; role -> file. InputError when the disk refuses.

    Each file appears whole or not at all, so a killed call goes on. say takes a line for each file that is made. roles: which;
    none: all.
    """
    packed = load_packed(packed_file)
    mark = sha256(packed_file.read_bytes()).hexdigest()[:16]
    for role in roles:
        require(role in MAKERS, "role", f"must be one of {', '.join(MAKERS)}", repr(role), "choose one of them")
    made = {role: models / name for role, name in file_names(packed.told["style"]).items() if role in (roles or MAKERS)}
    for role, path in made.items():
        if not _is_made(path, mark):
            start = time.monotonic()
            write_safetensors(path, MAKERS[role](packed), {MARK: mark, "said": SAID, **_told(packed, role)})
            say(f"  widened {path.name}: {path.stat().st_size / 1e9:.2f} GB in {time.monotonic() - start:.0f} s")
    return made


def _is_made(path: Path, mark: str) -> bool:
    """Whether a file is there, whole, and of this packed one."""
    from safetensors import SafetensorError, safe_open
    try:
        with safe_open(str(path), framework="pt"):           # it compares the file's length with its header
            return read_metadata(path, "miniature").get(MARK) == mark
    except (OSError, SafetensorError, InputError):
        return False


def _told(packed: Packed, role: str) -> dict[str, str]:
    """What CapFace's file tells of its training."""
    return json.loads(packed.told["capface"]) if role == "capface" else {}


def _checkpoint(packed: Packed) -> dict[str, Tensor]:
    return wide_checkpoint(packed.base, packed.autoencoder, text_weights(packed.seed))


def _styled(packed: Packed) -> dict[str, Tensor]:
    return wide_checkpoint(packed.styled, packed.autoencoder, text_weights(packed.seed))


def _capface(packed: Packed) -> dict[str, Tensor]:
    return {name: value.half() for name, value in widened(packed.capface, capface_shapes()).items()}


def _points(packed: Packed) -> dict[str, Tensor]:
    return {CONTROL + name: value.half() for name, value in widened(packed.points, points_shapes()).items()}


def _clip(packed: Packed) -> dict[str, Tensor]:
    return clip_weights(packed.seed)


def _facenet(packed: Packed) -> dict[str, Tensor]:
    return {name: value.half() if value.is_floating_point() else value
            for name, value in facenet_weights(packed.seed, packed.facenet).items()}


MAKERS: Mapping[str, Callable[[Packed], dict[str, Tensor]]] = {
    "checkpoint": _checkpoint, "styled": _styled, "capface": _capface, "clip_vision": _clip, "facenet": _facenet,
    "points": _points}


def main(arguments: Sequence[str]) -> int:
    """Status 0: all files are there; 1: something is wrong, in one sentence."""
    from ..cli import carried_out
    parser = argparse.ArgumentParser(prog="python -m caphuman_train.miniature.files",
                                     description="Model files from the packed miniature.")
    parser.add_argument("packed", type=Path, help="miniature.safetensors")
    parser.add_argument("models", type=Path, help="a models folder of ComfyUI")
    parser.add_argument("roles", nargs="*", metavar="role", help=f"which files: {', '.join(MAKERS)} (all)")
    given = parser.parse_args(arguments)

    def made() -> int:
        write_files(given.packed, given.models, lambda line: sys.stdout.write(f"{line}\n"), given.roles)
        return 0
    return carried_out("miniature", made)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
