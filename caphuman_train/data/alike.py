"""Which pictures are one and the same, though saved at another size, quality or brightness: perceptual hashes of 256 bits.

The signs of the lowest 16 x 16 cosine frequencies of the picture in grey (Zauner 2010). On ten portraits, copies at half the size,
at JPEG quality 40 or a fifth brighter differ in 0 to 14 bits, two photos of a person in 100 and more; a flip or a crop is another
picture.
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

FREQUENCIES, SIDE = 16, 64               # kept along each axis; pixels that the picture is reduced to
BANDS = FREQUENCIES                      # of 16 bits each
MOST_BITS = BANDS - 1                    # that two copies differ in: then at least one band is equal


def picture_hash(picture: Image) -> str:
    """64 hex digits."""
    from PIL import Image as Pil
    grey = np.asarray(picture.convert("L").resize((SIDE, SIDE), Pil.Resampling.BOX), dtype=np.float64)
    low = (_cosines() @ grey @ _cosines().T)[:FREQUENCIES, :FREQUENCIES]
    return np.packbits(low > np.median(low)).tobytes().hex()


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float64]:
    place = np.arange(SIDE)
    return np.cos(np.pi * (2 * place[None] + 1) * place[:, None] / (2 * SIDE))


def copies(hashes: Sequence[str], worth: Sequence[float]) -> dict[int, int]:
    """index of a copy -> index of the picture that is kept in its place.

    Of pictures that are alike the one of greatest worth stays (say, of most pixels), among equals the first. No chains: what is
    left out is alike to the very one that stays.
    """
    bits = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8).reshape(-1, FREQUENCIES ** 2 // 8)
    alike: dict[int, list[int]] = {}
    for one, other in _pairs(bits):
        alike.setdefault(one, []).append(other)
        alike.setdefault(other, []).append(one)
    left_out: dict[int, int] = {}
    for index in sorted(alike, key=lambda i: (-worth[i], i)):
        kept = min((other for other in alike[index] if other not in left_out
                    and (-worth[other], other) < (-worth[index], index)), default=None)
        if kept is not None:
            left_out[index] = kept
    return left_out


def _pairs(bits: NDArray[np.uint8]) -> set[tuple[int, int]]:
    """Pairs of rows [N, 32] that differ in at most MOST_BITS bits: looked for among those with an equal band."""
    unique, inverse = np.unique(bits, axis=0, return_inverse=True)
    members: dict[int, list[int]] = {}
    for index, group in enumerate(inverse.ravel().tolist()):
        members.setdefault(group, []).append(index)
    found = {(group[0], other) for group in members.values() for other in group[1:]}
    for band in range(BANDS):
        keys = unique[:, 2 * band].astype(np.int64) * 256 + unique[:, 2 * band + 1]
        order = np.argsort(keys, kind="stable")
        for same in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
            for at in range(len(same) - 1):
                near = _ones(unique[same[at]] ^ unique[same[at + 1:]]) <= MOST_BITS
                found |= {(a, b) for other in same[at + 1:][near].tolist() for a in members[int(same[at])] for b in members[other]}
    return found


def _ones(values: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Set bits in each row of [N, 32]."""
    return _ONES[values].sum(1)


_ONES = np.array([number.bit_count() for number in range(256)])
