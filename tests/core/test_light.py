"""Where light comes from: its direction, its strength on every side, how it turns along, and how it is read from a photo."""
from __future__ import annotations

import math

import pytest
import torch

from caphuman_core.check import InputError
from caphuman_core.flow import Head
from caphuman_core.head import camera
from caphuman_core.head.edit import relight as relights
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.relight import Others, relight, turn_light
from caphuman_core.head.fit import photo_light, skin
from caphuman_core.head.fit.photo_light import with_photo_light
from caphuman_core.head.light import CONSTANTS, default_light, directional, shade, terms
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.head.rotations import matrix_from_axis_angle
from caphuman_core.render.maps import pose, render, vertex_normals
from caphuman_core.render.portrait import main_light

EXACT = {"atol": 1e-5, "rtol": 0}        # float32 sums of nine terms


@pytest.fixture(scope="module")
def model():
    return load_builtin()


@pytest.fixture(scope="module")
def head(model):
    return new_head(model, 96, 96)


def shading(light, *normal):
    return shade(torch.tensor([normal], dtype=torch.float32), light)[0]


def lobe(cosine):
    """The clamped cosine max(0, c) to second order (Ramamoorthi and Hanrahan 2001)."""
    return 1 / 4 + cosine / 2 + 5 / 32 * (3 * cosine ** 2 - 1)


def directions(count=40):
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(4)), dim=1)


# --- one distant light

@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (90, 0), (-60, 20), (30, -75), (180, 10), (135, 45)])
def test_every_side_gets_the_lobe_of_its_angle_to_the_light(azimuth, elevation):
    """Sides that face away too: ambient and 1/16 of the intensity, no mirrored highlight."""
    a, e = math.radians(azimuth), math.radians(elevation)
    towards = torch.tensor([math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)])
    normals = torch.cat([directions(), towards[None], -towards[None]])
    light = directional(azimuth, elevation, intensity=0.8, ambient=0.3, colour=(1.0, 0.5, 0.25))
    wanted = (0.3 + 0.8 * lobe(normals @ towards))[:, None] * torch.tensor([1.0, 0.5, 0.25])
    torch.testing.assert_close(shade(normals, light), wanted, **EXACT)


def test_azimuth_is_positive_from_the_picture_s_right_and_elevation_from_above():
    right, above = directional(90, 0, 1.0, 0.0), directional(0, 90, 1.0, 0.0)
    assert shading(right, 1, 0, 0)[0] == pytest.approx(lobe(1.0))           # x is the picture's right
    assert shading(right, -1, 0, 0)[0] == pytest.approx(lobe(-1.0), abs=1e-5)
    assert shading(above, 0, 1, 0)[0] == pytest.approx(lobe(1.0))           # y is up
    assert shading(above, 0, -1, 0)[0] == pytest.approx(lobe(-1.0), abs=1e-5)


def test_in_the_picture_the_lit_side_is_the_side_the_light_comes_from(model, head):
    def sides(azimuth, elevation):
        lit = relight(head, azimuth, elevation, 1.0, 0.1, (1.0, 1.0, 1.0))
        shaded = render(lit, model, 64, 64).shaded[0].mean(0)
        return float(shaded[:, 32:].sum() / shaded[:, :32].sum()), float(shaded[:32].sum() / shaded[32:].sum())
    assert sides(70, 0)[0] > 2
    assert sides(-70, 0)[0] < 0.5
    assert sides(0, 70)[1] > 1.3 * sides(0, -70)[1]


def test_the_light_of_new_heads_is_soft_and_from_the_front_and_above(model, head):
    torch.testing.assert_close(default_light(), directional(0.0, 25.0, 0.6, 0.7))
    torch.testing.assert_close(head.light, default_light()[None])
    assert shading(default_light(), 0, 0, 1)[0] > shading(default_light(), 1, 0, 0)[0] > 0.7


def test_terms_are_the_real_spherical_harmonics_in_the_documented_order():
    """Orthogonal over the sphere; 1, x, y, z, xy, xz, yz, x^2 - y^2, 3z^2 - 1."""
    x, y, z = 0.36, 0.48, 0.8
    plain = torch.tensor([1, x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1])
    torch.testing.assert_close(terms(torch.tensor([x, y, z])), plain * torch.tensor(CONSTANTS))


# --- relighting

