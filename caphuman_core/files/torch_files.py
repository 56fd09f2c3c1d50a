"""Torch's own files (.ckpt, .pt, .pth, .bin, .tar), read without torch.load.

Packs replace `torch.load` for everybody by one that runs what stands in a file. Here the file's pickle goes through a machine that
can name tensors and nothing else, and the numbers are read by us: of the tensors that are asked for, and of no others.
"""
from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..check import fail
from .pickle_machine import Budget, Machine, Make, Name, opaque
from .torch_storage import MAGIC

if TYPE_CHECKING:
    from torch import Tensor, UntypedStorage

MOST_STEPS = 1_000_000                   # of the pickle; a whole checkpoint with its optimizer takes 200,000
MOST_IN_MEMORY = 256 << 20               # bytes of a file that is read rather than mapped
MOST_PICKLE = 64 << 20                   # bytes of a zip's pickle; a whole checkpoint's has 300 kB
MOST_UNFOUNDED = 2 << 30                 # bytes that tensors may claim beyond what the file holds
ZIP = b"PK\3\4"                          # first bytes of files since torch 1.6
TYPES = {"DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
         "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
         "BoolStorage": "bool"}
BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1,
         "bool": 1}
TRAINING_PACKAGES = ("pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities", "omegaconf")


@dataclass(frozen=True)
class Storage:
    """Numbers in a row that lie in the file; tensors are views of them."""

    key: str
    dtype: str
    count: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * BYTES[self.dtype]


@dataclass(frozen=True)
class View:
    """A tensor that has not been read."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def unfounded(self) -> int:
        """Bytes that a copy of its own would take beyond those of the storage: an expanded tensor looks at numbers again."""
        return max(0, math.prod(self.shape) - self.storage.count) * BYTES[self.storage.dtype]


def read_torch(path: Path, name: str, keep: Callable[[str], bool] | None = None) -> dict[str, Tensor]:
    """The tensors of a torch file whose flat key ("E_flame.encoder.conv1.weight") satisfies `keep`.

    name: how errors call the file. A lone "state_dict" level is dropped. Large files are mapped where their format allows.
    Raises InputError for objects that are no plain tensors, ValueError and what reading raises for files that are not whole.
    """
    with path.open("rb") as file:
        kind = _Zip if file.read(len(ZIP)) == ZIP else _Stream
    source = kind(path, name)
    tree = source.tree
    if isinstance(tree, Mapping) and isinstance(tree.get("state_dict"), Mapping):
        tree = tree["state_dict"]
    wanted = {key: view for key, view in _flat(tree, "") if keep is None or keep(key)}
    if sum(view.unfounded for view in wanted.values()) > MOST_UNFOUNDED:
        raise ValueError("tensors that claim far more numbers than the file holds")
    storages = {view.storage.key: view.storage for view in wanted.values()}
    numbers = source.read(list(storages.values()))
    return {key: _tensor(view, numbers[view.storage.key]) for key, view in wanted.items()}


def _flat(tree: Any, prefix: str) -> Iterable[tuple[str, View]]:
    if isinstance(tree, View):
        yield prefix.removesuffix("."), tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _flat(value, f"{prefix}{key}.")


def _tensor(view: View, numbers: Tensor) -> Tensor:
    return numbers.as_strided(view.shape, view.stride, view.offset)


# --- the two formats


class _Zip:
    """Files since torch 1.6: a zip with the pickle and, uncompressed, one entry for each storage."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        with zipfile.ZipFile(path) as archive:
            self.entries = {info.filename: info for info in archive.infolist()}
            pickled = next((info for info in archive.infolist() if info.filename.endswith("/data.pkl")), None)
            if pickled is None or pickled.file_size > MOST_PICKLE:
                raise ValueError("it is a zip file, but not one of torch's")
            self.root = pickled.filename.removesuffix("data.pkl")
            order = self.entries.get(f"{self.root}byteorder")
            if order is not None and (order.file_size > 16 or archive.read(order) != b"little"):
                raise ValueError("it was written on a machine of another byte order")
            self.tree = _machine(name).run(io.BytesIO(archive.read(pickled)))

    def read(self, storages: list[Storage]) -> dict[str, Tensor]:
        """The numbers of these storages by their keys."""
        entries = {storage.key: self._entry(storage) for storage in storages}
        size = self.path.stat().st_size
        if sum(info.file_size for info in entries.values()) > size:
            raise ValueError("entries that lie over one another")
        if size > MOST_IN_MEMORY:
            whole = _mapped(self.path, size)
            return {each.key: _numbers(whole[self._start(entries[each.key]):][:each.size], each) for each in storages}
        with zipfile.ZipFile(self.path) as archive:
            return {each.key: _numbers(archive.read(entries[each.key]), each) for each in storages}

    def _entry(self, storage: Storage) -> zipfile.ZipInfo:
        info = self.entries.get(f"{self.root}data/{storage.key}")
        if info is None or info.file_size != storage.size or info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"storage {storage.key[:40]!r} is not whole")
        return info

    def _start(self, info: zipfile.ZipInfo) -> int:
        """Where an entry's bytes begin: behind its own header, whose last two numbers are the lengths of what follows it."""
        with self.path.open("rb") as file:
            file.seek(info.header_offset)
            header = file.read(30)
            start = info.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
            if header[:4] != ZIP or start + info.file_size > file.seek(0, io.SEEK_END):
                raise ValueError("it was cut short")
        return start


