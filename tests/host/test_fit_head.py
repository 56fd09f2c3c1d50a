"""DECA's fitter through the real host, on FLAME-format files and detfill weights."""
from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture(scope="module")
def flame_models(host):
    """models/flame with the test head in FLAME's original formats and a DECA file."""
    import folder_paths

    from tools.stand_ins import detfill, face_synthetic
    folder = Path(folder_paths.models_dir) / "flame"
    face_synthetic.write(folder)
    mean, basis = face_synthetic.texture(50)
    np.savez(folder / "FLAME_texture.npz", mean=mean, tex_dir=basis)
    keys = json.loads((GOLDEN / "face_keys.json").read_text())["deca_model.tar"]["E_flame"]
    weights = {key: torch.from_numpy(detfill.fill(f"E_flame.{key}", tuple(shape))) for key, shape in keys.items()}
    torch.save({"E_flame": weights, "D_detail": {"l1.0.bias": torch.zeros(3)}, "epoch": 1}, folder / "deca_model.tar")
    return folder


@pytest.fixture
def flow(pack):
    return importlib.import_module(f"{pack.__name__}.caphuman_core.flow")


def photo(name):
    return torch.from_numpy(np.array(Image.open(GOLDEN / name).convert("RGB")))[None].float() / 255


def loaded(call):
    fitter, = call("CapHumanLoadHeadFitter", model_name="deca_model.tar")
    model, = call("CapHumanLoadHeadModel", head_model_name="generic_model.pkl")
    return {"head_fitter": fitter, "head_model": model}


def face(flow, points):
    return flow.Face(torch.cat([points.amin(0), points.amax(0)]), 1.0, points68=points)


def test_batch_keeps_places_and_equals_single_photos(call, flow, golden, flame_models):
    crop = golden("face_crop")
    points = torch.from_numpy(crop["face/kpt"])
    picture = photo("face_photo_astronaut.png")
    batch = torch.cat([picture, torch.zeros_like(picture), picture.flip(2)])
    mirrored = points * torch.tensor([-1.0, 1.0]) + torch.tensor([512.0, 0.0])
    faces = flow.Faces(((face(flow, points),), (), (face(flow, mirrored),)), 512, 512)
    models = loaded(call)
    head, overlay = call("CapHumanFitHead", image=batch, faces=faces, **models)
    assert head.present.tolist() == [True, False, True]
    assert overlay.shape == batch.shape
    torch.testing.assert_close(overlay[1], batch[1])                 # nothing is drawn where no face is
    alone, _ = call("CapHumanFitHead", image=batch[2:], faces=flow.Faces(faces.per_image[2:], 512, 512), **models)
    for name in ("identity", "expression", "camera", "light", "crop_to_picture"):     # batched convolutions round differently
        torch.testing.assert_close(getattr(head, name)[2:], getattr(alone, name), atol=1e-4, rtol=1e-4)


def test_the_released_squash_is_reproduced(call, flow, golden, flame_models):
    crop = golden("face_crop")
    kpt = torch.from_numpy(crop["from_300x400/kpt"])                 # in the squashed 512 x 512 picture
    points = kpt * torch.tensor([300 / 512, 400 / 512])
    faces = flow.Faces(((face(flow, points),),), 300, 400)
    head, overlay = call("CapHumanFitHead", image=photo("face_photo_astronaut_300x400.png"), faces=faces, squash_to_square=512,
                         **loaded(call))
    assert (head.width, head.height) == (512, 512)
    assert overlay.shape == (1, 512, 512, 3)
    np.testing.assert_allclose(head.crop_to_picture[0].numpy(), crop["from_300x400/decode_tform"][0], rtol=1e-4, atol=1e-3)


def test_five_points_are_enough(call, flow, golden, flame_models):
    case = golden("face_identity")
    found = flow.Face(torch.from_numpy(case["astronaut/boxes"][0]), 1.0, points5=torch.from_numpy(case["astronaut/points"][0]))
    head, _ = call("CapHumanFitHead", image=photo("face_photo_astronaut.png"), faces=flow.Faces(((found,),), 512, 512),
                   **loaded(call))
    wanted = golden("face_crop")["face/decode_tform"][0]             # the crop that 68 true points give
    size = 223 / np.linalg.inv(wanted.T)[0, 0]
    assert abs(224 * float(head.crop_to_picture[0, 0, 0]) - size) < 0.35 * size


def test_deca_refuses_the_built_in_head(call, flow, golden, flame_models):
    points = torch.from_numpy(golden("face_crop")["face/kpt"])
    builtin, = call("CapHumanLoadHeadModel", head_model_name="built-in")
    with pytest.raises(Exception, match="head model must be FLAME, which DECA's codes refer to, but got 'built-in'"):
        call("CapHumanFitHead", image=photo("face_photo_astronaut.png"), faces=flow.Faces(((face(flow, points),),), 512, 512),
             head_fitter=loaded(call)["head_fitter"], head_model=builtin)


def test_faces_of_another_picture_are_refused(call, flow, flame_models):
    with pytest.raises(Exception, match="image must be the 1 photo"):
        call("CapHumanFitHead", image=torch.zeros(1, 64, 64, 3), faces=flow.Faces(((),), 512, 512), **loaded(call))
