"""Safe, strict reading of weight files.

Files are recognised by their keys, never by their name. Torch files are read by torch_files.py;
nothing in a file is ever executed. Loading leaves no key unread and no
parameter unfilled: a mismatch is an error that lists keys.
"""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..check import InputError, fail
from .torch_files import MOST_IN_MEMORY, read_torch

if TYPE_CHECKING:
    from torch import Tensor, nn

SAFETENSORS_SUFFIXES = (".safetensors", ".sft")
MOST_HEADER, MOST_TENSORS = 16 << 20, 50_000    # of a .safetensors file; a whole checkpoint has 300 kB and 2,000
TORCH_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".tar", ".pkl")


def read_state_dict(path: str | Path, what: str, keep: Callable[[str], bool] | None = None) -> dict[str, Tensor]:
    """Read the tensors of a .safetensors or torch file whose flat key satisfies `keep`.

    Nested dictionaries are flattened with dots ("E_flame.encoder.conv1.weight"); a lone
    "state_dict" level is dropped. Torch files are memory-mapped where their format allows, so
    tensors that are not kept cost no memory. Raises InputError if the file is missing, truncated, not
    a weight file, or holds objects that are not plain tensors.
    """
    path = Path(path)
    name = f"{what} file '{path.name}'"
    if not path.is_file():
        fail(name, "must exist", "no such file", f"put it at {path.parent.name}/{path.name} in the models folder")
    try:
        if path.suffix.lower() in SAFETENSORS_SUFFIXES:
            return _read_safetensors(path, keep)
        return read_torch(path, name, keep)
    except InputError:
        raise
    except (Exception, MemoryError) as error:        # a damaged file may declare any size
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        fail(name, "must be a complete, plain weight file", f"{path.stat().st_size} bytes that could not be read ({reason})",
             "download it again; a file cut short by a broken download reads like this")


def _read_safetensors(path: Path, keep: Callable[[str], bool] | None) -> dict[str, Tensor]:
    """Small files as memory of our own: a mapped one changes under a running server when it is overwritten in place, and
    the server dies when it is cut short. Large ones stay mapped, as the host's own loader has them."""
    if path.stat().st_size <= MOST_IN_MEMORY:
        from safetensors.torch import load
        with path.open("rb") as file:
            names = _read_header(file)
            wanted = {key for key in names if key != "__metadata__" and (keep is None or keep(key))}
            file.seek(0)
            return {key: value for key, value in load(file.read()).items() if key in wanted}
    from safetensors import safe_open
    with safe_open(str(path), framework="pt", device="cpu") as file:
        return {key: file.get_tensor(key) for key in file.keys() if keep is None or keep(key)}  # noqa: SIM118


def _read_header(file: IO[bytes]) -> dict[str, Any]:
    """The table at the head of a .safetensors file, bounded before it is parsed. ValueError for what is none."""
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= MOST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    text = file.read(length)
    header = json.loads(text)
    if len(text) < length or not isinstance(header, dict) or len(header) > MOST_TENSORS:
        raise ValueError("a header that is not whole, or names too many tensors")
    return header


def read_metadata(path: str | Path, what: str) -> dict[str, str]:
    """The metadata of a .safetensors file; {} for other files. Raises InputError for broken ones."""
    path = Path(path)
    if path.suffix.lower() not in SAFETENSORS_SUFFIXES:
        return {}
    try:
        with path.open("rb") as file:
            metadata = _read_header(file).get("__metadata__") or {}
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("metadata that are no texts")
        return metadata
    except (Exception, MemoryError) as error:
        fail(f"{what} file '{path.name}'", "must be a complete .safetensors file",
             (str(error).strip() or type(error).__name__).splitlines()[0][:120], "download or save it again")


def write_safetensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a .safetensors file, byte for byte the same for the same content (the library's own writer orders
    metadata at random). Written beside its place and moved there when complete. Raises InputError when the disk refuses."""
    path = Path(path)
    arrays = {key: tensors[key].detach().cpu().contiguous() for key in sorted(tensors)}
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for key, tensor in arrays.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[key] = {"dtype": _dtype_name(tensor), "shape": list(tensor.shape), "data_offsets": [start, end]}
    head = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    head += b" " * (-len(head) % 8)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(len(head).to_bytes(8, "little") + head)
            for tensor in arrays.values():
                file.write(_bytes_of(tensor) if tensor.numel() else b"")
        part.replace(path)
    except OSError as error:
        fail(f"file '{path.name}'", "must be writable", error.strerror or str(error),
             "free some disk space or choose another folder")
    finally:
        with contextlib.suppress(OSError):       # a folder that cannot be written holds no part either
            part.unlink()


def _bytes_of(tensor: Tensor) -> Any:
    import torch
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _dtype_name(tensor: Tensor) -> str:
    import torch
    names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
             torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL"}
    return names[tensor.dtype]


def strip_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under `prefix`, without it."""
    return {key[len(prefix):]: value for key, value in state.items() if key.startswith(prefix)}


def load_strict(module: nn.Module, state: Mapping[str, Tensor], name: str, drop: Iterable[str] = ()) -> None:
    """Fill every parameter and buffer of `module` from `state`, converting dtype, or raise InputError listing keys.

    drop: keys of `state` that are known and deliberately unused. `num_batches_tracked` may be missing
    (files by older savers); it plays no part in evaluation.
    """
    wanted = module.state_dict()
    dropped = set(drop)
    unread = sorted(key for key in state if key not in wanted and key not in dropped)
    unfilled = sorted(key for key in wanted if key not in state and not key.endswith("num_batches_tracked"))
    misshapen = sorted(f"{key} {list(state[key].shape)} instead of {list(wanted[key].shape)}"
                       for key in wanted if key in state and state[key].shape != wanted[key].shape)
    problems = [f"{label}: {_some(keys)}" for label, keys in
                (("missing", unfilled), ("unknown", unread), ("wrong shape", misshapen)) if keys]
    if problems:
        fail(name, "must hold exactly the weights of its network", "; ".join(problems),
             "use the original file, or convert it with python -m caphuman_core.convert")
    module.load_state_dict({key: value for key, value in state.items() if key in wanted}, strict=False)


def _some(keys: list[str], most: int = 6) -> str:
    rest = len(keys) - most
    return ", ".join(keys[:most]) + (f" and {rest} more" if rest > 0 else "")


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """16 hex digits that identify named tensors by their names, shapes, types and bytes; bfloat16 as float32, numpy has none."""
    import numpy as np
    import torch
    digest = hashlib.sha256()
    for key in sorted(tensors):
        tensor = tensors[key].detach().cpu()
        array = np.ascontiguousarray((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())
        digest.update(f"{key}:{array.dtype}:{array.shape};".encode())
        digest.update(array.data)
    return digest.hexdigest()[:16]