class _Stream:
    """Files before torch 1.6: five pickles (a magic number, a version, the writer's system, the object, the keys of its
    storages), then for each key the count of its numbers in eight bytes, and the numbers."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        with path.open("rb") as file:
            magic, _, system = (Machine(_no_name, Budget()).run(file) for _ in range(3))
            if magic != MAGIC or not isinstance(system, dict) or system.get("little_endian") is not True:
                raise ValueError("it is no torch file")
            self.tree = _machine(name).run(file)
            keys = Machine(_no_name, Budget()).run(file)
            if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
                raise ValueError("it has no list of its storages")
            self.keys, self.start = keys, file.tell()

    def read(self, storages: list[Storage]) -> dict[str, Tensor]:
        """The numbers of these storages by their keys. This format does not tell where others end: all are walked over."""
        sizes = _sizes(self.tree)
        wanted = {storage.key: storage for storage in storages}
        found: dict[str, Tensor] = {}
        with self.path.open("rb") as file:
            file.seek(self.start)
            for key in self.keys:
                count = int.from_bytes(file.read(8), "little")
                if key not in sizes or sizes[key].count != count:
                    raise ValueError(f"storage {key[:40]!r} is not whole")
                if key in wanted:
                    found[key] = _numbers(file.read(sizes[key].size), sizes[key])
                else:
                    file.seek(sizes[key].size, io.SEEK_CUR)
        missing = next((key for key in wanted if key not in found), None)
        if missing is not None:
            raise ValueError(f"storage {missing[:40]!r} is not there")
        return found


def _sizes(tree: Any) -> dict[str, Storage]:
    """Every storage that any tensor in the file is a view of, also within lists."""
    found: dict[str, Storage] = {}
    rest, seen = [tree], set()
    while rest:
        value = rest.pop()
        if isinstance(value, View):
            found[value.storage.key] = value.storage
        elif isinstance(value, (dict, list, tuple)) and id(value) not in seen:
            seen.add(id(value))
            rest += value.values() if isinstance(value, dict) else value
    return found


def _mapped(path: Path, size: int) -> UntypedStorage:
    """The whole file as private pages of memory: read when they are used, and never written back."""
    import torch
    return torch.UntypedStorage.from_file(str(path), False, size)          # pyright: ignore[reportReturnType]


def _numbers(raw: bytes | UntypedStorage, storage: Storage) -> Tensor:
    """[count] of the storage's type. ValueError where bytes are missing."""
    import torch
    dtype = getattr(torch, storage.dtype)
    if len(raw) != storage.size:
        raise ValueError("it was cut short")
    if not storage.count:
        return torch.empty(0, dtype=dtype)
    if isinstance(raw, bytes):
        return torch.frombuffer(bytearray(raw), dtype=dtype)
    return torch.empty(0, dtype=dtype).set_(raw, 0, (storage.count,))      # type: ignore[call-overload]


