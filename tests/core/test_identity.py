"""FaceNet, its crops, CLIP's view: the reference's numbers; mixing, keeping and comparing identities."""
from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
from face_photos import GOLDEN, golden_photo
from PIL import Image

from caphuman_core.check import InputError
from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.mtcnn import Mtcnn
from caphuman_core.flow import Face, Faces, Identity
from caphuman_core.identity import crops as views
from caphuman_core.identity import storage
from caphuman_core.identity.combine import average, combine
from caphuman_core.identity.compare import compare
from caphuman_core.identity.encode import look
from caphuman_core.identity.facenet import build_facenet
from caphuman_core.identity.options import CLIP_VIEWS, IDENTITY_SUFFIX
from caphuman_core.pixels import image_of
from tools.stand_ins import detfill

WHOLE = Face(torch.tensor([0.0, 0, 240, 300]), 0.0)


def facenet_state(logits=False):
    kind = "20180402-114759-vggface2.pt" if logits else "facenet_without_logits"
    keys = json.loads((GOLDEN / "face_keys.json").read_text())[kind]
    return {key: torch.from_numpy(np.asarray(detfill.fill("facenet." + key, tuple(shape)))) for key, shape in keys.items()}


@cache
def facenet():
    return build_facenet(facenet_state(), "FaceNet file 'x'")


@pytest.fixture(scope="module")
def mtcnn():
    return Mtcnn()


def test_facenet_gives_the_references_numbers(golden):
    numbers = golden("face_identity")
    pixels = (torch.from_numpy(numbers["filled/image_u8"]).permute(0, 3, 1, 2).float() - 127.5) / 128
    with torch.no_grad():                                       # 1e-5 is the reference's own tolerance
        np.testing.assert_allclose(facenet().before_norm(pixels), numbers["filled/before_norm"], atol=1e-5)
        np.testing.assert_allclose(facenet()(pixels), numbers["filled/embedding"], atol=1e-5)


@pytest.mark.parametrize("name", ["astronaut", "camera_rgb", "astronaut_300x400", "two_faces", "no_face"])
def test_crops_and_embeddings_of_photos(golden, mtcnn, name):
    numbers, photo = golden("face_identity"), golden_photo(name)
    faces = detect(mtcnn, photo[None], max_faces=1, if_none="whole image")
    seen = look(photo[None], faces)
    crop = (seen.crops[0] * 255).round().to(torch.uint8)
    if name != "no_face":
        assert np.array_equal(crop.numpy(), numbers[f"{name}/crop_u8"])
    shown = (seen.facenet[0] * 127.5 + 127.5).permute(1, 2, 0).numpy().astype(np.uint8)
    assert np.array_equal(shown, numbers[f"{name}/shown"])
    with torch.no_grad():
        np.testing.assert_allclose(facenet()(seen.facenet), numbers[f"{name}/embedding"], atol=1e-5)


def test_logits_are_dropped_by_name_and_nothing_else():
    state = facenet_state()
    build_facenet({**state, "logits.weight": torch.zeros(8631, 512), "logits.bias": torch.zeros(8631)}, "x")
    with pytest.raises(InputError, match=r"unknown: extra\.weight"):
        build_facenet({**state, "extra.weight": torch.zeros(1)}, "x")
    with pytest.raises(InputError, match=r"missing: last_bn\.bias"):
        build_facenet({key: value for key, value in state.items() if key != "last_bn.bias"}, "x")


def test_a_detector_net_is_no_identity_encoder():
    with pytest.raises(InputError, match=r"must hold FaceNet's InceptionResnetV1, but got weights such as conv1.bias"):
        build_facenet({"conv1.weight": torch.zeros(1), "conv1.bias": torch.zeros(1)}, "FaceNet file 'pnet.pt'")


@pytest.mark.parametrize("name", ["astronaut", "portrait"])
def test_clip_sees_the_references_pixels(golden, name):
    numbers = golden("diffusion_clip_vision")
    picture = Image.fromarray(numbers[f"{name}__image"])
    pixels = views.clip_pixels(views.clip_view(picture, WHOLE, "centre crop"))
    np.testing.assert_allclose(pixels[None], numbers[f"{name}__pixel_values"], atol=1e-6)     # the reference's own rounding: 5e-7


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 16), (8000, 16), (3, 900), (224, 224)])
def test_clip_view_of_odd_shapes(width, height):
    picture = Image.new("RGB", (width, height), (10, 20, 30))
    for view in CLIP_VIEWS:
        seen = views.clip_view(picture, Face(torch.tensor([0.0, 0, 1, 1]), 1.0), view)
        assert seen.shape == (3, 224, 224)


