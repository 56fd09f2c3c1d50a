"""Damaged files, two thousand of them: each is read as something sound, or refused in one sentence that names the file."""
from __future__ import annotations

import io
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_flame
import torch

from caphuman_core.check import InputError
from caphuman_core.files.recognising import peek
from caphuman_core.files.weights import read_state_dict
from caphuman_core.head import storage as heads
from caphuman_core.head.model.flame_files import find_flame_files, load_flame
from caphuman_core.head.model.head_model import HeadModel, load_builtin, load_file
from caphuman_core.head.new import new_head
from caphuman_core.identity import storage as identities

MUTATIONS = 2000
HEADS = 4                                # of ten mutations fall near the start, where formats keep their structure


def flame(path: Path) -> object:
    return load_flame(find_flame_files(path.with_name("generic_model.pkl"), []))


def weights(path: Path) -> object:
    return read_state_dict(path, "model")


def write_all(folder: Path) -> dict[str, tuple[Path, Callable[[Path], object]]]:
    """Small, whole files of every kind by name, and what reads each."""
    made: dict[str, tuple[Path, Callable[[Path], object]]] = {}
    for protocol in (0, 2, 4):
        place = folder / f"flame{protocol}"
        place.mkdir()
        made[f"pickle {protocol}"] = (tiny_flame.write(place, protocol, texture=False), flame)
    made["landmarks"] = (folder / "flame2" / "landmark_embedding.npy", flame)
    made["template"] = (folder / "flame2" / "head_template.obj", flame)
    (folder / "textured").mkdir()
    tiny_flame.write(folder / "textured")
    made["texture"] = (folder / "textured" / "FLAME_texture.npz", flame)
    state = {"E_flame": {"conv1.weight": torch.ones(2, 3), "n": torch.arange(4)}, "epoch": 3}
    for name, zipped in (("new.tar", True), ("old.pth", False)):
        torch.save(state, folder / name, _use_new_zipfile_serialization=zipped)
        made[name] = (folder / name, weights)
    model = load_flame(find_flame_files(folder / "flame2" / "generic_model.pkl", []))
    from safetensors.torch import save_file
    tensors = {key: value.contiguous() for key, value in vars(model).items() if isinstance(value, torch.Tensor)}
    save_file(tensors, folder / "head_model.safetensors", {"format": "caphuman-head/1", "expression_names": '["a"]'})
    made["head model"] = (folder / "head_model.safetensors", load_file)
    heads.save_head(new_head(load_builtin(), 64, 48), folder / "a.head.safetensors")
    made["head"] = (folder / "a.head.safetensors", heads.load_head)
    identity = identities.Identity(torch.zeros(1, 512), torch.zeros(1, 257, 1024), torch.tensor([True]), "")
    identities.save_identity(identity, folder / "a.identity.safetensors")
    made["identity"] = (folder / "a.identity.safetensors", identities.load_identity)
    return made


def damaged(data: bytes, some: random.Random) -> bytes:
    """The bytes with one to four changes: other bytes, some missing, some twice, numbers at their limits, the end gone."""
    changed = bytearray(data)
    for _ in range(some.randint(1, 4)):
        reach = min(len(changed), 400) if some.randrange(10) < HEADS else len(changed)
        at, length = some.randrange(max(1, reach)), some.choice((1, 1, 2, 4, 8, 30))
        kind = some.randrange(6)
        if kind == 0:
            changed[at:at + length] = some.randbytes(length)
        elif kind == 1:
            del changed[at:at + length]
        elif kind == 2:
            changed[at:at] = changed[at:at + length]
        elif kind == 3:
            changed[at:at + length] = some.choice((b"\xff", b"\x00", b"\x7f")) * length
        elif kind == 4:
            del changed[at:]
        else:
            changed[at:at + 1] = bytes([changed[at] ^ (1 << some.randrange(8))] if at < len(changed) else [])
    return bytes(changed)


def sound(result: object) -> bool:
    """Whether what was read is whole: tensors of numbers, and for heads finite ones."""
    if isinstance(result, dict):
        return all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in result.items())
    tensors = [value for value in vars(result).values() if isinstance(value, torch.Tensor)]
    finite = all(bool(value.isfinite().all()) for value in tensors if value.is_floating_point())
    return finite and (not isinstance(result, HeadModel) or int(result.faces.max()) < len(result.template))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("whole"))


