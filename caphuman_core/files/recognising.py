"""What a model file is, told from its table of contents alone: nothing is loaded and nothing in it runs.

A .safetensors header, the directory and the pickle of a torch zip, the head of an older torch file or of a FLAME pickle,
the names in an .npz. Sizes are bounded before anything is read, so that a hostile file costs one line of the report.
"""
from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..face.options import MTCNN_FILES
from . import telltale
from .pickle_opcodes import opcodes

MAX_HEADER = 64 << 20                    # bytes of a .safetensors header or of a torch zip's pickle; real ones have a few MB
MAX_PICKLE = 1 << 30                     # bytes of a head model
MAX_TEXT = 300                           # bytes of a name
MAX_OPCODES = 400_000                    # of one pickle; a whole checkpoint with its training state has about half of them
MAX_FIELDS = 10_000                      # outermost fields of an .onnx file; real ones have about ten
TORCH = (".ckpt", ".pt", ".pth", ".bin", ".tar")
SAFETENSORS = (".safetensors", ".sft")
_TEXT = ("SHORT_BINUNICODE", "BINUNICODE", "UNICODE", "SHORT_BINSTRING", "BINSTRING", "STRING")
_LEGACY_MAGIC = 0x1950a86a20f9469cfc6c   # first object of torch files before version 1.6
_ZIP = b"PK\3\4"                         # first bytes of a zip file, which torch files since version 1.6 are


@dataclass(frozen=True)
class Contents:
    """Names in a file, with shapes where its format tells them without reading tensors."""

    names: frozenset[str]
    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]


@dataclass(frozen=True)
class Peek:
    """What was found: catalogue keys the file fills (none for strangers), its description, what is wrong with it."""

    keys: tuple[str, ...] = ()
    what: str = "not a file of this pack"
    problem: str = ""


def peek(path: Path) -> Peek:
    """Recognise a file by content. Never raises for what is in a file: a broken one has its `problem` filled."""
    try:
        return _recognise(path)
    except (MemoryError, RecursionError):
        return Peek(problem="it declares more than memory holds")
    except Exception as error:
        told = error.strerror if isinstance(error, OSError) else str(error)        # an OSError's text would name whole folders
        return Peek(problem=printable(((told or "").strip() or type(error).__name__).splitlines()[0])[:120])


def printable(text: str) -> str:
    """The text on one line that any terminal can show: names of files may hold anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _recognise(path: Path) -> Peek:
    suffix = path.suffix.lower()
    if not path.stat().st_size:
        raise ValueError("it is empty")
    if suffix in SAFETENSORS:
        return _network(read_safetensors_header(path), path)
    if suffix in TORCH:
        return _network(_read_torch_names(path), path)
    if suffix == ".pkl":
        names = _strings_of_pickle(path)
        return Peek(("flame",), "FLAME head model") if {"v_template", "shapedirs"} <= names else Peek()
    if suffix == ".npz":
        with _archive(path) as archive:
            names = set(archive.namelist())
        albedo = {"mean.npy", "tex_dir.npy"} <= names or {"MU.npy", "PC.npy"} <= names
        return Peek(("flame_texture",), "FLAME texture") if albedo else Peek()
    return _small(path, suffix)


def _small(path: Path, suffix: str) -> Peek:
    with path.open("rb") as file:
        head = file.read(1 << 20)
    if suffix == ".npy":
        good = head.startswith(b"\x93NUMPY") and b"O'" in head[:256] and b"lmk_faces_idx" in head
        return Peek(("flame_landmarks",), "FLAME landmarks") if good else Peek()
    if suffix == ".obj":
        return Peek(("flame_template",), "a mesh with texture coordinates") if b"\nv " in b"\n" + head else Peek()
    if suffix == ".task":
        with _archive(path) as archive:
            good = any("face_landmark" in name for name in archive.namelist())
        return Peek(("landmarker",), "MediaPipe face landmarker") if good else Peek()
    if suffix == ".onnx":
        _check_onnx(path)
        return Peek(("insightface",), f"a network of the pack '{path.parent.name}'")
    return Peek()


def _check_onnx(path: Path) -> None:
    """ValueError unless the file is a protobuf message (onnx.proto: ModelProto) that is all there, by its outermost fields."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for _ in range(MAX_FIELDS):
            if file.tell() == size:
                return
            kind = _varint(file) & 7
            length = _varint(file) if kind in (0, 2) else 0
            if kind not in (0, 2) or (kind == 2 and file.tell() + length > size):
                raise ValueError("it is no .onnx file, or was cut short")
            file.seek(length if kind == 2 else 0, os.SEEK_CUR)
    raise ValueError("it is no .onnx file")


def _varint(file: IO[bytes]) -> int:
    """A number in protobuf's variable length: seven bits a byte, the lowest first."""
    value = 0
    for place in range(0, 70, 7):
        byte = (file.read(1) or b"\0")[0]
        value |= (byte & 127) << place
        if byte < 128:
            return value
    raise ValueError("it is no .onnx file")