def test_the_view_on_the_face_holds_what_the_centre_crop_cuts_off():
    photo = torch.zeros(3, 100, 400)
    photo[:, 40:60, 370:390] = 1                                # a face at the right edge
    face = Face(torch.tensor([370.0, 40, 390, 60]), 1.0)
    cut, kept = (views.clip_view(image_of(photo), face, view) for view in CLIP_VIEWS)
    assert cut.max() == 0
    assert kept[:, 112, 112].min() == 255
    assert kept[:, 112, 40].max() == 0                          # photo beside the face
    assert kept[:, 112, -1].min() == 0
    low = views.clip_view(image_of(photo), Face(torch.tensor([385.0, 40, 405, 60]), 1.0), "on the face")
    assert low[:, 112, -1].min() == 255                         # white beyond the photo


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_photos_give_the_upright_crop(mtcnn, turns):
    photo = golden_photo("astronaut")
    upright = look(photo[None], detect(mtcnn, photo[None]))
    turned = torch.rot90(photo, turns, (1, 2))[None]
    seen = look(turned, detect(mtcnn, turned))
    # Boxes are mapped there and back in float32 and cut to whole pixels: one row or column may differ.
    assert (seen.crops - upright.crops).abs().mean() < 0.01
    assert torch.equal(seen.clip, upright.clip)


def faces_at(*boxes):
    return tuple(Face(torch.tensor(box, dtype=torch.float32), 1.0) for box in boxes)


def test_rows_are_image_major_and_keep_empty_places():
    photos = torch.stack([torch.full((3, 50, 50), value) for value in (0.2, 0.4, 0.6)])
    faces = Faces((faces_at((0, 0, 20, 20), (20, 20, 50, 50)), (), faces_at((5, 5, 30, 30))), 50, 50)
    seen = look(photos, faces)
    assert seen.present.tolist() == [True, True, False, True]
    assert [round(float(crop.mean()), 1) for crop in seen.crops] == [0.2, 0.2, 0.0, 0.6]
    assert seen.clip[2].max() == 0
    assert seen.facenet[2].abs().max() == 0


def test_several_faces_of_a_photo_get_different_tokens_inputs_when_whitened():
    photo = torch.zeros(1, 3, 60, 120)
    faces = Faces((faces_at((10, 10, 40, 50), (80, 10, 110, 50)),), 120, 60)
    one, other = look(photo, faces, whiten=lambda picture: picture).clip
    assert one[:, 112, 40].max() == 0
    assert one[:, 112, -20].min() == 1                          # the other face's half is white
    assert other[:, 112, 20].min() == 1
    assert other[:, 112, -20].max() == 0


def test_arcface_travels_only_when_every_face_has_it():
    one, other = faces_at((0, 0, 9, 9), (9, 9, 20, 20))
    known = Face(one.box_xyxy, 1.0, arcface=torch.ones(512))
    photos = torch.zeros(2, 3, 20, 20)
    assert look(photos, Faces(((known,), ()), 20, 20)).arcface.shape == (2, 512)
    assert look(photos, Faces(((known,), (other,)), 20, 20)).arcface is None


def identity(rows=1, seed=0, present=None, encoder="e"):
    random = torch.Generator().manual_seed(seed)
    here = torch.ones(rows, dtype=torch.bool) if present is None else torch.tensor(present)
    vectors = torch.nn.functional.normalize(torch.randn(rows, 512, generator=random), dim=1) * here[:, None]
    return Identity(vectors, torch.randn(rows, 257, 1024, generator=random) * here[:, None, None], here, encoder, "c")


def same(a, b):
    # Unit length is restored after mixing, which rounds the last bit.
    torch.testing.assert_close(a.global_embedding, b.global_embedding, atol=1e-6, rtol=0)
    torch.testing.assert_close(a.local_tokens, b.local_tokens, atol=1e-6, rtol=0)
    assert torch.equal(a.present, b.present)


