"""CapHuman Refine Head through the real host."""
from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture(scope="module")
def photo():
    return torch.from_numpy(np.array(Image.open(GOLDEN / "face_photo_astronaut.png").convert("RGB")))[None].float() / 255


@pytest.fixture(scope="module")
def flow(pack):
    return importlib.import_module(f"{pack.__name__}.caphuman_core.flow")


@pytest.fixture(scope="module")
def face(flow):
    """The astronaut's face with its golden 68 points."""
    points = torch.from_numpy(np.load(GOLDEN / "face_crop.npz")["face/kpt"]).float()
    five = importlib.import_module(f"{flow.__name__.rpartition('.')[0]}.points").five_from_68(points)
    return flow.Face(torch.cat([points.amin(0), points.amax(0)]), 1.0, points5=five, points68=points)


@pytest.fixture
def fitted(call, flow, face, photo):
    """What Refine Head is given, for the astronaut."""
    model, = call("CapHumanLoadHeadModel", head_model_name="built-in")
    faces = flow.Faces(((face,),), 512, 512)
    head, _ = call("CapHumanFitHeadLandmarks", image=photo, faces=faces, head_model=model)
    return {"image": photo, "faces": faces, "head": head, "head_model": model}


def test_one_face_gets_skin_and_a_report(call, fitted):
    head, overlay, report = call("CapHumanRefineHead", **fitted)
    assert overlay.shape == fitted["image"].shape
    assert 0.1 < float(head.texture.abs().max()) <= 3
    assert float(fitted["head"].texture.abs().max()) == 0, "what came in is not changed"
    assert report.startswith("Photo 1: 68 points; the gaze is not told by them.")
    assert " % now" in report


def test_five_points_alone_are_said_plainly(call, fitted, flow, face):
    five = flow.Face(face.box_xyxy, 1.0, points5=face.points5)
    head, overlay, report = call("CapHumanRefineHead", **{**fitted, "faces": flow.Faces(((five,),), 512, 512)})
    band = overlay[0, -20:]
    assert float(band.median()) < 0.2 < float(band.max()) - 0.5, "the overlay says so too, light on dark"
    assert "only five points were seen: mouth, brows and gaze are not told" in report
    torch.testing.assert_close(head.expression, fitted["head"].expression, atol=0, rtol=0)


def test_several_faces_are_refused_as_by_fit_head(call, fitted, flow, face):
    with pytest.raises(Exception, match="photo 1 must have one face to fit a head to, but got 2 faces: choose one"):
        call("CapHumanRefineHead", **{**fitted, "faces": flow.Faces(((face, face),), 512, 512)})


def test_a_batch_of_one_person_shares_its_shape(call, fitted, flow, face):
    picture = fitted["image"]
    both = {"image": torch.cat([picture, 0.7 * picture]), "faces": flow.Faces(((face,), (face,)), 512, 512),
            "head": flow.Head.stack([fitted["head"]] * 2), "head_model": fitted["head_model"]}
    head, overlay, report = call("CapHumanRefineHead", **both, same_person=True)
    torch.testing.assert_close(head.identity[0], head.identity[1], atol=0, rtol=0)
    torch.testing.assert_close(head.texture[0], head.texture[1], atol=0, rtol=0)
    brightness = head.light[:, 0].mean(1)
    assert float(brightness[1]) < 0.9 * float(brightness[0]), "each photo its own light"
    assert overlay.shape[0] == 2
    assert len(report.splitlines()) == 2


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_photos_are_fine(call, fitted, channels):
    picture = fitted["image"]
    grey = picture.mean(-1, keepdim=True)
    image = grey if channels == 1 else torch.cat([picture, torch.ones_like(grey)], -1)
    head, overlay, _ = call("CapHumanRefineHead", **{**fitted, "image": image})
    assert overlay.shape == (1, 512, 512, 3)
    assert bool(head.light.isfinite().all())


def test_numbers_that_are_none_and_masks_of_other_photos_are_refused(call, fitted):
    broken = fitted["image"].clone()
    broken[0, 0, 0, 0] = float("nan")
    with pytest.raises(Exception, match="image must hold finite numbers"):
        call("CapHumanRefineHead", **{**fitted, "image": broken})
    with pytest.raises(Exception, match="skin must be one mask of 512 x 512"):
        call("CapHumanRefineHead", **fitted, skin=torch.ones(1, 64, 64))
    with pytest.raises(Exception, match="skin must hold finite numbers"):
        call("CapHumanRefineHead", **fitted, skin=torch.full((1, 512, 512), float("inf")))


def test_a_refined_head_refined_again_is_never_worse(call, fitted):
    once, _, _ = call("CapHumanRefineHead", **fitted)
    twice, _, report = call("CapHumanRefineHead", **{**fitted, "head": once})
    assert "came back as it was" in report or "now" in report
    moved = [float((after.identity - before.identity).norm()) for before, after in ((fitted["head"], once), (once, twice))]
    assert moved[1] < 0.7 * moved[0], "its own codes are what is expected"


def test_a_photo_s_skin_is_worn_where_that_is_asked_for(call, fitted):
    plain, _, _ = call("CapHumanRefineHead", **fitted)
    assert not plain.has_skin, "off by default"
    head, _, report = call("CapHumanRefineHead", **fitted, texture_from_photo=True)
    assert report.endswith("% of the face's skin is the photo's; the rest is filled in.")
    assert report.count("\n") == 0
    assert 0.02 < float(head.skin_detail.float().abs().max()) < 1.2
    assert torch.equal(head.texture, plain.texture), "codes and light are as without it"


def test_five_points_are_too_few_for_the_photo_s_skin(call, flow, fitted):
    only = replace(fitted["faces"].per_image[0][0], points68=None)
    head, _, report = call("CapHumanRefineHead", **{**fitted, "faces": flow.Faces(((only,),), 512, 512)}, texture_from_photo=True)
    assert not head.has_skin or not head.skin_detail.any()
    assert "five points do not say where brows and mouth are" in report
