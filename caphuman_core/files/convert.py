"""Original model files as single .safetensors files: what each becomes, and writing it."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from ..capface.keys import is_capface_key, plain_key
from ..capface.layout import parameter_shapes
from ..check import InputError, fail
from . import telltale
from .catalogue import known_checksum
from .weights import SAFETENSORS_SUFFIXES, TORCH_SUFFIXES, read_state_dict, strip_prefix, write_safetensors

if TYPE_CHECKING:
    from torch import Tensor

COMPANIONS = (".npy", ".obj", ".npz")


Content = tuple["Mapping[str, Tensor]", "Mapping[str, str]"]      # tensors and metadata


@dataclass(frozen=True)
class Job:
    """One file to write."""

    source: Path
    kind: str                                            # what it was recognised as
    target: str                                          # file name
    content: Callable[[], Content]


def _head_model(path: Path) -> Content:
    from ..head.model.flame_files import find_flame_files, load_flame
    from ..head.model.head_model import NAMES, HeadModel
    model = load_flame(find_flame_files(path, []))
    named = ("name", "fingerprint", *NAMES)
    return ({f.name: getattr(model, f.name) for f in fields(HeadModel) if f.name not in named},
            {"format": telltale.HEAD_MODEL_WHOLE, "name": path.stem, "fingerprint": model.fingerprint,
             **dict.fromkeys(NAMES, json.dumps([]))})


def _weights_job(path: Path) -> Job:
    """Recognise a network by its keys."""
    state = read_state_dict(path, "model")
    for kind, target, pick in _NETWORKS:
        picked = pick(state)
        if picked:
            if kind == "CapFace":
                _check_capface(f"CapFace file '{path.name}'", picked)
            return Job(path, kind, target, lambda picked=picked, kind=kind: (picked, {"format": "pt", "caphuman_kind": kind}))
    fail(f"file '{path.name}'", "must be one of CapHuman's model files", f"keys like {', '.join(sorted(state)[:3]) or 'none'}",
         "give the original caphuman.ckpt, deca_model.tar, 79999_iter.pth or 20180402-114759-vggface2.pt")


def _deca(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{telltale.DECA_PREFIX}{key}": value for key, value in strip_prefix(state, telltale.DECA_PREFIX).items()}


def _capface(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {key: value for key, value in state.items() if is_capface_key(key)}
    return found if any(plain_key(key) == telltale.MASK_KEY for key in found) else {}


def _check_capface(name: str, state: Mapping[str, Tensor]) -> None:
    """Refuse a CapFace that lacks a parameter or has one of another shape: the converted file would be refused later."""
    have = {plain_key(key): tuple(value.shape) for key, value in state.items()}
    wanted = parameter_shapes()
    wrong = sorted(key for key, shape in wanted.items() if have.get(key) != shape)
    unknown = sorted(set(have) - set(wanted))
    for label, keys in (("missing or of another shape", wrong), ("unknown", unknown)):
        if keys:
            fail(name, "must hold exactly the weights of CapFace", f"{len(keys)} {label} ({', '.join(keys[:3])})",
                 "download caphuman.ckpt again")


def _facenet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if telltale.FACENET_KEY not in state:
        return {}
    return {key: value for key, value in state.items() if not key.startswith("logits.")}


def _parser(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return dict(state) if telltale.FACE_PARSER_KEY in state else {}


_NETWORKS = (
    ("CapFace", "capface.safetensors", _capface),
    ("DECA encoder", "deca_encoder.safetensors", _deca),
    ("FaceNet", "facenet.safetensors", _facenet),
    ("face parser", "face_parser.safetensors", _parser),
)


def find_jobs(paths: list[Path]) -> Iterator[Job | str]:
    """A Job for each convertible file, a sentence for each file that is none."""
    for path in [inner for given in paths for inner in (sorted(given.iterdir()) if given.is_dir() else [given])]:
        if path.is_dir() or path.suffix.lower() in COMPANIONS:
            continue
        try:
            if not path.is_file():
                fail(f"file '{path}'", "must exist", "no such file", "check the path")
            if path.suffix.lower() == ".pkl":
                yield Job(path, "FLAME head model", f"{path.stem}.safetensors", lambda path=path: _head_model(path))
            elif path.suffix.lower() in TORCH_SUFFIXES + SAFETENSORS_SUFFIXES:
                yield _weights_job(path)
        except InputError as error:
            yield str(error)


def md5_note(path: Path) -> str:
    """What the file's checksum says."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            digest.update(block)
    known = known_checksum(f"md5:{digest.hexdigest()}")
    return known.names[0] if known else f"checksum {digest.hexdigest()} not among the known originals"


def convert(job: Job, folder: Path) -> Path:
    """Write one job's file into `folder`; an existing file is replaced only by a complete one."""
    target = folder / job.target
    write_safetensors(target, *job.content())
    return target
