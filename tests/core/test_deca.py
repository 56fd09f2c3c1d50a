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


# --- by hand

def test_a_photo_one_pixel_wide_or_high_is_squashed_and_cropped_too():
    row = torch.linspace(0, 1, 3).expand(3, 1, 3)
    squashed = deca.released_square(row, 4)
    assert squashed.shape == (3, 4, 4)
    assert torch.equal(squashed[:, 0], squashed[:, 3]), "every row is the one there is"
    assert torch.equal(deca.released_square(row.transpose(1, 2), 4), squashed.transpose(1, 2))
    assert deca._mirror(torch.tensor([-3, 0, 5]), 1).tolist() == [0, 0, 0]
    assert deca._mirror(torch.arange(-4, 8), 3).tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]
    crop = deca.crop_around(torch.full((3, 1, 40), 0.5), torch.tensor([0.0, 0.0]), torch.tensor([20.0, 20.0]))
    assert float(crop.image.max()) == pytest.approx(0.5, abs=1e-6)


def test_eight_bits_of_a_square_are_cut_and_not_rounded():
    photo = torch.tensor([0.0, 100.4, 100.6, 255.0]).view(1, 2, 2).expand(3, 2, 2) / 255
    assert set((deca.released_square(photo, 2)[0] * 255).round().flatten().tolist()) <= {0.0, 99.0, 100.0, 101.0, 254.0, 255.0}
    step = deca.released_square(torch.tensor([[0.0, 1.0]]).expand(3, 1, 2), 4)[0, 0] * 255
    assert step.round().tolist() == [63, 63, 191, 191], "63.75 and 191.25; borders are mirrored about the last sample"


def test_shrinking_blurs_by_half_of_what_is_beyond_one_along_that_axis_only():
    """A white column of 12, shrunk to 4 of them: a Gaussian of (3 - 1) / 2 = 1 pixel, sampled at the cells' middles."""
    photo = torch.zeros(3, 4, 12)
    photo[:, :, 4] = 1
    weights = torch.exp(-0.5 * torch.arange(-4.0, 5) ** 2)
    weights /= weights.sum()
    found = deca.released_square(photo, 4)[0]
    wanted = [float(weights[4 + offset]) if abs(offset) <= 4 else 0.0 for offset in (3, 0, 3, 6)]     # middles at 1, 4, 7, 10
    assert (found * 255).round().tolist() == [[int(255 * share) for share in wanted]] * 4
    assert torch.equal(deca.released_square(photo.transpose(1, 2), 4)[0], found.T)


def test_keys_of_the_encoder_are_read_and_no_others():
    for key, ours in (("E_flame.encoder.conv1.weight", True), ("encoder.conv1.weight", True), ("layers.0.bias", True),
                      ("E_detail.encoder.conv1.weight", False), ("D_detail.l1.weight", False), ("optimizer", False)):
        assert deca.is_encoder_key(key) == ours


def test_a_crop_s_way_to_the_photo_and_back_is_one():
    crop = deca.crop_around(torch.zeros(3, 60, 80), torch.tensor([10.0, 20.0]), torch.tensor([50.0, 40.0]))
    size = int(30 * 1.1 * 1.25)
    corner = crop.to_crop @ torch.tensor([30 - size / 2, 30 - size / 2, 1.0], dtype=torch.float64)
    torch.testing.assert_close(corner, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    there = torch.tensor([17.0, 33.0, 1.0])
    torch.testing.assert_close((crop.to_crop @ there.double()).float() @ deca.placing_of(crop), there, atol=1e-4, rtol=0)
