"""FaceNet, its crops, CLIP's view: the reference's numbers; mixing, keeping and comparing identities."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from face_photos import golden_photo
from PIL import Image

from caphuman_core.check import InputError
from caphuman_core.face.detection import detect
from caphuman_core.face.detectors.mtcnn import Mtcnn
from caphuman_core.files.weights import write_safetensors
from caphuman_core.flow import Face, Faces, Identity
from caphuman_core.identity import crops as views
from caphuman_core.identity import storage
from caphuman_core.identity.combine import average, combine
from caphuman_core.identity.compare import _cosine, compare
from caphuman_core.identity.encode import Encoders, identify, look, nearest_to
from caphuman_core.identity.facenet import build_facenet
from caphuman_core.identity.options import CLIP_VIEWS, IDENTITY_SUFFIX
from caphuman_core.pixels import image_of
from tools.goldens import faces as goldens
from tools.stand_ins.face_nets import facenet, facenet_state

WHOLE = Face(torch.tensor([0.0, 0, 240, 300]), 0.0)


@pytest.fixture(scope="module")
def mtcnn():
    return Mtcnn()


def test_facenet_gives_the_references_numbers():
    for each in goldens.facenet(facenet()):
        each.require()


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


def test_pixels_go_to_the_nearest_face_each_distance_in_its_own_size():
    """Middles at x = 20 and 70, longer sides of 40 and 20: (x - 20) / 40 = (70 - x) / 20 at x = 53.3, and again, behind the small
    one, at 120."""
    large, small = faces_at((0, 30, 40, 70), (65, 40, 75, 60))
    mine = nearest_to(large, [small], 100, 140)
    assert mine[50, :53].all()
    assert not mine[50, 53:120].any()
    assert mine[50, 120:].all()
    assert torch.equal(nearest_to(small, [large], 100, 140), ~mine)
    assert bool(nearest_to(large, [], 5, 7).all())
    assert nearest_to(large, [], 5, 7).shape == (5, 7)


def test_the_nearest_of_three_faces_is_the_nearest_of_all():
    one, two, three = faces_at((0, 0, 10, 10), (40, 0, 50, 10), (0, 40, 10, 50))
    owners = torch.stack([nearest_to(face, [other for other in (one, two, three) if other is not face], 60, 60)
                          for face in (one, two, three)])
    assert owners.sum(0).min() >= 1
    assert [owners[:, y, x].tolist() for y, x in ((5, 5), (5, 45), (45, 5))] == [[True, False, False], [False, True, False],
                                                                                [False, False, True]]


@pytest.mark.parametrize(("box", "expected"), [
    ((2.9, 3.9, 6.9, 8.9), (2, 3, 6, 8)), ((-5, -5, 4, 4), (0, 0, 4, 4)), ((6, 7, 99, 99), (6, 7, 10, 12)),
    ((3, 3, 3, 3), (3, 3, 4, 4)), ((50, 60, 70, 80), (9, 11, 10, 12)), ((4, 4, 2, 2), (4, 4, 5, 5))])
def test_a_face_crop_is_the_box_in_whole_pixels_inside_the_photo(box, expected):
    """At least one pixel, whatever the box."""
    coordinates = np.zeros((12, 10, 3), np.uint8)
    coordinates[..., 0], coordinates[..., 1] = np.arange(10)[None] * 20, np.arange(12)[:, None] * 20
    crop = views.face_crop(Image.fromarray(coordinates), Face(torch.tensor(box, dtype=torch.float32), 1.0))
    left, top, right, bottom = expected
    assert crop.shape == (3, 160, 160)
    assert crop[0, 0, [0, -1]].tolist() == [left * 20, (right - 1) * 20]
    assert crop[1, [0, -1], 0].tolist() == [top * 20, (bottom - 1) * 20]


def test_facenet_s_range_and_the_stand_in_s():
    crop, face = torch.tensor([0.0, 127.5, 255.0]), faces_at((0, 0, 1, 1))[0]
    assert views.facenet_input(crop, face).tolist() == [-127.5 / 128, 0.0, 127.5 / 128]
    assert views.facenet_input(crop, WHOLE).tolist() == [0.0, 0.5, 1.0]


def test_clip_s_centre_square_is_the_middle():
    wide = torch.zeros(3, 100, 300)
    wide[:, :, 97:203] = 1                                      # bicubic weights reach two pixels further
    assert views.clip_view(image_of(wide), WHOLE, "centre crop").min() > 250
    assert views.clip_view(image_of(wide.transpose(1, 2)), WHOLE, "centre crop").min() > 250


def test_ribbons_lose_their_ends_evenly_and_others_nothing():
    ribbon = torch.zeros(1, 100)
    ribbon[0, 34:66] = 1                                        # the middle 32 of 100
    for photo in (ribbon.expand(3, 1, 100), ribbon.expand(3, 1, 100).transpose(1, 2)):
        assert views.clip_crop(image_of(photo)).getextrema() == ((255, 255),) * 3
        assert sorted(views._not_a_ribbon(image_of(photo)).size) == [1, 32]
    kept = Image.new("RGB", (64, 2))
    assert views._not_a_ribbon(kept) is kept


def test_the_square_on_a_face_is_twice_its_longer_side_about_its_middle():
    square = views.square_on_face(Image.new("RGB", (100, 80), (1, 2, 3)), faces_at((10, 20, 30, 50))[0])
    assert square.size == (60, 60)                              # from -10 to 50 across and 5 to 65 down
    inside = (np.asarray(square)[..., 0] == 1)
    assert (~inside[:, :10]).all()
    assert inside[:, 10:].all()


@pytest.mark.parametrize("turns", range(4))
def test_a_face_turns_with_its_photo(turns):
    photo = torch.zeros(3, 30, 50)
    photo[:, 5:10, 40:48] = 1
    face = Face(torch.tensor([40.0, 5.0, 48.0, 10.0]), 1.0, torch.tensor([[40.0, 5.0]] * 5))
    turned, moved = views.turned(photo, face, turns)
    left, top, right, bottom = moved.box_xyxy.int().tolist()
    assert bool((turned[:, top:bottom, left:right] == 1).all())
    assert int(turned.sum()) == 3 * (right - left) * (bottom - top)
    corner = moved.points5[0].tolist()
    assert corner == [[left, top], [left, bottom], [right, bottom], [right, top]][turns]


def test_identities_are_what_the_networks_say_of_each_face_in_parts():
    """20 faces in 3 photos, the second without one: FaceNet is shown 16 crops at a time, CLIP 8 views; all are counted."""
    boxes = [(i, i, i + 8, i + 10) for i in range(10)]
    faces = Faces((faces_at(*boxes), (), faces_at(*boxes)), 30, 30)
    photos = torch.rand(3, 3, 30, 30, generator=torch.Generator().manual_seed(0))
    asked, steps = {"facenet": [], "clip": []}, []

    def embed(crops):
        asked["facenet"].append(len(crops))
        return torch.nn.functional.normalize(crops.mean((2, 3)) @ torch.ones(3, 512), dim=1) + crops.mean((1, 2, 3))[:, None]

    def tokens(pixels):
        asked["clip"].append(len(pixels))
        return pixels.mean((1, 2, 3))[:, None, None].expand(-1, 257, 1024)
    found, seen = identify(photos, faces, Encoders(embed, tokens, "e", "c"), step=steps.append)
    assert asked == {"facenet": [16, 5], "clip": [8, 8, 5]}
    assert steps == [1, 2, 3, 3 + 16, 3 + 21, 24 + 8, 24 + 16, 24 + 21]
    assert found.present.tolist() == [True] * 10 + [False] + [True] * 10
    assert (found.encoder_fingerprint, found.clip_fingerprint, found.arcface) == ("e", "c", None)
    here = found.present
    torch.testing.assert_close(found.global_embedding[here], embed(seen.facenet)[here])
    torch.testing.assert_close(found.local_tokens[here], tokens(views.clip_pixels(seen.clip * 255))[here], atol=1e-5, rtol=0)
    assert float(found.global_embedding[10].abs().max()) == float(found.local_tokens[10].abs().max()) == 0


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
    with pytest.raises(InputError, match="identity_a must hold a face"):
        compare(identity(1, present=[False]), a)
    with pytest.raises(InputError, match="same CLIP vision model"):
        compare(a, replace(a, clip_fingerprint="d"))
    with pytest.raises(InputError, match="identity_b must hold a face"):
        compare(a, identity(1, present=[False]))


def test_arcface_embeddings_of_two_are_compared_by_their_angle_alone():
    first, second = torch.eye(2, 512)[:1] * 3, torch.tensor([[0.6, 0.8]]) @ torch.eye(2, 512) * 5
    a = identity()
    report = compare(replace(a, arcface=first), replace(a, arcface=second))[1]
    assert report.splitlines()[1].startswith("ArcFace cosine 0.600 ")
    assert _cosine(first, second) == _cosine(second, first) == pytest.approx(0.6)
    assert _cosine(first, -first) == pytest.approx(-1)


def test_an_identity_of_zeros_is_like_nobody():
    a = identity()
    value, report = compare(a, replace(a, global_embedding=0 * a.global_embedding))
    assert value == 0
    assert report.startswith("FaceNet cosine 0.000")


@pytest.mark.parametrize(("cosine", "meaning"), [(0.39, "two different people"), (0.41, "undecided"), (0.59, "undecided"),
                                                 (0.61, "the same person"), (-0.5, "two different people")])
def test_the_sentence_of_a_cosine(cosine, meaning):
    """FaceNet: different below 0.4, the same from 0.6 on."""
    a = identity()
    across = torch.zeros(1, 512)
    direction = a.global_embedding
    across[0, 0] = 1
    across = torch.nn.functional.normalize(across - (across * direction).sum() * direction, dim=1)
    value, report = compare(a, replace(a, global_embedding=cosine * direction + (1 - cosine ** 2) ** 0.5 * across))
    assert value == pytest.approx(cosine, abs=1e-5)
    assert report.startswith(f"FaceNet cosine {cosine:.3f} (1 is identical")
    assert meaning in report.splitlines()[0].rsplit(": ", 1)[1]
    assert len(report.splitlines()) == 1


def test_comparison_adds_arcface_and_counts_averages():
    a = identity(2, seed=1)
    known = Identity(a.global_embedding, a.local_tokens, a.present, "e", "c", a.global_embedding)
    report = compare(known, known)[1].splitlines()
    assert [line.split()[0] for line in report] == ["FaceNet", "ArcFace", "Averages"]
    assert report[1].startswith("ArcFace cosine 1.000 (1 is identical; above 0.4 the same person, below 0.2 different people)")
    assert report[2] == "Averages of 2 and 2 faces were compared."
    single = identity(1, seed=2)
    assert compare(a, single)[1].endswith("Averages of 2 and 1 faces were compared.")
    assert compare(single, a)[1].endswith("Averages of 1 and 2 faces were compared.")


def test_arcface_embeddings_are_mixed_like_the_others_and_dropped_where_one_side_has_none():
    a, b = (replace(one, arcface=one.global_embedding.flip(1)) for one in (identity(2, seed=1), identity(2, seed=2)))
    mixed = combine(a, b, 0.25)
    torch.testing.assert_close(mixed.arcface, mixed.global_embedding.flip(1))
    torch.testing.assert_close(average(a).arcface, average(a).global_embedding.flip(1))
    assert combine(a, identity(2), 0.5).arcface is None
    assert combine(identity(2), a, 0.5).arcface is None


def test_mixed_identities_keep_their_encoders_names_and_unknown_ones_pass():
    unknown = replace(identity(encoder=""), clip_fingerprint="")
    known = identity(seed=2)
    for pair in ((unknown, known), (known, unknown)):
        mixed = combine(*pair, 0.5)
        assert (mixed.encoder_fingerprint, mixed.clip_fingerprint) == ("e", "c")
    mean = average(known)
    assert (mean.encoder_fingerprint, mean.clip_fingerprint) == ("e", "c")
    with pytest.raises(InputError, match=r"identity_b must be made with the same CLIP vision model as identity_a, but got d and c"):
        combine(known, replace(known, clip_fingerprint="d"), 0.5)


def test_averaged_embeddings_have_unit_length_and_tokens_are_plain_means():
    batch = identity(2, seed=3)
    mean = average(batch)
    torch.testing.assert_close(mean.global_embedding, torch.nn.functional.normalize(batch.global_embedding.sum(0, keepdim=True)))
    assert mean.global_embedding.norm() == pytest.approx(1)
    assert mean.present.tolist() == [True]
    assert (len(mean), tuple(mean.local_tokens.shape)) == (1, (1, 257, 1024))

def test_nothing_here_moves_the_global_random_state(mtcnn):
    before = torch.get_rng_state()
    photo = golden_photo("astronaut_300x400")[None]
    look(photo, detect(mtcnn, photo))
    assert torch.equal(before, torch.get_rng_state())


# --- at the borders

@pytest.mark.parametrize(("box", "inside", "at"), [
    ((-20, -10, 10, 10), (0, 0, 25, 30), (35, 30)), ((90, 70, 110, 90), (80, 60, 100, 80), (0, 0)), ((200, 20, 220, 40), None,
                                                                                                     None),
    ((-90, 20, -60, 40), None, None), ((20, 200, 40, 220), None, None), ((20, -90, 40, -60), None, None)])
def test_a_square_beyond_the_photo_is_white_and_shows_what_is_inside(box, inside, at):
    picture = Image.fromarray(np.arange(100 * 80 * 3, dtype=np.uint32).reshape(80, 100, 3).astype(np.uint8) // 2)
    square = np.asarray(views.square_on_face(picture, faces_at(box)[0]))
    wanted = np.full_like(square, 255)
    if inside:
        left, top, right, bottom = inside
        wanted[at[1]:at[1] + bottom - top, at[0]:at[0] + right - left] = np.asarray(picture)[top:bottom, left:right]
    assert np.array_equal(square, wanted)


def test_a_square_has_two_pixels_at_least_and_goes_by_the_longer_side():
    picture = Image.new("RGB", (9, 9))
    assert views.square_on_face(picture, faces_at((3, 3, 3, 3))[0]).size == (2, 2)
    assert views.square_on_face(picture, faces_at((0, 0, 2, 5))[0]).size == (10, 10)
    assert views.square_on_face(picture, faces_at((0, 0, 5, 2))[0]).size == (10, 10)


@pytest.mark.parametrize(("box", "kept"), [((-5.5, -3.2, 4.9, 6.9), (0, 0, 4, 6)), ((8.9, 7.9, 20, 20), (8, 7, 10, 9)), ((30, 30,
                                                                                                                          40, 40),
                                                                                                                         (9, 8, 10,
                                                                                                                          9)),
                                           ((2, 3, 2, 3), (2, 3, 3, 4)), ((-9, -9, -5, -5), (0, 0, 1, 1))])
def test_a_crop_is_at_least_a_pixel_of_the_photo(box, kept):
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 10, 3), dtype=np.uint8))
    crop = views.face_crop(photo, Face(torch.tensor(box, dtype=torch.float32), 1.0))
    wanted = np.asarray(photo.crop(kept).resize((160, 160), Image.Resampling.BILINEAR))
    assert np.array_equal(crop.permute(1, 2, 0).numpy(), wanted)


def test_only_a_found_face_is_looked_at_closely():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8))
    box = torch.tensor([10.0, 10.0, 60.0, 60.0])
    whole = views.clip_view(picture, Face(box, 1.0), "centre crop")
    assert torch.equal(views.clip_view(picture, Face(box, 0.0), "on the face"), whole)
    assert not torch.equal(views.clip_view(picture, Face(box, 0.1), "on the face"), whole)
    assert CLIP_VIEWS == ("centre crop", "on the face")


def test_clip_s_colours_are_scaled_channel_by_channel():
    seen = views.clip_pixels(torch.full((3, 2, 2), 255.0))
    wanted = [(1 - mean) / std for mean, std in zip((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711),
                                                    strict=True)]
    assert seen[:, 1, 0].tolist() == pytest.approx(wanted)


def test_saved_identities_keep_arcface_and_names_up_to_64_letters(tmp_path):
    before = replace(identity(2), arcface=torch.rand(2, 512), encoder_fingerprint="e" * 70)
    storage.save_identity(before, tmp_path / "a")
    path = (tmp_path / "a").rename(tmp_path / f"a{IDENTITY_SUFFIX}")
    after = storage.load_identity(path)
    assert torch.equal(after.arcface, before.arcface)
    assert after.encoder_fingerprint == "e" * 64
    for name, shape in (("global_embedding", (2, 511)), ("local_tokens", (2, 256, 1024)), ("arcface", (1, 512)), ("present", (2,
                                                                                                                              1))):
        spoilt = {"global_embedding": before.global_embedding, "local_tokens": before.local_tokens, "present": before.present,
                  "arcface": before.arcface, name: torch.zeros(shape, dtype=torch.bool if name == "present" else torch.float32)}
        write_safetensors(path, spoilt, {"format": storage.FORMAT})
        rest = r"\[2, .*: save the identity again" if name != "present" else r"\[2\], but got \[2, 1\]: save"
        with pytest.raises(InputError, match=rf"identity file 'a.identity.safetensors' must hold {name} of shape {rest}"):
            storage.load_identity(path)
    write_safetensors(path, {"global_embedding": torch.zeros(0, 512), "local_tokens": torch.zeros(0, 257, 1024),
                             "present": torch.zeros(0, dtype=torch.bool)}, {"format": storage.FORMAT})
    with pytest.raises(InputError, match=r"must hold .* of shape \[0"):
        storage.load_identity(path)


def test_unlike_pairs_and_encoders_are_named():
    for a, b, words in ((identity(2), identity(3),
                         "identity_b must hold as many identities as identity_a, or one, but got 3 for 2: average"),
                        (identity(encoder="x"), identity(encoder="y"),
                         "must be made with the same identity encoder as identity_a, but got y and x"),
                        (identity(), replace(identity(), clip_fingerprint="d"),
                         "same CLIP vision model as identity_a, but got d and c")):
        with pytest.raises(InputError, match=words):
            combine(a, b, 0.5)
    with pytest.raises(InputError, match="identity must hold at least one face to average, but got none: use a photo"):
        average(identity(2, present=[False, False]))
    for pair, name in (((identity(present=[False]), identity()), "identity_a"), ((identity(), identity(present=[False])),
                                                                                 "identity_b")):
        with pytest.raises(InputError, match=f"{name} must hold a face to compare, but got none: use a photo with a visible face"):
            compare(*pair)
