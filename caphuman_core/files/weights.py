"""Safe, strict reading of weight files.

Files are recognised by their keys, never by their name. Torch files are read with
`weights_only=True`; nothing in a file is ever executed. Loading leaves no key unread and no
parameter unfilled: a mismatch is an error that lists keys.
"""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..check import InputError, fail

if TYPE_CHECKING:
    from torch import Tensor, nn

SAFETENSORS_SUFFIXES = (".safetensors", ".sft")
TRAINING_PACKAGES = ("pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities", "omegaconf")
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
        return _read_torch(path, keep)
    except InputError:
        raise
    except MemoryError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        fail(name, "must be a complete, plain weight file", f"{path.stat().st_size} bytes that could not be read ({reason})",
             "download it again; a file cut short by a broken download reads like this")


def _read_safetensors(path: Path, keep: Callable[[str], bool] | None) -> dict[str, Tensor]:
    from safetensors import safe_open
    with safe_open(str(path), framework="pt", device="cpu") as file:
        return {key: file.get_tensor(key) for key in file.keys() if keep is None or keep(key)}  # noqa: SIM118


def read_metadata(path: str | Path, what: str) -> dict[str, str]:
    """The metadata of a .safetensors file; {} for other files. Raises InputError for broken ones."""
    path = Path(path)
    if path.suffix.lower() not in SAFETENSORS_SUFFIXES:
        return {}
    from safetensors import safe_open
    try:
        with safe_open(str(path), framework="pt") as file:
            return dict(file.metadata() or {})
    except Exception as error:
        fail(f"{what} file '{path.name}'", "must be a complete .safetensors file", str(error).splitlines()[0][:120],
             "download or save it again")


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


def _read_torch(path: Path, keep: Callable[[str], bool] | None) -> dict[str, Tensor]:
    import torch
    with torch.serialization.safe_globals(_training_leftovers(path)):
        try:
            tree = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:           # files in the format before torch 1.6 cannot be mapped
            if "mmap" not in str(error):
                raise
            tree = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(tree, Mapping) and isinstance(tree.get("state_dict"), Mapping):
        tree = tree["state_dict"]
    return {key: value for key, value in _flatten(tree, "") if keep is None or keep(key)}


class _Ignored:
    """Takes the place of a training framework's object; keeps nothing, runs nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Whatever the object was made of."""

    def __setstate__(self, state: Any) -> None:
        """Whatever the object held."""


def _training_leftovers(path: Path) -> list[Any]:
    """Stand-ins for the objects that training checkpoints carry beside their weights (callbacks, configurations).

    Only names of known training packages are replaced; any other name makes torch refuse the file.
    """
    import torch
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:                           # not a zip-format torch file: torch.load says what it is
        return []
    return [(_Ignored, name) for name in names if name.split(".")[0] in TRAINING_PACKAGES]


def _flatten(tree: Any, prefix: str) -> Iterable[tuple[str, Tensor]]:
    import torch
    if isinstance(tree, torch.Tensor):
        yield prefix.removesuffix("."), tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _flatten(value, f"{prefix}{key}.")


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
    """16 hex digits that identify named tensors by their names, shapes, types and bytes."""
    import numpy as np
    digest = hashlib.sha256()
    for key in sorted(tensors):
        array = np.ascontiguousarray(tensors[key].detach().cpu().numpy())
        digest.update(f"{key}:{array.dtype}:{array.shape};".encode())
        digest.update(array.data)
    return digest.hexdigest()[:16]