KINDS = ("pickle 0", "pickle 2", "pickle 4", "landmarks", "template", "texture", "new.tar", "old.pth", "head model", "head",
         "identity")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_sound_or_refused(whole, kind, record_property):
    path, read = whole[kind]
    assert sound(read(path)), "the file that the others are made from"
    data, some = path.read_bytes(), random.Random(kind)
    tried = MUTATIONS // len(KINDS) + 1
    refused = []
    for number in range(tried):
        path.write_bytes(damaged(data, some))
        try:
            assert sound(read(path)), f"{kind}, mutation {number}"
        except InputError as error:
            refused.append(str(error))
        except BaseException as error:
            raise AssertionError(f"{kind}, mutation {number}: {type(error).__name__} {error}") from error
        assert peek(path) is not None
    path.write_bytes(data)
    record_property("refused", f"{len(refused)} of {tried}")
    assert refused
    assert [sentence for sentence in refused if not sentence.isprintable() or len(sentence) > 900] == []


WRONG = {"text": ["a", "b"], "bytes": [b"a", b"b"], "ragged": [[1], [1, 2]], "objects": [{}, {}], "nothing": [], "complex": [1j],
         "not finite": [float("nan")], "a number": 5, "none": None}


@pytest.mark.parametrize("odd", WRONG)
@pytest.mark.parametrize("entry", ["v_template", "f", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights"])
def test_entries_of_another_kind_are_named(tmp_path, entry, odd):
    array = np.array(WRONG[odd], dtype=object if odd in ("ragged", "objects", "none") else None)
    path = tiny_flame.write(tmp_path, texture=False)
    path.write_bytes(pickle.dumps({**tiny_flame.model(), entry: array}, 2))
    with pytest.raises(InputError, match=rf"generic_model\.pkl.*{entry}"):
        flame(path)


@pytest.mark.parametrize("odd", WRONG)
@pytest.mark.parametrize("entry", ["static_lmk_faces_idx", "dynamic_lmk_bary_coords", "full_lmk_faces_idx", "full_lmk_bary_coords"])
def test_landmarks_of_another_kind_are_named(tmp_path, entry, odd):
    tiny_flame.write(tmp_path, texture=False)
    table = np.array({**tiny_flame.landmarks(), entry: WRONG[odd]}, dtype=object)
    np.save(tmp_path / "landmark_embedding.npy", table, allow_pickle=True)
    named = "builtins.complex" if odd == "complex" else entry           # a name that no such file refers to
    with pytest.raises(InputError, match=rf"landmark_embedding\.npy.*{named}"):
        flame(tmp_path / "generic_model.pkl")


def npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def test_textures_of_another_kind_are_named(tmp_path):
    tiny_flame.write(tmp_path)
    good, path = np.zeros((512, 512, 3), np.uint8), tmp_path / "FLAME_texture.npz"
    for mean, basis, named in ((good.astype("S1"), good[..., None], "mean"), (good[:4], good[..., None], "mean"),
                               (good, good.astype("U1")[..., None], "tex_dir"), (good, good[:100], "tex_dir"),
                               (good, np.zeros(0), "tex_dir"), (np.array([{}], dtype=object), good, "mean")):
        path.write_bytes(npz(mean=mean, tex_dir=basis))
        with pytest.raises(InputError, match=rf"FLAME_texture\.npz.*{named}"):
            flame(tmp_path / "generic_model.pkl")
    # A method of packing that Python's zipfile does not know, and an entry that lies about its length.
    whole_file = npz(mean=good, tex_dir=good[..., None])
    first = whole_file.index(b"PK\x03\x04")
    directory = whole_file.index(b"PK\x01\x02")
    for at, value in ((directory + 10, 99), (directory + 8, 1)):
        broken = bytearray(whole_file)
        broken[at] = value
        path.write_bytes(bytes(broken))
        with pytest.raises(InputError, match=r"FLAME_texture\.npz"):
            flame(tmp_path / "generic_model.pkl")
    assert first == 0


def test_an_encoder_chosen_as_head_model_is_told_so(tmp_path):
    torch.save({"E_flame": {"a": torch.zeros(2)}}, tmp_path / "deca_model.tar")
    with pytest.raises(InputError, match=r"deca_model\.tar' must be of format caphuman-head/1 or caphuman-head/2"):
        load_file(tmp_path / "deca_model.tar")
