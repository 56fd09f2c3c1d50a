"""Identities as .safetensors files: the numbers CapFace needs, no photo."""
from __future__ import annotations

from pathlib import Path

from ..check import fail, require
from ..flow import Identity
from ..weights import read_metadata, read_state_dict, write_safetensors

FORMAT = "caphuman-identity-1"
MAX_BYTES = 256 << 20                    # about 240 faces


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
    size = path.stat().st_size if path.is_file() else 0
    require(0 < size <= MAX_BYTES, name, "must be a file of at most 256 MB", f"{size} bytes" if size else "no such file",
            "choose a file made by CapHuman Save Identity")
    metadata = read_metadata(path, "identity")
    if metadata.get("format") != FORMAT:
        fail(name, "must be written by CapHuman Save Identity", f"format {metadata.get('format')!r}", "choose such a file")
    tensors = read_state_dict(path, "identity")
    count = len(tensors.get("present", ()))
    shapes = {"global_embedding": (count, 512), "local_tokens": (count, 257, 1024), "present": (count,)}
    for key, shape in shapes.items():
        got = tuple(tensors[key].shape) if key in tensors else "nothing"
        if got != shape or not count:
            fail(name, f"must hold {key} of shape {list(shape)}", got, "save the identity again")
    return Identity(tensors["global_embedding"], tensors["local_tokens"], tensors["present"].bool(),
                    metadata.get("encoder", ""), metadata.get("clip", ""), tensors.get("arcface"))
