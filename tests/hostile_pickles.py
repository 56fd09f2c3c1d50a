"""Small pickles that cost minutes or gigabytes where they are simply run; `CASES` makes them by name."""
from __future__ import annotations

import pickle
import struct
from collections.abc import Callable

import numpy as np

PRIME = (1 << 61) - 1                    # Python's hashes of integers are their remainders of it


def _nested(width: int, depth: int) -> bytes:
    """A tuple of `width` times the tuple of `width` times ...: as many leaves as width to the power of depth."""
    many = {2: b"2\x86", 3: b"22\x87"}.get(width)
    if many is not None:
        return b")" + many * depth
    return b")q\x000" + (b"(" + b"h\x00" * width + b"tq\x000") * depth + b"h\x00"


def _equal_hashes(count: int) -> list[bytes]:
    return [pickle.dumps(number * PRIME, 2)[2:-1] for number in range(1, count + 1)]


def _again(thing: bytes, function: bytes, count: int) -> bytes:
    """A function called with one and the same thing."""
    return b"\x80\x02](" + thing + b"q\x000" + (function + b"h\x00\x85R") * count + b"e."


def _text(length: int) -> bytes:
    return b"X" + struct.pack("<I", length) + b"x" * length


def _torch(size: tuple[int, ...], stride: tuple[int, ...], count: int) -> bytes:
    """Views of a storage of four numbers that claim far more."""
    import io

    import torch
    file = io.BytesIO()
    torch.save(torch.zeros(4)._typed_storage(), file, _use_new_zipfile_serialization=False)
    storage = b"ctorch.storage\n_load_from_bytes\n" + pickle.dumps(file.getvalue(), 3)[2:-1] + b"\x85Rq\x010"
    numbers = [pickle.dumps(numbers, 2)[2:-1] for numbers in (size, stride)]
    view = b"ctorch._utils\n_rebuild_tensor_v2\n(h\x01K\x00" + b"".join(numbers) + b"\x89}tR"
    return b"\x80\x03" + storage + b"]" + (view + b"a") * count + b"."


def _sparse(side: int) -> bytes:
    def array(values: np.ndarray) -> bytes:
        return pickle.dumps(values, 2)[2:-1]
    state = {b"shape": pickle.dumps((side, side), 2)[2:-1], b"data": array(np.zeros(1)), b"indices": array(np.zeros(1, np.int32)),
             b"indptr": array(np.r_[np.zeros(side, np.int32), np.ones(1, np.int32)])}
    items = b"".join(_key(name) + value for name, value in state.items())
    return b"\x80\x02cscipy.sparse.csc\ncsc_matrix\n)\x81}(" + items + b"ub."


def _key(name: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(name)) + name


CASES: dict[str, Callable[[], bytes]] = {
    "nested pairs as a key": lambda: b"\x80\x02}" + _nested(2, 45) + b"Ns.",
    "nested triples as a key": lambda: b"\x80\x02}" + _nested(3, 60) + b"Ns.",
    "nested hundreds as a key": lambda: b"\x80\x02}" + _nested(100, 8) + b"Ns.",
    "nested pairs in a set": lambda: b"\x80\x04\x8f(" + _nested(2, 45) + b"\x90.",
    "nested hundreds in a set": lambda: b"\x80\x04\x8f(" + _nested(100, 8) + b"\x90.",
    "nested pairs in a frozen set": lambda: b"\x80\x04(" + _nested(2, 45) + b"\x91.",
    "nested pairs in a called set": lambda: b"\x80\x02c__builtin__\nset\n(](" + _nested(2, 45) + b"etR.",
    "nested pairs in an ordered dictionary": lambda: b"\x80\x02ccollections\nOrderedDict\n(](](" + _nested(2, 45) + b"NeetR.",
    "a set of 30,000 equal hashes": lambda: b"\x80\x04\x8f(" + b"".join(_equal_hashes(30_000)) + b"\x90.",
    "a dictionary of 900,000 equal hashes": lambda: b"\x80\x02}(" + b"N".join(_equal_hashes(900_000)) + b"Nu.",
    "nested lists as a value": lambda: b"\x80\x02]" + b"".join(b"q" + bytes([k]) + b"0](h" + bytes([k]) + b"h" + bytes([k]) + b"e"
                                                              for k in range(40)) + b".",
    "five views of a gigabyte": lambda: _torch((1 << 14, 1 << 14), (0, 0), 5),
    "views that overlap": lambda: _torch((4, 1 << 26), (1, 0), 3),
    "a negative view": lambda: _torch((1 << 20,), (-1,), 1),
    "a text encoded again and again": lambda: _again(_text(8 << 20), b"c_codecs\nencode\n", 400),
    "a list copied again and again": lambda: _again(b"](" + b"N" * 100_000 + b"e", b"c__builtin__\nlist\n", 5000),
    "a sparse matrix of 16,384 x 16,384": lambda: _sparse(1 << 14),
    "three million steps": lambda: b"\x80\x02" + b"N0" * 1_500_000 + b"N.",
    "a million lists": lambda: b"\x80\x02](" + b"]" * 1_000_000 + b"e.",
    "a million marks": lambda: b"\x80\x02" + b"(" * 1_000_000 + b".",
    "a deep list": lambda: b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "a huge memo index": lambda: b"\x80\x02Nr\xff\xff\xff\x7f.",
    "a huge declared text": lambda: b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.",
    "a number of a million digits": lambda: b"L" + b"9" * 1_000_000 + b"L\n.",
}
