"""Small .safetensors files that people give to each other (heads, identities): whatever stands in one, it is read safely."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..check import fail, require
from .weights import read_metadata, read_state_dict

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_NUMBER = 1e6         # pixels, codes and embeddings stay far below; larger ones would overflow where they are multiplied


def read_shared(path: Path, name: str, forms: tuple[str, ...], saver: str, most_bytes: int,
                needed: frozenset[str], optional: frozenset[str] = frozenset()) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file that one of the pack's nodes saved; InputError for any other.

    name: how errors call the file. forms: what the metadata may give as "format". saver: the node that writes such files.
    "present" comes as bool, every other tensor as float32 of finite numbers up to LARGEST_NUMBER.
    """
    size = path.stat().st_size if path.is_file() else 0
    fix = f"choose a file made by {saver}"
    require(0 < size <= most_bytes, name, f"must be a file of at most {most_bytes >> 20} MB",
            f"{size} bytes" if size else "no such file or an empty one", fix)
    info = read_metadata(path, name.split(" file ")[0])
    require(info.get("format") in forms, name, f"must be of format {' or '.join(forms)}", repr(info.get("format"))[:80], fix)

    def known(key: str) -> bool:
        require(key in needed or key in optional, name, "must hold nothing else", f"{key[:80]!r} in it", fix)
        return True
    tensors = read_state_dict(path, name.split(" file ")[0], known)
    missing = sorted(needed - set(tensors))
    require(not missing, name, f"must hold {', '.join(sorted(needed))}", f"no {', '.join(missing)}", fix)
    return {key: _plain(tensor, key, name, fix) for key, tensor in tensors.items()}, info


def _plain(tensor: Tensor, key: str, name: str, fix: str) -> Tensor:
    import torch
    if key == "present":
        require(tensor.dtype == torch.bool, name, "must hold present as true or false", str(tensor.dtype), fix)
        return tensor
    require(tensor.dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64), name,
            f"must hold {key} as floating-point numbers", str(tensor.dtype), fix)
    numbers = tensor.float()
    if not bool((numbers.abs() <= LARGEST_NUMBER).all()):                      # false for NaN too
        fail(name, f"must hold finite numbers up to {LARGEST_NUMBER:,.0f}", f"others in {key}", fix)
    return numbers


def whole_number(text: str | None, most: int) -> int | None:
    """A number from 1 to `most` that metadata writes in plain digits; None for anything else."""
    if text is None or len(text) > 9 or not (text.isascii() and text.isdecimal()):
        return None
    return int(text) if 1 <= int(text) <= most else None
