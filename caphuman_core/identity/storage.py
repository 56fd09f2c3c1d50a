"""Identities as .safetensors files: the numbers CapFace needs, no photo."""
from __future__ import annotations

from pathlib import Path

from ..check import fail
from ..files.shared_file import read_shared
from ..files.weights import write_safetensors
from ..flow import CLIP_TOKENS, CLIP_WIDTH, IDENTITY_WIDTH, Identity

FORMAT = "caphuman-identity-1"
MAX_BYTES = 256 << 20                    # about 240 faces
NEEDED = frozenset({"global_embedding", "local_tokens", "present"})


def save_identity(identity: Identity, path: Path) -> None:
    """Write an identity; the file names the encoders by their fingerprints."""
    tensors = {"global_embedding": identity.global_embedding.float(), "local_tokens": identity.local_tokens.float(),
               "present": identity.present}
    if identity.arcface is not None:
        tensors["arcface"] = identity.arcface.float()
    write_safetensors(path, tensors, {"format": FORMAT, "encoder": identity.encoder_fingerprint, "clip": identity.clip_fingerprint})


def load_identity(path: Path) -> Identity:
    """Read what `save_identity` wrote. Raises InputError for any other file."""
    name = f"identity file '{path.name}'"
    tensors, info = read_shared(path, name, (FORMAT,), "CapHuman Save Identity", MAX_BYTES, NEEDED, frozenset({"arcface"}))
    count = tensors["present"].numel()
    shapes = {"global_embedding": (count, IDENTITY_WIDTH), "local_tokens": (count, CLIP_TOKENS, CLIP_WIDTH), "present": (count,),
              "arcface": (count, IDENTITY_WIDTH)}
    for key, tensor in tensors.items():
        if tuple(tensor.shape) != shapes[key] or not count:
            fail(name, f"must hold {key} of shape {list(shapes[key])}", list(tensor.shape), "save the identity again")
    return Identity(tensors["global_embedding"], tensors["local_tokens"], tensors["present"],
                    info.get("encoder", "")[:64], info.get("clip", "")[:64], tensors.get("arcface"))
