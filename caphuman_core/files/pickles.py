"""Reading the field's pickles (FLAME's models and landmark tables) without running anything in them.

A pickle is a program. Only the few names below are ever resolved, each to a stand-in of ours, and what the program may cost
is bounded (pickle_machine.py): a refusal comes within seconds, whatever a file holds.
"""
from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..check import InputError, fail
from .pickle_machine import Budget, Machine, Make, Name, check_key
from .torch_storage import Storage, read_storage

MOST_FILE_BYTES = 128 << 20              # FLAME's models have 53 MB
MOST_DENSE = 1 << 22                     # numbers of a sparse matrix made dense; a joint regressor has 25,115
LONGEST_CODE = 16                        # letters of a numpy type's code
DEEPEST = 50                             # containers within containers; real files nest a handful
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_SPARSE = ("csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array")


def read_pickle(path: str | Path, what: str) -> Any:
    """The plain content of a pickle file: numpy arrays, numbers, strings, lists, dicts.

    chumpy objects and scipy sparse matrices become dense arrays. Raises InputError, naming the first
    forbidden thing, for anything else, and for truncated files.
    """
    name = f"{what} file '{Path(path).name}'"
    return loads(_bytes_of(Path(path), name), name)


def read_object_npy(path: str | Path, what: str) -> Any:
    """The content of a .npy file that holds one pickled object (landmark_embedding.npy)."""
    name = f"{what} file '{Path(path).name}'"
    data = io.BytesIO(_bytes_of(Path(path), name))
    try:
        version = np.lib.format.read_magic(data)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(data)
    except Exception as error:           # numpy reads the header as Python text: a damaged one raises many types
        fail(name, "must be a .npy file", reason_of(error), "download the original file again")
    if not dtype.hasobject or shape != ():
        fail(name, "must hold one pickled object", f"an array {dtype}{list(shape)}", "use the original file")
    content = loads(data.read(), name)
    if isinstance(content, np.ndarray) and content.shape == ():
        content = content.item()
    return content


def loads(data: bytes, name: str) -> Any:
    """Like `read_pickle`, for bytes. name: how errors call the file."""
    budget = Budget()

    def resolve(module: str, what: str) -> Make:
        return _resolve(module, what, name)
    try:
        content = Machine(resolve, budget).run(io.BytesIO(data))
        return _plain(content, 0, budget)
    except InputError:
        raise
    except MemoryError:
        fail(name, "must fit into memory", f"{len(data)} bytes that declare more", "use the original file")
    except Exception as error:
        fail(name, "must be a complete pickle of arrays", f"{len(data)} bytes that could not be read ({reason_of(error)})",
             "download the original file again")


def reason_of(error: Exception) -> str:
    """The first line of an error's text, to be told in a sentence."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]


def _bytes_of(path: Path, name: str) -> bytes:
    size = path.stat().st_size
    if size > MOST_FILE_BYTES:
        fail(name, f"must have at most {MOST_FILE_BYTES >> 20} MB", f"{size >> 20} MB", "use the original file")
    return path.read_bytes()


def _resolve(module: str, what: str, name: str) -> Make:
    if module.startswith("scipy.sparse") and what in _SPARSE:
        return _made_by({"csr": _SparseCsr, "coo": _SparseCoo}.get(what[:3], _Sparse))
    allowed = _ALLOWED.get((module, what))
    if allowed is None:
        fail(name, "must hold nothing but arrays", f"a reference to {module}.{what}",
             "do not use this file; get the original from its owners")
    return allowed


class _StandIn:
    """What a name of the pickle becomes while it is read."""

    value: Any = None

    def build(self, budget: Budget, state: Any) -> None:
        """The state that the pickle gives it."""


class _Array(_StandIn):
    """Stand-in for an ndarray under construction: built from its own bytes, never from a declared size."""

    def build(self, budget: Budget, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        if isinstance(raw, list):
            budget.take_items(len(raw))
            self.value = np.empty(len(raw), dtype=object)
            self.value[:] = raw
        else:
            self.value = _numbers(_raw(raw, budget), _dtype_of(dtype))
        self.value = self.value.reshape(shape, order="F" if fortran else "C")


class _Dtype(_StandIn):
    """Stand-in for a numpy dtype; only plain numbers and objects."""

    def __init__(self, code: Any = "f8") -> None:
        self.code, self.order = code, "="

    def build(self, budget: Budget, state: Any) -> None:
        self.order = state[1] if state[1] in ("<", ">") else "="


class _Chumpy(_StandIn):
    """Stand-in for chumpy.ch.Ch: its array is the entry "x" of its state."""

    def build(self, budget: Budget, state: Any) -> None:
        self.value = state.get("x")


class _Sparse(_StandIn):
    """Stand-in for a scipy sparse matrix, made dense without scipy."""

    def build(self, budget: Budget, state: Any) -> None:
        self.value = state


class _SparseCsr(_Sparse):
    """Compressed by rows."""


class _SparseCoo(_Sparse):
    """Row and column per entry."""


def _raw(raw: Any, budget: Budget) -> bytes:
    """Bytes of an array; Python 2 wrote them as text."""
    if isinstance(raw, str):
        budget.take_bytes(len(raw))
        return raw.encode("latin1")
    if not isinstance(raw, (bytes, bytearray)):
        raise ValueError("an array without bytes")
    return bytes(raw)


def _numbers(raw: bytes, dtype: np.dtype) -> np.ndarray:
    return np.frombuffer(raw, dtype) if raw else np.zeros(0, dtype)      # numpy refuses an empty buffer


def _dtype_of(dtype: Any) -> np.dtype:
    code = dtype.code if isinstance(dtype, _Dtype) else dtype
    if not isinstance(code, str) or len(code) > LONGEST_CODE:
        raise ValueError("an array of an unknown type")
    made = np.dtype(code)
    if made.hasobject or not 0 < made.itemsize <= 16:
        raise ValueError(f"array of {code}")
    if isinstance(dtype, _Dtype) and dtype.order != "=":
        return made.newbyteorder("<" if dtype.order == "<" else ">")
    return made


def _scalar(budget: Budget, dtype: Any, raw: Any = b"") -> Any:
    return _numbers(_raw(raw, budget), _dtype_of(dtype))[0]


def _encode(budget: Budget, text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str):
        raise ValueError("an encoding of what is no text")
    budget.take_bytes(4 * len(text))
    return text.encode("latin1" if encoding == "latin1" else "utf-8")


def _made_by(kind: type) -> Make:
    """An empty stand-in; a pickle that calls its name with arguments (a size) is none of ours."""
    return lambda _budget: kind()


def _new_array(_budget: Budget, *_: Any) -> _Array:
    """numpy's _reconstruct, whose arguments (a class, an empty shape) say nothing."""
    return _Array()


