"""Real photos: agreement with facenet-pytorch, hard cases, and whether our crops show who is who to an independent network."""
from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from face_photos import IDENTITIES, group_photo, package, photo

from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.mtcnn import Mtcnn
from caphuman_core.identity.encode import look

NAMES = [name for names in IDENTITIES.values() for name in names]


@pytest.fixture(scope="module")
def mtcnn():
    return Mtcnn()


@pytest.fixture(scope="module")
def reference():
    """facenet-pytorch's own detector."""
    package("facenet_pytorch")
    from facenet_pytorch import MTCNN
    return MTCNN(image_size=160, margin=0)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_facenet_pytorch(mtcnn, reference, name):
    from PIL import Image
    picture = photo(name)
    pil = Image.fromarray((picture * 255).round().byte().permute(1, 2, 0).numpy())
    theirs, sure, points = reference.detect(pil, landmarks=True)
    ours = mtcnn.find(picture[None])[0]
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(torch.stack([face.box_xyxy for face in ours]), np.array(theirs, float), atol=0.5)
    np.testing.assert_allclose(torch.stack([face.points5 for face in ours]), np.array(points, float), atol=0.5)
    np.testing.assert_allclose([face.confidence for face in ours], np.array(sure, float), atol=1e-3)
    crop = look(picture[None], detect(mtcnn, picture[None], max_faces=1)).crops[0] * 255
    expected = torch.tensor(np.asarray(reference(pil))) * 128 + 127.5
    # Equal when the boxes cut to the same whole pixels; a box half a pixel off moves edges by one in a hundred.
    assert (crop - expected).abs().mean() < 2


@pytest.fixture(scope="module")
def descriptors(mtcnn):
    """dlib's 128 numbers of who the face crop shows, for every photo."""
    folder = package("face_recognition_models") / "models"
    dlib = pytest.importorskip("dlib", reason="the package dlib-bin is not installed")
    network = dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))
    found = {}
    for name in NAMES:
        picture = photo(name)[None]
        crop = look(picture, detect(mtcnn, picture, max_faces=1)).crops
        chip = torch.nn.functional.interpolate(crop, (150, 150), mode="bilinear", antialias=True)[0]
        pixels = np.ascontiguousarray((chip * 255).round().byte().permute(1, 2, 0).numpy())
        found[name] = np.array(network.compute_face_descriptor(pixels))
    return found


def test_crops_of_one_person_are_closer_than_those_of_different_people(descriptors):
    """An independent network judges the crops: with real FaceNet weights ours see the same."""
    def distance(one, other):
        return float(np.linalg.norm(descriptors[one] - descriptors[other]))

    pairs = [(one, other, set(NAMES) - set(names)) for names in IDENTITIES.values() for one, other in combinations(names, 2)]
    assert len(pairs) == 4
    for one, other, strangers in pairs:
        nearest = min((distance(mine, stranger), stranger) for mine in (one, other) for stranger in strangers)
        assert distance(one, other) < nearest[0], f"{one} and {other}: {distance(one, other):.3f}, {nearest}"


def test_everyone_in_a_group_is_found(mtcnn):
    faces = detect(mtcnn, group_photo()[None], order="left to right").per_image[0]
    cells = {(int(face.points5[2, 0] // 300), int(face.points5[2, 1] // 300)) for face in faces if face.confidence > 0.9}
    assert cells == {(x, y) for x in range(3) for y in range(2)}


def test_twenty_faces_are_found_and_limited(mtcnn):
    tile = photo("astronaut")[:, 20:220, 120:320]
    crowd = torch.cat([torch.cat([tile] * 5, 2)] * 4, 1)[None]
    assert detect(mtcnn, crowd).count == 20
    assert detect(mtcnn, crowd, max_faces=7).count == 7


def _blurred(picture):
    from torchvision.transforms.functional import gaussian_blur
    return gaussian_blur(picture, 9, 2.5)


HARD = {
    "dark": lambda p: p * 0.25, "blurred": _blurred, "pale": lambda p: 0.7 + 0.3 * p,
    "small": lambda p: torch.nn.functional.interpolate(p[None], scale_factor=0.4, mode="bilinear", antialias=True)[0],
    "noisy": lambda p: (p + 0.08 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1),
    "mirrored": lambda p: p.flip(2), "grey": lambda p: p.mean(0, keepdim=True).expand(3, -1, -1),
    "masked": lambda p: torch.cat([p[:, :126], p[:, 126:172] * 0.1 + 0.6, p[:, 172:]], 1),
}


@pytest.mark.parametrize("case", HARD)
def test_hard_cases_are_found_where_they_are(mtcnn, case):
    picture = HARD[case](photo("astronaut"))
    face = detect(mtcnn, picture[None]).per_image[0][0]
    scale = picture.shape[1] / 512
    middle = torch.tensor([224.0, 117.0]) * scale                            # of the face's box in the photo as it is
    if case == "mirrored":
        middle[0] = 512 - middle[0]
    assert ((face.box_xyxy[:2] + face.box_xyxy[2:]) / 2 - middle).norm() < 20 * scale