def read_safetensors_header(path: Path) -> Contents:
    """Names, shapes and metadata of a .safetensors file. ValueError if it is cut short or is none."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(MAX_HEADER, size - 8):
            raise ValueError("it is no .safetensors file, or was cut short")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is no table")
    metadata = header.pop("__metadata__", {})
    end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
    if 8 + length + end != size:
        raise ValueError(f"it was cut short: {size} of {8 + length + end} bytes are there")
    shapes = {name: tuple(int(side) for side in entry["shape"]) for name, entry in header.items()}
    return Contents(frozenset(shapes), shapes, metadata if isinstance(metadata, dict) else {})


def _read_torch_names(path: Path) -> Contents:
    with path.open("rb") as file:
        zipped = file.read(4) == _ZIP
    if not zipped:
        return Contents(_strings_of_pickle(path, torch_legacy=True), {}, {})
    with _archive(path) as archive:
        inner = next((info for info in archive.infolist() if info.filename.endswith("/data.pkl")), None)
        if inner is None or inner.file_size > MAX_HEADER:
            raise ValueError("it is a zip file, but not one of torch's")
        return Contents(frozenset(_strings(io.BytesIO(archive.read(inner)))), {}, {})


def _archive(path: Path) -> zipfile.ZipFile:
    """The zip file, whose directory stands at its end: without it, the rest did not arrive."""
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        with path.open("rb") as file:
            raise ValueError("it was cut short" if file.read(4) == _ZIP else "it is no zip file") from None


def _strings_of_pickle(path: Path, torch_legacy: bool = False) -> frozenset[str]:
    """Texts in the pickles at the head of a file."""
    if path.stat().st_size > MAX_PICKLE and not torch_legacy:
        raise ValueError("it is larger than any FLAME model")
    with path.open("rb") as file:
        if not torch_legacy:
            return frozenset(_strings(file))
        try:
            magic = [argument for _, argument in _opcodes(file)]
        except ValueError as error:
            raise ValueError("it is no torch file") from error
        if _LEGACY_MAGIC not in magic:
            raise ValueError("it is no torch file")
        for _ in ("protocol version", "system"):
            _strings(file)
        return frozenset(_strings(file))


def _opcodes(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """The opcodes of one pickle; the file then stands behind it. Long arguments are passed over, not read."""
    for count, step in enumerate(opcodes(file, MAX_TEXT)):
        if count > MAX_OPCODES:
            raise ValueError("its pickle is built to exhaust memory")
        yield step


def _strings(file: IO[bytes]) -> set[str]:
    """Short texts in one pickle; the file then stands behind it."""
    return {argument for name, argument in _opcodes(file)
            if name in _TEXT and isinstance(argument, str) and len(argument) < MAX_TEXT}


def _network(contents: Contents, path: Path) -> Peek:
    """A network by the names of its weights; the most particular kinds first."""
    names = {name.removeprefix(telltale.CAPFACE_PREFIX) for name in contents.names}
    if contents.metadata.get("format", "").startswith(telltale.HEAD_MODEL_FAMILY):
        return Peek(("flame", "flame_landmarks", "flame_template", "flame_texture"), "a converted head model, complete")
    if names >= telltale.CAPFACE_KEYS:
        clip = any(name.startswith(telltale.CLIP_IN_CHECKPOINT) for name in contents.names)
        return Peek(("capface", "clip_vision") if clip else ("capface",), "CapFace with its CLIP tower" if clip else "CapFace")
    if telltale.DECA_PREFIX.rstrip(".") in names or any(name.startswith(telltale.DECA_PREFIX) for name in names):
        return Peek(("deca",), "DECA encoder")
    if telltale.FACENET_KEY in names:
        return Peek(("facenet",), "FaceNet")
    if telltale.FACE_PARSER_KEY in names:
        return Peek(("face_parsing",), "BiSeNet face parser")
    if telltale.MTCNN_KEY in names and path.name in MTCNN_FILES:
        return Peek(("mtcnn",), "a network of MTCNN")
    if telltale.HINT_KEY in names or telltale.DIFFUSERS_CONTROLNET_KEY in names:
        named = "openpose" in path.name.lower()
        return Peek(("openpose",) if named else (), "a ControlNet, openpose by its name" if named else "a ControlNet")
    return _clip_or_diffusion(contents)


def _clip_or_diffusion(contents: Contents) -> Peek:
    if any(name.startswith(telltale.UNET_PREFIX) for name in contents.names):
        width = contents.shapes.get(telltale.UNET_CONTEXT_KEY, (0, 0))[-1]
        old = width == 768 if contents.shapes else any(name.startswith(telltale.SD1_TEXT_PREFIX) for name in contents.names)
        return Peek(("sd15",), "a Stable Diffusion 1 checkpoint") if old else Peek((), "a checkpoint of another architecture")
    if telltale.CLIP_KEY in contents.names:
        places = contents.shapes.get("vision_model.embeddings.position_embedding.weight", (257, 1024))
        deeper = telltale.DEEPER_CLIP_KEY in contents.names
        fits = places == (257, 1024) and not deeper
        return Peek(("clip_vision",), "CLIP ViT-L/14") if fits else Peek((), "a CLIP vision tower, but not ViT-L/14")
    return Peek()


def model_files(folder: Path, most: int = 2000) -> list[Path]:
    """Files below a folder that could be model files, sorted; at most `most`."""
    known = (*SAFETENSORS, *TORCH, ".pkl", ".npz", ".npy", ".obj", ".task", ".onnx")
    found: list[Path] = []
    walked: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):       # as ComfyUI does, but once round a circle of links
        real = os.path.realpath(root)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if real not in walked else []
        if real in walked:
            continue
        walked.add(real)
        found += [Path(root, name) for name in sorted(names) if name.lower().endswith(known) and not name.startswith(".")]
        if len(found) >= most:
            break
    return found[:most]