def _reconstructed(budget: Budget, cls: Any, *_: Any) -> Any:
    """copyreg._reconstructor: an empty object of a class that the pickle has named before."""
    return cls.make(budget) if isinstance(cls, Name) else None


def _from_buffer(budget: Budget, raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    made = _Array()
    made.build(budget, (1, shape, dtype, order == "F", raw))
    return made


def _items(budget: Budget, given: Any) -> Any:
    if not isinstance(given, (list, tuple, set, dict)):
        raise ValueError("a container of what is none")
    budget.take_items(len(given))
    return given


def _list(budget: Budget, given: Any = ()) -> list:
    return list(_items(budget, given))


def _set(budget: Budget, given: Any = ()) -> set:
    return set(map(check_key, _items(budget, given)))


def _dict(budget: Budget, given: Any = ()) -> dict:
    pairs = _items(budget, given.items() if isinstance(given, dict) else given)
    return {check_key(key): value for key, value in pairs}


def _storage(budget: Budget, raw: Any = b"") -> Storage:
    return read_storage(_raw(raw, budget), budget)


def _tensor(budget: Budget, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> np.ndarray:
    """torch._utils._rebuild_tensor_v2: a view of a storage, copied."""
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    return storage.view(budget, offset, size, stride)


_ALLOWED: dict[tuple[str, str], Make] = {
    **{(module, "_reconstruct"): _new_array for module in _ARRAY_MODULES},
    **{(module, "scalar"): _scalar for module in _ARRAY_MODULES},
    **{(module, "_frombuffer"): _from_buffer for module in ("numpy.core.numeric", "numpy._core.numeric")},
    ("numpy", "ndarray"): _made_by(_Array),
    ("numpy", "dtype"): lambda _budget, code="f8", *_: _Dtype(code),
    ("chumpy.ch", "Ch"): _made_by(_Chumpy),
    ("_codecs", "encode"): _encode,
    ("copy_reg", "_reconstructor"): _reconstructed,
    ("copyreg", "_reconstructor"): _reconstructed,
    **{(module, name): make for module in ("builtins", "__builtin__")
       for name, make in (("set", _set), ("object", _made_by(_StandIn)), ("list", _list), ("dict", _dict),
                          ("bytes", _made_by(bytes)))},          # how Python 3 writes an empty array for Python 2
    ("collections", "OrderedDict"): _dict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.storage", "_load_from_bytes"): _storage,
}


def _plain(value: Any, depth: int, budget: Budget) -> Any:
    """Stand-ins replaced by what they stand for."""
    budget.take_items(1)
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, _Sparse):
        return _dense(value, depth, budget)
    if isinstance(value, _StandIn):
        return _plain(value.value, depth + 1, budget)
    if isinstance(value, dict):
        return {key: _plain(item, depth + 1, budget) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item, depth + 1, budget) for item in value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        made = np.empty(value.size, dtype=object)
        made[:] = [_plain(item, depth + 1, budget) for item in value.ravel()]
        return made.reshape(value.shape)
    return None if isinstance(value, (Name, Storage)) else value


def _dense(matrix: _Sparse, depth: int, budget: Budget) -> np.ndarray:
    """The dense array of a compressed or coordinate sparse matrix; numpy checks every index."""
    state = {key: _plain(item, depth + 1, budget) for key, item in matrix.value.items()}
    rows, columns = (int(size) for size in (state.get("_shape") or state["shape"]))
    data = np.asarray(state["data"], dtype=np.float64)
    if min(rows, columns) < 0 or math.prod((rows, columns)) > MOST_DENSE or data.ndim != 1:
        raise ValueError(f"a dense size of {rows} x {columns}")
    budget.take_bytes(8 * rows * columns)
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