def test_combining_laws():
    a, b = identity(seed=1), identity(seed=2)
    same(combine(a, b, 0.0), a)
    same(combine(a, b, 1.0), b)
    same(combine(a, a, 0.3), a)
    same(combine(a, b, 0.25), combine(b, a, 0.75))
    same(combine(a, b, 0.5), average(Identity(*(torch.cat([getattr(a, name), getattr(b, name)]) for name in
                                                ("global_embedding", "local_tokens", "present")), "e", "c")))
    assert combine(a, b, 0.5).global_embedding.norm() == pytest.approx(1)


def test_combining_batches_pairs_rows_and_takes_the_one_that_is_there():
    a, b = identity(3, seed=1, present=[True, False, True]), identity(3, seed=2, present=[True, True, False])
    mixed = combine(a, b, 0.5)
    assert mixed.present.tolist() == [True, True, True]
    torch.testing.assert_close(mixed.local_tokens[1], b.local_tokens[1])
    torch.testing.assert_close(mixed.local_tokens[2], a.local_tokens[2])
    assert len(combine(identity(1), b, 0.5)) == 3
    with pytest.raises(InputError, match="identity_b must hold as many identities"):
        combine(identity(2), b, 0.5)
    with pytest.raises(InputError, match="same identity encoder"):
        combine(identity(), identity(encoder="other"), 0.5)


def test_averaging_skips_empty_places_and_needs_one_face():
    batch = identity(3, present=[True, False, True])
    mean = average(batch)
    torch.testing.assert_close(mean.local_tokens[0], batch.local_tokens[[0, 2]].mean(0))
    with pytest.raises(InputError, match="at least one face"):
        average(identity(1, present=[False]))


def test_saved_identities_come_back_exactly(tmp_path):
    before = identity(2, present=[True, False])
    path = tmp_path / f"a{IDENTITY_SUFFIX}"
    storage.save_identity(before, path)
    after = storage.load_identity(path)
    for name in ("global_embedding", "local_tokens", "present"):
        assert torch.equal(getattr(before, name), getattr(after, name))
    assert (after.encoder_fingerprint, after.clip_fingerprint, after.arcface) == ("e", "c", None)
    first = path.read_bytes()
    storage.save_identity(before, path)
    assert path.read_bytes() == first
    assert len(first) < 2_200_000


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"not a file at all"])
def test_other_files_are_no_identities(tmp_path, content):
    path = tmp_path / f"a{IDENTITY_SUFFIX}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"identity file 'a.identity.safetensors' must"):
        storage.load_identity(path)


def test_an_identity_with_a_missing_part_is_refused(tmp_path):
    from caphuman_core.files.weights import write_safetensors
    path = tmp_path / f"a{IDENTITY_SUFFIX}"
    write_safetensors(path, {"present": torch.ones(1, dtype=torch.bool)}, {"format": storage.FORMAT})
    with pytest.raises(InputError, match=r"must hold global_embedding, local_tokens, present, but got no global_embedding"):
        storage.load_identity(path)


def test_comparison_says_what_the_number_means():
    a = identity(seed=1)
    value, report = compare(a, a)
    assert value == pytest.approx(1)
    assert "the same person, most likely" in report
    value, report = compare(a, identity(seed=2))
    assert abs(value) < 0.3                                      # random directions in 512 dimensions are nearly square
    assert "two different people" in report
    with pytest.raises(InputError, match="identity_b must hold a face"):
        compare(a, identity(1, present=[False]))


def test_comparison_adds_arcface_and_counts_averages():
    a = identity(2, seed=1)
    known = Identity(a.global_embedding, a.local_tokens, a.present, "e", "c", a.global_embedding)
    report = compare(known, known)[1].splitlines()
    assert [line.split()[0] for line in report] == ["FaceNet", "ArcFace", "Averages"]


def test_nothing_here_moves_the_global_random_state(mtcnn):
    before = torch.get_rng_state()
    photo = golden_photo("astronaut_300x400")[None]
    look(photo, detect(mtcnn, photo))
    assert torch.equal(before, torch.get_rng_state())
