from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from caphuman_core.check import InputError
from caphuman_core.head.fit import deca
from tools.goldens import faces as goldens
from tools.stand_ins import face_nets

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def photo(name):
    return torch.from_numpy(np.array(Image.open(GOLDEN / name).convert("RGB"))).movedim(-1, 0).float() / 255


CROPS = {"face": 512, "from_300x400": 512, "near_edge": 512, "no_face": 512, "no_face_unresized": None, "small256": 256}


@pytest.mark.parametrize("case", CROPS)
def test_crop_is_golden(golden, case):
    settings = json.loads((GOLDEN / "face.json").read_text())["files"]["face_crop.npz"]["settings"]
    data = {key.split("/")[1]: value for key, value in golden("face_crop").items() if key.startswith(case + "/")}
    picture = photo(settings[case]["photo"])
    if CROPS[case]:
        picture = deca.released_square(picture, CROPS[case])
    if "original_u8" in data:       # face.json: equal, but for at most 0.1 % of the values off by one
        stored = data["original_u8"].astype(int)
        ours = (picture.movedim(0, -1).numpy() * 255).round().astype(int)
        ours = ours[::2, ::2] if len(stored) < len(ours) else ours
        assert np.abs(ours - stored).max() <= 1
        assert np.mean(ours != stored) <= 1e-3
    points = torch.from_numpy(data["kpt"]) if "kpt" in data else None
    low, high = deca.box_of(points, picture.shape[2], picture.shape[1])
    np.testing.assert_allclose([low[0], low[1], high[0], high[1]], data["bbox"][[0, 1, 2, 3]], rtol=1e-6)
    crop = deca.crop_around(picture, low, high)
    np.testing.assert_allclose(crop.to_crop.numpy(), data["tform"], rtol=1e-5, atol=1e-5)          # face.json: 1e-5 relative
    np.testing.assert_allclose(deca.placing_of(crop).numpy(), data["decode_tform"][0], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(crop.image.numpy(), data["image"].astype(np.float32), atol=1e-3)    # face.json


def test_encoder_is_golden():
    for each in goldens.deca(face_nets.deca()):
        each.require()


def test_a_file_of_another_network_is_refused():
    with pytest.raises(InputError, match="must be DECA's encoder"):
        deca.build_encoder({"conv1.weight": torch.zeros(1)}, "head fitter file 'x.tar'")
