"""Reading the field's pickles (FLAME's models and landmark tables) without running anything in them.

A pickle is a program. Only the few names below are ever resolved, each to a stand-in of ours, and the
program is looked through before it runs: its length, its nesting and its memo indices are bounded.
"""
from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from ..check import InputError, fail

MOST_OPCODES = 2_000_000
MOST_NESTING = 5_000          # tuples are hashed recursively in C; real files nest a handful
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_SPARSE = ("csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array")
_PUT = ("PUT", "BINPUT", "LONG_BINPUT")


def read_pickle(path: str | Path, what: str) -> Any:
    """The plain content of a pickle file: numpy arrays, numbers, strings, lists, dicts.

    chumpy objects and scipy sparse matrices become dense arrays. Raises InputError, naming the first
    forbidden thing, for anything else, and for truncated files.
    """
    return loads(Path(path).read_bytes(), f"{what} file '{Path(path).name}'")


def read_object_npy(path: str | Path, what: str) -> Any:
    """The content of a .npy file that holds one pickled object (landmark_embedding.npy)."""
    name = f"{what} file '{Path(path).name}'"
    data = io.BytesIO(Path(path).read_bytes())
    try:
        version = np.lib.format.read_magic(data)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(data)
    except ValueError as error:
        fail(name, "must be a .npy file", str(error)[:120], "download the original file again")
    if not dtype.hasobject or shape != ():
        fail(name, "must hold one pickled object", f"an array {dtype}{list(shape)}", "use the original file")
    content = loads(data.read(), name)
    if isinstance(content, np.ndarray) and content.shape == ():
        content = content.item()
    return content


def loads(data: bytes, name: str) -> Any:
    """Like `read_pickle`, for bytes. name: how errors call the file."""
    try:
        _look_through(data, name)
        return _plain(_Unpickler(io.BytesIO(data), name).load(), 0)
    except InputError:
        raise
    except MemoryError:
        fail(name, "must fit into memory", f"{len(data)} bytes that declare more", "use the original file")
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        fail(name, "must be a complete pickle of arrays", f"{len(data)} bytes that could not be read ({reason})",
             "download the original file again")


def _look_through(data: bytes, name: str) -> None:
    """Bound what running the pickle could cost; the C unpickler trusts memo indices and nesting."""
    tuples = 0
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        tuples += opcode.name.startswith("TUPLE")
        too_far = opcode.name in _PUT and isinstance(argument, int) and argument > MOST_OPCODES
        if count > MOST_OPCODES or tuples > MOST_NESTING or too_far:
            fail(name, "must be a simple file of arrays", "a pickle built to exhaust memory", "use the original file")