def test_relighting_gives_every_head_of_the_batch_the_asked_light(head):
    both = Head.stack([head, head])
    lit = relight(both, 40.0, 10.0, 0.9, 0.2, (0.9, 0.6, 0.3))
    wanted = directional(azimuth_degrees=40.0, elevation_degrees=10.0, intensity=0.9, ambient=0.2, colour=(0.9, 0.6, 0.3))
    assert torch.equal(lit.light, torch.stack([wanted, wanted]))
    assert torch.equal(lit.identity, both.identity)


@pytest.mark.parametrize(("name", "place", "low", "high"), [("azimuth", 0, -360, 360), ("elevation", 1, -180, 180),
                                                           ("intensity", 2, 0, 100), ("ambient", 3, 0, 100)])
def test_relighting_takes_its_whole_range_and_nothing_beyond(head, name, place, low, high):
    for value in (low, high):
        values = [0.0, 0.0, 1.0, 0.5]
        values[place] = value
        assert bool(relight(head, *values, (1.0, 1.0, 1.0)).light.isfinite().all())
    for value in (low - 0.1, high + 0.1):
        values[place] = value
        with pytest.raises(InputError, match=f"{name} must be from {low} to {high}, but got"):
            relight(head, *values, (1.0, 1.0, 1.0))


# --- light that turns along

@pytest.mark.parametrize("turn", [[0.3, -0.8, 0.5], [0.0, 1.2, 0.0], [-0.6, 0.0, 0.0]])
def test_a_surface_that_turns_with_the_light_keeps_its_shading(turn):
    light = torch.randn(1, 9, 3, generator=torch.Generator().manual_seed(1))
    normals, turn = directions(), torch.tensor([turn])
    after = normals @ matrix_from_axis_angle(turn)[0].T
    torch.testing.assert_close(shade(after, turn_light(light, turn)[0]), shade(normals, light[0]), **EXACT)


def test_light_follows_an_edited_head_when_asked_and_stays_otherwise(model):
    before = new_head(model, 96, 96).replace(light=directional(50, 10)[None], rotation_radians=torch.tensor([[0.1, 0.2, -0.1]]))
    asked = Edit(yaw_degrees=40.0, roll_degrees=15.0)
    followed, stayed = (edit_head(before, model, asked, follow_light=follow) for follow in (True, False))

    def shades(head):
        return shade(vertex_normals(pose(head, model).verts, model.faces)[0], head.light[0])
    torch.testing.assert_close(shades(followed), shades(before), atol=1e-4, rtol=0)      # normals of small triangles in float32
    assert torch.equal(stayed.light, before.light)
    assert float((shades(stayed) - shades(before)).abs().max()) > 0.2


# --- light of a photo

def test_the_light_of_a_picture_of_the_head_is_found_again(model, head):
    """Rendered under a side light and given back as a photo, the head is shaded alike; the wrong guess is far off."""
    true = relight(head, -50, 20, 0.9, 0.4, (1.0, 0.8, 0.6))
    drawn = render(true, model, 96, 96)
    found = with_photo_light(drawn.shaded.clamp(0, 1), head, model)
    normals = drawn.normal[0].movedim(0, -1)[(drawn.mask[0] > 0) & (drawn.normal[0, 2] > 0.4)]
    wanted, got, guess = (shade(normals, one.light[0]) for one in (true, found, head))
    # The ridge pulls towards the guess, and pixels of the photo are blurred: a tenth of the guess's error is left.
    assert float((got - wanted).abs().mean()) < 0.15 * float((guess - wanted).abs().mean())


def test_photos_without_a_head_keep_its_light_and_places(model, head):
    two = Head.stack([head, relight(head, 90, 0, 0.5, 0.5, (1.0, 0.0, 0.0))]).replace(present=torch.tensor([True, False]))
    found = with_photo_light(torch.full((2, 3, 96, 96), 0.4), two, model)
    assert torch.equal(found.light[1], two.light[1])
    assert not torch.equal(found.light[0], two.light[0])


