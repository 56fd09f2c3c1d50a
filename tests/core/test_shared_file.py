"""Heads and identities from strangers: whatever a file says, it is read whole and plain or refused in one short sentence."""
from __future__ import annotations

import json
import pickle
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from caphuman_core.check import InputError, fail
from caphuman_core.flow import LATER
from caphuman_core.head import storage as heads
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.identity import storage as identities

GOOD = {
    "head": (heads.load_head, {key: value for key, value in new_head(load_builtin(), 64, 48)._tensors().items() if value.numel()},
             {"format": heads.FORMAT, "width": "64", "height": "48"}),
    "identity": (identities.load_identity, {"global_embedding": torch.zeros(1, 512), "local_tokens": torch.zeros(1, 257, 1024),
                                            "present": torch.tensor([True]), "arcface": torch.zeros(1, 512)},
                 {"format": identities.FORMAT}),
}


def refuse(kind, path, about=""):
    """Reading must end with one short, printable sentence. about: what is wrong with the file, if a test tries several."""
    try:
        GOOD[kind][0](path)
    except InputError as refusal:
        sentence = str(refusal)
    else:
        pytest.fail(f"a {kind} file with {about or 'something wrong'} was read")
    assert len(sentence) < 900, about
    assert sentence.isprintable(), about


def written(kind, tmp_path, tensors=(), metadata=()):
    _, good, info = GOOD[kind]
    path = tmp_path / f"a.{kind}.safetensors"
    changed = {key: tensor for key, tensor in {**good, **dict(tensors)}.items() if tensor is not None}
    save_file({key: tensor.contiguous() for key, tensor in changed.items()}, path, {**info, **dict(metadata)})
    return path


@pytest.mark.parametrize("kind", GOOD)
def test_the_files_that_the_others_are_made_from_load(tmp_path, kind):
    assert len(GOOD[kind][0](written(kind, tmp_path))) == 1


@pytest.mark.parametrize("kind", GOOD)
def test_numbers_that_would_spoil_pictures_are_refused(tmp_path, kind):
    for key in GOOD[kind][1].keys() - {"present"}:
        for number in (float("nan"), float("inf"), -float("inf"), 1e30):
            tensor = GOOD[kind][1][key].clone()
            tensor.view(-1)[-1] = number
            refuse(kind, written(kind, tmp_path, {key: tensor}), f"{number} in {key}")


@pytest.mark.parametrize("kind", GOOD)
def test_other_kinds_of_numbers_are_refused(tmp_path, kind):
    for key, tensor in GOOD[kind][1].items():
        for dtype in (torch.float8_e4m3fn, torch.complex64, torch.int64, torch.uint8):
            refuse(kind, written(kind, tmp_path, {key: tensor.float().to(dtype)}), f"{key} as {dtype}")


@pytest.mark.parametrize("kind", GOOD)
def test_other_shapes_are_refused(tmp_path, kind):
    for key, tensor in GOOD[kind][1].items():
        missing = None if key not in ("arcface", *LATER) else tensor[0]        # may be absent
        for other in (tensor[:0], tensor[0], tensor[None], torch.zeros((), dtype=tensor.dtype), missing):
            shape = "nothing" if other is None else list(other.shape)
            refuse(kind, written(kind, tmp_path, {key: other}), f"{key} of shape {shape}")


def test_half_precision_comes_as_float32(tmp_path):
    for kind, key in (("head", "camera"), ("identity", "local_tokens")):
        loaded = GOOD[kind][0](written(kind, tmp_path, {key: GOOD[kind][1][key].half()}))
        assert getattr(loaded, key).dtype == torch.float32


def test_picture_sizes_are_plain_numbers(tmp_path):
    for side in ("1000000000", "-5", "0", "nan", "1e3", "٣٢", "9" * 5000, " 64 ", "6_4", "", "64\n"):
        for name in ("width", "height"):
            refuse("head", written("head", tmp_path, metadata={name: side}), f"the {name} {side[:20]!r}")


@pytest.mark.parametrize("kind", GOOD)
def test_texts_without_end_and_terminal_codes_do_not_reach_the_log(tmp_path, kind):
    refuse(kind, written(kind, tmp_path, metadata={"format": "\x1b[31m\n\u202e" + "x" * 1_000_000}))
    refuse(kind, written(kind, tmp_path, {"\x1b[31m" + "x" * 100_000: torch.zeros(1)}))
    with pytest.raises(InputError) as caught:
        fail("a file", "must be plain", "\x1b[31m\r\n\u202e" + "x" * 1_000_000, "do not use it")
    assert len(str(caught.value)) < 900
    assert str(caught.value).isprintable()


LIES = ("long", "longest", "deep", "not utf-8", "twice", "huge", "empty but huge", "overflow", "negative", "overlap",
        "unknown type", "numbers as texts", "nothing", "pickle", "zip")


@pytest.mark.parametrize("kind", GOOD)
def test_lying_headers_are_refused(tmp_path, kind):
    for case in LIES:
        refuse(kind, lying(tmp_path / f"a.{kind}.safetensors", kind, case), f"a header that is {case}")


def lying(path, kind, case):
    """A file whose table of contents does not hold."""
    info = {"__metadata__": GOOD[kind][2]}

    def entry(shape, end, dtype="F32"):
        return {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}
    one = json.dumps(entry([1], 4))
    texts = {"long": "{}", "longest": "{}", "deep": "[" * 100_000, "not utf-8": "\udcff\udcfe{}",
             "twice": f'{json.dumps(info)[:-1]},"present":{one},"present":{one}}}'}
    headers = {
        "huge": {**info, "present": entry([2**40], 2**42)}, "empty but huge": {**info, "present": entry([2**62, 0], 0)},
        "overflow": {**info, "present": entry([2**33, 2**33], 0)}, "negative": {**info, "present": entry([-1], 4)},
        "overlap": {**info, "present": entry([1], 4), "camera": entry([1], 4)},
        "unknown type": {**info, "present": entry([2], 4, "Q7")}, "numbers as texts": {"__metadata__": {"format": 5}},
    }
    text = (texts.get(case) or json.dumps(headers.get(case, {}))).encode(errors="surrogateescape")
    length = {"long": 2**63, "longest": 2**64 - 1}.get(case, len(text))
    path.write_bytes(struct.pack("<Q", length) + text + b"0000")
    if case == "pickle":
        path.write_bytes(pickle.dumps({"present": [1]}))
    if case == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
            bomb.writestr("present", b"0" * 20_000_000)
    return path


def test_codes_of_another_head_model_are_refused_where_they_are_used(tmp_path):
    refuse("head", written("head", tmp_path, {"identity": torch.zeros(1, 1001)}))
    model = load_builtin()
    for key, count in (("identity", 61), ("expression", 53), ("expression", 0)):
        head = heads.load_head(written("head", tmp_path, {key: torch.zeros(1, count)}, {"model_fingerprint": model.fingerprint}))
        with pytest.raises(InputError, match="shape and 52 expression numbers"):
            edit_head(head, model, Edit(yaw_degrees=5))
