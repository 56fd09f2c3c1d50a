"""A torch storage inside another file's pickle, read without torch: the format before torch 1.6, numbers only.

DECA's landmark table holds tensors so. The bytes are five pickles (a magic number, a version, the writer's system, the
object, the keys of its storages) and then, per storage, its length and its numbers.
"""
from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .pickle_machine import Budget, Machine, Make, Name

MAGIC = 0x1950a86a20f9469cfc6c
TYPES = {"DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
         "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "|b1"}


@dataclass(frozen=True)
class Storage:
    """Numbers in a row, which tensors are views of."""

    numbers: np.ndarray                  # [N]

    def view(self, budget: Budget, offset: Any, size: Any, stride: Any) -> np.ndarray:
        """A copy of the numbers at offset + index * stride; ValueError for a view that claims more than the storage holds."""
        if not (isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride)):
            raise ValueError("a tensor without a shape")
        if not all(isinstance(number, int) and number >= 0 for number in (offset, *size, *stride)):
            raise ValueError("a tensor of a negative shape")
        count = math.prod(size)
        last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
        if count > len(self.numbers) or (count and last >= len(self.numbers)):
            raise ValueError(f"a tensor of {count} numbers on a storage of {len(self.numbers)}")
        budget.take_bytes(count * self.numbers.itemsize)
        if not count:
            return np.zeros(size, self.numbers.dtype)
        steps = [step * self.numbers.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(self.numbers[offset:], size, steps).copy()


def read_storage(data: bytes, budget: Budget) -> Storage:
    """The one storage that the bytes hold (what torch.storage._load_from_bytes is given). ValueError for anything else."""
    file = io.BytesIO(data)
    magic, _, system = (Machine(_nothing, budget).run(file) for _ in range(3))
    if magic != MAGIC or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("a storage in an unknown format")
    key, code, length = Machine(_storage_type, budget, _reference).run(file)
    keys = Machine(_nothing, budget).run(file)
    if keys != [key] or int.from_bytes(file.read(8), "little") != length:
        raise ValueError("a storage that is not whole")
    return Storage(np.frombuffer(data, np.dtype(code), length, file.tell()))


def _nothing(module: str, name: str) -> Make:
    raise ValueError(f"a storage with a reference to {module}.{name}")


def _storage_type(module: str, name: str) -> Make:
    if module not in ("torch", "torch.storage") or name not in TYPES:
        _nothing(module, name)
    return _not_called


def _not_called(*_: Any) -> Any:
    raise ValueError("a storage that is made by a call")


def _reference(told: Any) -> tuple[str, str, int]:
    """("storage", type, key, device, length, ...) -> key, numpy code, length."""
    kind, storage_type, key, _, length = told[:5]
    if kind != "storage" or not isinstance(storage_type, Name) or not isinstance(key, str) or not isinstance(length, int):
        raise ValueError("a storage in an unknown format")
    return key, TYPES[storage_type.name], length
