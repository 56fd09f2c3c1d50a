"""Copies of one picture are found, other pictures are not."""
from __future__ import annotations

import io

import numpy as np
import pytest

from caphuman_core.pixels import image_of
from caphuman_train.data.alike import MOST_BITS, copies, picture_hash
from tools.stand_ins.people import photo

NAMES = ("astronaut", "man_a_1", "man_a_2", "man_a_3", "man_b_1")


@pytest.fixture(scope="module")
def pictures():
    return {name: image_of(photo(name)) for name in NAMES}


def bits(one, other):
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_at_another_size_quality_or_brightness_is_alike(pictures, name):
    from PIL import Image, ImageEnhance
    picture, buffer = pictures[name], io.BytesIO()
    picture.save(buffer, "JPEG", quality=40)
    changed = [picture.resize((picture.width // 2, picture.height // 2)), Image.open(buffer),
               ImageEnhance.Brightness(picture).enhance(1.2), picture.convert("L").convert("RGB")]
    assert max(bits(picture_hash(one), picture_hash(picture)) for one in changed) <= MOST_BITS


def test_other_photos_even_of_one_person_and_a_mirrored_one_are_not(pictures):
    marks = {name: picture_hash(picture) for name, picture in pictures.items()}
    marks["mirrored"] = picture_hash(pictures["man_a_1"].transpose(0))
    names = list(marks)
    distances = [bits(marks[a], marks[b]) for i, a in enumerate(names) for b in names[:i]]
    assert min(distances) > 4 * MOST_BITS


def changed(mark, places):
    number = int(mark, 16)
    for place in places:
        number ^= 1 << place
    return f"{number:064x}"


def test_of_copies_the_largest_stays_else_the_first():
    mark = np.random.default_rng(0).bytes(32).hex()
    near, far = changed(mark, range(MOST_BITS)), changed(mark, range(MOST_BITS + 1))
    assert copies([mark, near], [1, 1]) == {1: 0}
    assert copies([mark, near], [1, 2]) == {0: 1}
    assert copies([mark, far], [1, 1]) == {}
    assert copies([mark, mark, mark], [1, 1, 1]) == {1: 0, 2: 0}
    assert copies([], []) == {}


def test_copies_of_copies_are_judged_by_the_one_that_stays():
    """A film's frames are each alike to the next: not all of them are one picture."""
    mark = "0" * 64
    chain = [changed(mark, range(10 * i)) for i in range(4)]
    assert copies(chain, [1, 1, 1, 1]) == {1: 0, 3: 2}


def test_pairs_are_found_as_comparing_all_with_all_finds_them():
    from caphuman_train.data.alike import _pairs
    random = np.random.default_rng(1)
    rows = random.integers(0, 256, (60, 32), dtype=np.uint8)
    for copy in range(60):                                         # of the first rows, with 0 to 40 bits changed
        row = np.unpackbits(rows[copy % 10])
        row[random.permutation(256)[:copy % 41]] ^= 1
        rows = np.concatenate([rows, np.packbits(row)[None]])
    plain = {(i, j) for i in range(len(rows)) for j in range(i + 1, len(rows))
             if int(np.unpackbits(rows[i] ^ rows[j]).sum()) <= MOST_BITS}
    assert {tuple(sorted(pair)) for pair in _pairs(rows)} == plain
    assert len(plain) > 20