class _Array:
    """Stand-in for an ndarray under construction: built from its own bytes, never from a declared size."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, raw = state
        if isinstance(raw, list):
            self.value = np.empty(len(raw), dtype=object)
            self.value[:] = raw
        else:
            raw = raw.encode("latin1") if isinstance(raw, str) else raw
            self.value = np.frombuffer(raw, dtype=_dtype_of(dtype))
        self.value = self.value.reshape(shape, order="F" if fortran else "C")


class _Dtype:
    """Stand-in for a numpy dtype; only plain numbers and objects."""

    def __init__(self, code: Any = "f8", *_: Any) -> None:
        self.code, self.order = str(code), "="

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1] if state[1] in ("<", ">") else "="


class _Chumpy:
    """Stand-in for chumpy.ch.Ch: its array is the entry "x" of its state."""

    value: Any = None

    def __setstate__(self, state: dict) -> None:
        self.value = state.get("x")


class _Sparse:
    """Stand-in for a scipy sparse matrix, made dense without scipy."""

    state: dict[str, Any]

    def __setstate__(self, state: dict) -> None:
        self.state = state


class _SparseCsr(_Sparse):
    """Compressed by rows."""


class _SparseCoo(_Sparse):
    """Row and column per entry."""


def _dtype_of(dtype: Any) -> np.dtype:
    code = dtype.code if isinstance(dtype, _Dtype) else str(dtype)
    made = np.dtype(code)
    if made.hasobject or made.itemsize > 16:
        raise ValueError(f"array of {code}")
    if isinstance(dtype, _Dtype) and dtype.order != "=":
        return made.newbyteorder("<" if dtype.order == "<" else ">")
    return made


def _scalar(dtype: Any, raw: Any = b"") -> Any:
    return np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else raw, _dtype_of(dtype))[0]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1") if encoding == "latin1" else text.encode("utf-8")


def _reconstructor(cls: Any, *_: Any) -> Any:
    return cls() if isinstance(cls, type) and cls.__module__ == __name__ else None


def _new_array(*_: Any) -> _Array:
    return _Array()


def _from_buffer(raw: Any, dtype: Any, shape: tuple, order: str) -> _Array:
    made = _Array()
    made.__setstate__((1, shape, dtype, order == "F", bytes(raw)))
    return made


def _tensor_bytes(raw: Any) -> Any:
    import torch
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    return torch.load(io.BytesIO(raw), weights_only=True)


def _tensor(storage: Any, offset: int, size: tuple, stride: tuple, *_: Any) -> np.ndarray:
    """torch._utils._rebuild_tensor_v2; torch itself refuses sizes beyond the storage."""
    import torch
    flat = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)
    return flat.as_strided(size, stride, offset).clone().numpy()


_ALLOWED: dict[tuple[str, str], Any] = {
    **{(module, "_reconstruct"): _new_array for module in _ARRAY_MODULES},
    **{(module, "scalar"): _scalar for module in _ARRAY_MODULES},
    **{(module, "_frombuffer"): _from_buffer for module in ("numpy.core.numeric", "numpy._core.numeric")},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("chumpy.ch", "Ch"): _Chumpy,
    ("_codecs", "encode"): _encode,
    ("copy_reg", "_reconstructor"): _reconstructor,
    ("copyreg", "_reconstructor"): _reconstructor,
    **{(module, name): thing for module in ("builtins", "__builtin__")
       for name, thing in (("set", set), ("object", object), ("list", list), ("dict", dict))},
    ("collections", "OrderedDict"): dict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.storage", "_load_from_bytes"): _tensor_bytes,
}


class _Unpickler(pickle.Unpickler):
    """Resolves allowed names only. latin1 is how Python 2 wrote array bytes."""

    def __init__(self, file: io.BytesIO, name: str) -> None:
        super().__init__(file, encoding="latin1")
        self.name = name

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("scipy.sparse") and name in _SPARSE:
            return {"csr": _SparseCsr, "coo": _SparseCoo}.get(name[:3], _Sparse)
        allowed = _ALLOWED.get((module, name))
        if allowed is None:
            fail(self.name, "must hold nothing but arrays", f"a reference to {module}.{name}",
                 "do not use this file; get the original from its owners")
        return allowed

    def persistent_load(self, pid: Any) -> Any:
        fail(self.name, "must hold nothing but arrays", "a persistent reference", "get the original from its owners")


def _plain(value: Any, depth: int) -> Any:
    """Stand-ins replaced by what they stand for."""
    if depth > 50:
        raise ValueError("nested too deeply")
    if isinstance(value, (_Array, _Chumpy)):
        inner = getattr(value, "value", None)
        return _plain(inner, depth + 1)
    if isinstance(value, _Sparse):
        return _dense(value)
    if isinstance(value, dict):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item, depth + 1) for item in value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        made = np.empty(value.size, dtype=object)
        made[:] = [_plain(item, depth + 1) for item in value.ravel()]
        return made.reshape(value.shape)
    return value


def _dense(matrix: _Sparse) -> np.ndarray:
    """The dense array of a compressed or coordinate sparse matrix; numpy checks every index."""
    state = {key: _plain(item, 0) for key, item in matrix.state.items()}
    rows, columns = (int(size) for size in (state.get("_shape") or state["shape"]))
    data = np.asarray(state["data"], dtype=np.float64)
    if rows * columns > 2**28:
        raise ValueError(f"a dense size of {rows} x {columns}")
    dense = np.zeros((rows, columns))
    if isinstance(matrix, _SparseCoo):
        row, column = state["row"], state["col"]
    else:
        counts = np.diff(state["indptr"])
        if counts.min(initial=0) < 0 or counts.sum() != len(data):
            raise ValueError("index pointers that do not fit")
        outer, inner = np.repeat(np.arange(len(counts)), counts), state["indices"]
        row, column = (outer, inner) if isinstance(matrix, _SparseCsr) else (inner, outer)
    if len(data) and (row.min() < 0 or column.min() < 0):
        raise ValueError("negative indices")
    np.add.at(dense, (row, column), data)
    return dense
