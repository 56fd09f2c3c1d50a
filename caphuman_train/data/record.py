"""What is kept of one portrait, and its form in a shard: four members of a tar with one base name, as webdataset has it.

    000000042.json         key, person, text, licence, source, sizes, measures
    000000042.safetensors  latents (mean, deviation; mirrored ones with prepare --flips), face target, head codes, embedding, tokens
    000000042.face.webp    what CLIP sees of the face, 224 x 224, lossless
    000000042.photo.webp   the target picture, to look at

The same record gives the same bytes, so that shards do not depend on who made them.
"""
from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from caphuman_core.flow import LATER, Head

if TYPE_CHECKING:
    from torch import Tensor

HALF = ("latent_mean", "latent_std", "flipped_mean", "flipped_std", "local_tokens")     # as these are computed on graphics cards
OPTIONAL = ("flipped_mean", "flipped_std", "local_tokens")
HEAD = tuple(f.name for f in fields(Head) if f.name not in ("model_fingerprint", "width", "height", *LATER))
TEXTS = ("key", "person", "text", "licence", "source", "picture_hash")
ZIP_DIGITS = 9                           # of a member's base name


@dataclass(frozen=True)
class Record:
    """One portrait, ready to be a target or a reference. Sizes: h, w = an eighth of the picture's."""

    number: int                          # its place in the source, counted from 0
    key: str                             # its name in the source, unique
    person: str                          # whose photo it is; the key itself where nobody said
    text: str
    licence: str
    source: str
    picture_hash: str                    # 16 hex digits: alike for pictures that look alike
    head: Head                           # a batch of one, in the frame of the picture
    latent_mean: Tensor                  # [4, h, w] scaled as the UNet sees latents
    latent_std: Tensor                   # [4, h, w]
    face_target: Tensor                  # [1, h, w] 0 or 1
    global_embedding: Tensor             # [512]
    local_tokens: Tensor | None          # [257, 1024]; None: to be made of `face` by whoever has the tower
    flipped_mean: Tensor | None          # [4, h, w] of the mirrored picture, whose latents are not the mirrored latents
    flipped_std: Tensor | None
    face: bytes                          # webp, 224 x 224
    photo: bytes                         # webp, width x height
    measures: Mapping[str, float]        # face_pixels, sharpness, ... for `check`


def to_members(record: Record) -> list[tuple[str, bytes]]:
    """(name, content) of the record's members."""
    from safetensors.torch import save
    base = f"{record.number:0{ZIP_DIGITS}}"
    told = {name: getattr(record, name) for name in TEXTS}
    told |= {"width": record.head.width, "height": record.head.height, "head_model": record.head.model_fingerprint,
             "measures": dict(sorted(record.measures.items()))}
    return [(f"{base}.json", json.dumps(told, sort_keys=True, ensure_ascii=False).encode()),
            (f"{base}.safetensors", save(_tensors(record))),
            (f"{base}.face.webp", record.face), (f"{base}.photo.webp", record.photo)]


def _tensors(record: Record) -> dict[str, Tensor]:
    import torch
    tensors = {name: value.half() for name in HALF if (value := getattr(record, name)) is not None}
    tensors["face_target"] = record.face_target.to(torch.uint8)
    tensors["global_embedding"] = record.global_embedding.float()
    tensors |= {f"head.{name}": value for name, value in record.head.stored().items()}
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def from_members(members: Mapping[str, bytes]) -> Record:
    """The record of its members, by name. KeyError or ValueError for what is no record."""
    from safetensors.torch import load
    (base,) = {name.partition(".")[0] for name in members}
    told: dict[str, Any] = json.loads(members[f"{base}.json"])
    tensors = load(members[f"{base}.safetensors"])
    codes = {name: tensors[f"head.{name}"] for name in (*HEAD, *LATER) if name in HEAD or f"head.{name}" in tensors}
    head = Head(told["head_model"], width=told["width"], height=told["height"], **codes)
    parts: dict[str, Any] = {name: tensors[name].float() if name in tensors or name not in OPTIONAL else None for name in
                             (*HALF, "face_target", "global_embedding")}
    return Record(number=int(base), head=head, face=members[f"{base}.face.webp"], photo=members[f"{base}.photo.webp"],
                  measures=told["measures"], **{name: told[name] for name in TEXTS}, **parts)


def add_to_tar(tar: tarfile.TarFile, record: Record) -> None:
    """Append the record's members, nothing in them from this machine or this hour."""
    for name, content in to_members(record):
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))


def from_tar(content: bytes) -> Record:
    """The record of the bytes between two offsets of a shard. tarfile.TarError, KeyError or ValueError for anything else."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        members = {}
        for info in tar:
            file = tar.extractfile(info)
            if file is not None:
                members[info.name] = file.read()
    return from_members(members)