def test_a_photo_is_cut_to_the_square_around_the_face(model, head):
    """160 pixels across the longer side of the landmarks, in photo and head alike."""
    low, high = photo_light.face_box(head, model)
    points = camera.to_picture(head, pose(head, model).landmarks2d)[0, :, :2]
    assert torch.equal(low, points.amin(0))
    assert torch.equal(high, points.amax(0))
    x, y = torch.meshgrid(torch.arange(96.0), torch.arange(80.0), indexing="xy")
    low, high = torch.tensor([20.0, 30.0]), torch.tensor([60.0, 50.0])
    close, picture = photo_light.zoom(torch.stack([x, y, x])[None], head, low, high)
    assert picture.shape == (1, 3, 160, 160)
    # the square goes from (20, 20) to (60, 60): 4 pixels of it are one of the photo, whose values are those of pixels' middles
    torch.testing.assert_close(picture[0, 0, 80, :], 20 + (torch.arange(160) + 0.5) / 4 - 0.5, atol=1e-3, rtol=0)
    torch.testing.assert_close(picture[0, 1, :, 80], 20 + (torch.arange(160) + 0.5) / 4 - 0.5, atol=1e-3, rtol=0)
    place = torch.tensor([[[0.01, 0.02, 0.0]]])
    torch.testing.assert_close(camera.to_picture(close, place)[0, 0, :2], (camera.to_picture(head, place)[0, 0, :2] - 20) * 4,
                               atol=1e-3, rtol=0)
    assert (close.width, close.height) == (160, 160)


def test_least_squares_are_pulled_to_the_start_and_heed_no_outliers():
    rows = torch.randn(400, 3, generator=torch.Generator().manual_seed(2))
    true, start = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.5, 0.5, 0.5])
    wanted = rows @ true
    found = photo_light._robust_ridge(rows, wanted, start)
    share = ((found - true) / (start - true))[:2]
    assert 0.01 < float(share.min()) <= float(share.max()) < 0.06, "a fiftieth of the way, or more where few rows are left"
    spoilt = wanted.clone()
    spoilt[:80] += 30.0                                       # a fifth of the pixels show something else
    torch.testing.assert_close(photo_light._robust_ridge(rows, spoilt, start), found, atol=0.1, rtol=0)
    assert torch.equal(photo_light._robust_ridge(rows * 0 + 1e-9, wanted * 0, start * 0), start * 0)


def test_a_face_of_few_pixels_keeps_its_light(model):
    gone = new_head(model, 64, 64)
    far = gone.replace(crop_to_picture=gone.crop_to_picture * torch.tensor([0.001, 0.001, 1.0])[:, None])
    found = with_photo_light(torch.rand(1, 3, 64, 64), far.replace(rotation_radians=torch.tensor([[0.0, math.pi, 0.0]])), model)
    assert found.light.shape == (1, 9, 3)


@pytest.mark.parametrize(("name", "low", "high"), [("fill", 0, 100), ("rim", 0, 100)])
def test_other_lights_take_their_range(head, name, low, high):
    for value in (low, high):
        assert bool(relight(head, 0, 0, 1, 0, (1.0, 1.0, 1.0), Others(**{name: value})).light.isfinite().all())
    with pytest.raises(InputError, match=f"{name} must be from {low} to {high}, but got {high + 0.5}"):
        relight(head, 0, 0, 1, 0, (1.0, 1.0, 1.0), Others(**{name: high + 0.5}))


def test_a_photo_s_light_is_pulled_to_the_usual_one_s_strength_and_the_shape_of_a_distant_one():
    """Of a distant light's first terms, all others are known; of darkness, none are to be expected."""
    lit = directional(50.0, -20.0, intensity=0.8, ambient=0.3, colour=(1.5, 1.0, 0.5)).double()
    expected = skin._expected_light(lit)
    torch.testing.assert_close(expected[:4], default_light()[:4].double())
    torch.testing.assert_close(expected[4:], lit[4:].mean(1, keepdim=True).expand(5, 3), atol=1e-6, rtol=0)
    assert float(skin._expected_light(torch.zeros(9, 3).double())[4:].abs().max()) < 1e-6


def test_darkness_has_no_main_light():
    towards, strength = main_light(torch.zeros(9, 3))
    assert (towards.tolist(), float(strength)) == ([0, 0, 0], 0)
    towards, strength = main_light(directional(90.0, 0.0, intensity=0.8, colour=(1.5, 1.0, 0.5)))
    assert towards.tolist() == pytest.approx([1, 0, 0], abs=1e-6)
    assert float(strength) == pytest.approx(0.4), "half of a distant light's intensity"


def test_the_sphere_is_sampled_evenly():
    points = relights._fibonacci(64)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(64).double())
    assert float(points.mean(0).norm()) < 0.02
    assert float(torch.cdist(points, points).fill_diagonal_(9).amin(1).min()) > 0.3
    assert float((points.T @ points / 64 - torch.eye(3) / 3).abs().max()) < 0.02