# --- the pickle


def _machine(name: str) -> Machine:
    def resolve(module: str, what: str) -> Make:
        make = _ALLOWED.get((module, what))
        if make is None and (module.split(".")[0] in TRAINING_PACKAGES or (module in ("torch", "torch.storage") and what in TYPES)):
            make = opaque
        if make is None:
            fail(name, "must be a complete, plain weight file", f"a reference to {module}.{what}",
                 "do not use this file; get the original from its owners")
        return make
    return Machine(resolve, Budget(opcodes=MOST_STEPS, items=MOST_STEPS), _reference)


def _no_name(module: str, what: str) -> Make:
    raise ValueError(f"a reference to {module}.{what}")


def _reference(told: Any) -> Storage:
    """("storage", type, key, device, count[, None]) -> where the numbers are. ValueError for anything else."""
    if not isinstance(told, tuple) or not 5 <= len(told) <= 6 or told[0] != "storage" or told[5:] not in ((), (None,)):
        raise ValueError("a storage in an unknown format")
    _, kind, key, _, count = told[:5]
    if not isinstance(kind, Name) or kind.name not in TYPES or not isinstance(key, str) or not isinstance(count, int) or count < 0:
        raise ValueError("a storage in an unknown format")
    return Storage(key, TYPES[kind.name], count)


def _view(_budget: Budget, storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> View:
    """torch._utils._rebuild_tensor_v2: a tensor that looks at no more than its storage holds. ValueError for any other."""
    numbers = (offset, *shape, *stride) if isinstance(shape, tuple) and isinstance(stride, tuple) else (None,)
    if not isinstance(storage, Storage) or not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError("a tensor without a shape or a storage")
    last = offset + sum((side - 1) * step for side, step in zip(shape, stride, strict=True))
    if math.prod(shape) and last >= storage.count:
        raise ValueError(f"a tensor of {math.prod(shape)} numbers on a storage of {storage.count}")
    return View(storage, offset, shape, stride)


def _parameter(_budget: Budget, data: Any, *_: Any) -> Any:
    return data


def _dictionary(budget: Budget, given: Any = (), *_: Any) -> Any:
    """An OrderedDict, filled by what follows it in the pickle, or from pairs."""
    if isinstance(given, dict):
        return given
    if not isinstance(given, (list, tuple)):
        return {}
    budget.take_items(len(given))
    return {key: value for key, value in given if isinstance(key, str)}


_PLAIN = ("set", "frozenset", "list", "tuple", "int", "float", "bool", "str", "bytes", "bytearray", "complex", "object")
_ALLOWED: dict[tuple[str, str], Make] = {
    ("torch._utils", "_rebuild_tensor_v2"): _view,
    ("torch._utils", "_rebuild_tensor"): _view,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("collections", "OrderedDict"): _dictionary,
    **{(module, "dict"): _dictionary for module in ("builtins", "__builtin__")},
    # What stands beside the weights in training checkpoints and is never used: read past, never made.
    **{(module, name): opaque for module in ("builtins", "__builtin__") for name in _PLAIN},
    **{("collections", name): opaque for name in ("defaultdict", "Counter", "deque")},
    **{("torch", name): opaque for name in ("Size", "device", *BYTES)},
    **{(module, name): opaque for module in ("numpy.core.multiarray", "numpy._core.multiarray")
       for name in ("scalar", "_reconstruct")},
    **{("numpy", name): opaque for name in ("dtype", "ndarray")},
    ("_codecs", "encode"): opaque,
    **{(module, "_reconstructor"): opaque for module in ("copy_reg", "copyreg")},
}
