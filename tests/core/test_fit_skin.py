"""Skin and light from pixels: the equations are those of the model, and what cannot be skin says nothing."""
from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from caphuman_core.head import light
from caphuman_core.head.fit import skin
from caphuman_core.head.fit.skin import Pixels, face_pixels, fit_skin, mean_error, photo_cost
from caphuman_core.head.light import directional
from caphuman_core.head.model.head_model import load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.render.maps import render

CODES, COUNT = 4, 300


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def made(texture, lit, seed=0) -> Pixels:
    """Pixels of a made-up skin, in a light that is known."""
    normals = torch.nn.functional.normalize(numbers(COUNT, 3, seed=seed) + torch.tensor([0.0, 0.0, 2.0]), dim=1)
    bare = Pixels(light.terms(normals), 0.5 + 0.05 * numbers(COUNT, 3, seed=1), 0.05 * numbers(CODES, COUNT, 3, seed=2),
                  torch.zeros(COUNT, 3).double(), torch.ones(COUNT).double())
    return replace(bare, colour=bare.residuals(texture, lit))


TEXTURE = torch.tensor([0.5, -0.8, 0.2, 1.0]).double()
ONES = torch.ones(CODES).double()
LIT = directional(40.0, 20.0, intensity=0.8, ambient=0.5, colour=(1.1, 1.0, 0.9)).double()


def test_a_pixel_is_skin_times_light():
    """At one pixel that faces the viewer, whose light is the terms of order 1 and of z."""
    pixels = Pixels(light.terms(torch.tensor([[0.0, 0.0, 1.0]]).double()), torch.tensor([[0.5, 0.4, 0.3]]).double(),
                    torch.tensor([[[0.1, 0.0, 0.0]], [[0.0, 0.2, 0.0]]]).double(), torch.tensor([[0.6, 0.6, 0.6]]).double(),
                    torch.ones(1).double())
    lit = torch.zeros(9, 3).double()
    lit[0], lit[3] = 1.0 / light.CONSTANTS[0], 0.5 / light.CONSTANTS[3]
    texture = torch.tensor([1.0, -0.5]).double()
    assert pixels.albedo(texture)[0].tolist() == pytest.approx([0.6, 0.3, 0.3])
    assert pixels.residuals(texture, lit)[0].tolist() == pytest.approx([0.3, -0.15, -0.15])
    assert mean_error(pixels, texture, lit) == pytest.approx(0.2)
    away = math.sqrt(0.09 + 2 * 0.0225) / 0.06
    assert photo_cost(pixels, texture, lit) == pytest.approx(400 * 16 * (1 - math.exp(-away * away / 32)))


def test_the_equations_are_those_of_weighted_least_squares():
    """Against derivatives by torch, and Tukey's weights of four times the median residual: 400 pixels' worth of 0.06 together."""
    pixels = made(TEXTURE, LIT)
    noise = 0.1 * numbers(COUNT, 3, seed=5)
    noise[:20] += 2.0
    pixels = replace(pixels, colour=pixels.colour + noise, given=numbers(COUNT, seed=6).sigmoid())
    texture, lit = 0.5 * TEXTURE, LIT + 0.05 * numbers(9, 3, seed=7)
    away = pixels.residuals(texture, lit).norm(dim=1)
    share = (away / (4 * away.median())).clamp(max=1)
    weight = (pixels.given * (1 - share ** 2) ** 2 * 400 / 0.06 ** 2 / COUNT).repeat_interleave(3)
    by_light, by_texture = torch.autograd.functional.jacobian(lambda x, t: pixels.residuals(t, x.view(9, 3)).flatten(),
                                                              (lit.flatten(), texture))
    far = weight * pixels.residuals(texture, lit).flatten()
    wanted = (by_light.T @ (weight[:, None] * by_light), by_light.T @ (weight[:, None] * by_texture),
              by_texture.T @ (weight[:, None] * by_texture), by_light.T @ far, by_texture.T @ far)
    assert 0 < int((share == 1).sum()) < COUNT
    for found, one in zip(skin._system(pixels, texture, lit), wanted, strict=True):
        torch.testing.assert_close(found, one)
    exact = made(TEXTURE, LIT)
    close = replace(exact, colour=exact.colour + 0.001)
    scale = 4 * 0.02                                     # however well all pixels fit, a residual of a fiftieth is not far off
    weight = (1 - (0.001 * 3 ** 0.5 / scale) ** 2) ** 2 * 400 / 0.06 ** 2 / COUNT
    torch.testing.assert_close(skin._system(close, TEXTURE, LIT)[3], -0.001 * weight * torch.einsum(
        "pi,pc->ic", exact.terms, exact.albedo(TEXTURE)).flatten())


def test_lights_vary_together_and_their_colours_by_less():
    covariance = torch.linalg.inv(skin._light_precision()).view(9, 3, 9, 3)
    for term, (brightness, colour) in enumerate([(1.0, 0.3), *[(0.3, 0.05)] * 3, *[(0.06, 0.02)] * 5]):
        wanted = brightness ** 2 + torch.eye(3).double() * colour ** 2
        torch.testing.assert_close(covariance[term, :, term], wanted, atol=1e-7, rtol=1e-5)
        covariance[term, :, term] = 0
    assert float(covariance.abs().max()) < 1e-9


def test_skin_and_light_are_found_together_and_photos_share_the_skin():
    other = directional(-50.0, 10.0, intensity=0.6, ambient=0.7).double()
    texture, (first, second) = fit_skin([made(TEXTURE, LIT), made(TEXTURE, other, seed=9)], torch.zeros(CODES).double(), ONES,
                                        [light.default_light().double()] * 2)
    torch.testing.assert_close(texture, TEXTURE, atol=0.05, rtol=0)
    normals = torch.eye(3).double()
    for found, true in ((first, LIT), (second, other)):
        torch.testing.assert_close(light.terms(normals) @ found, light.terms(normals) @ true, atol=0.05, rtol=0)
    most, _ = fit_skin([made(8 * TEXTURE, LIT)], torch.zeros(CODES).double(), ONES, [LIT])
    assert float(most.abs().max()) == 3
    dim = replace(made(TEXTURE, LIT), given=torch.zeros(COUNT).double())
    nothing, (same,) = fit_skin([dim], TEXTURE, ONES, [LIT])
    torch.testing.assert_close(nothing, TEXTURE)
    torch.testing.assert_close(same[4:], skin._expected_light(same)[4:], atol=1e-4, rtol=0)


def test_one_round_for_several_photos_is_the_one_of_all_unknowns_together(monkeypatch):
    """Two lights and the skin, with their priors, in one system."""
    monkeypatch.setattr(skin, "ROUNDS", 1)
    photos = [made(TEXTURE, LIT), made(0.8 * TEXTURE, directional(-50.0, 10.0).double(), seed=9)]
    start, expected = [light.default_light().double(), 0.9 * LIT], 0.3 * TEXTURE
    whole, slope = torch.zeros(54 + CODES, 54 + CODES).double(), torch.zeros(54 + CODES).double()
    skins = slice(54, None)
    sigma = torch.tensor([1.0, 0.5, 2.0, 0.7]).double()
    whole[skins, skins] = (1 / sigma.square()).diag()               # about the expected texture, where it starts
    for number, (pixels, lit) in enumerate(zip(photos, start, strict=True)):
        own, mixed, both, by_light, by_texture = skin._system(pixels, expected, lit)
        here = slice(27 * number, 27 * number + 27)
        whole[here, here] = own + skin._light_precision()
        whole[here, skins], whole[skins, here] = mixed, mixed.T
        whole[skins, skins] += both
        slope[here] = by_light + skin._light_precision() @ (lit - skin._expected_light(lit)).flatten()
        slope[skins] += by_texture
    step = -torch.linalg.solve(whole, slope)
    texture, lights = fit_skin(photos, expected, sigma, start)
    torch.testing.assert_close(texture, expected + step[skins])
    for lit, before, part in zip(lights, start, step[:54].split(27), strict=True):
        torch.testing.assert_close(lit, before + part.view(9, 3))


def test_the_pull_to_the_expected_skin_grows_with_the_way_from_it(monkeypatch):
    """Pixels without weight: whatever was found before, the next round is back at what is expected."""
    plain, far = skin._system, iter((True, False))

    def system(pixels, texture, lit):
        own, mixed, both, by_light, by_texture = plain(pixels, texture, lit)
        return own, mixed, both, by_light, by_texture + (10.0 if next(far) else 0.0)
    monkeypatch.setattr(skin, "ROUNDS", 2)
    monkeypatch.setattr(skin, "_system", system)
    dim = replace(made(TEXTURE, LIT), given=torch.zeros(COUNT).double())
    torch.testing.assert_close(fit_skin([dim], 0.1 * TEXTURE, ONES, [LIT])[0], 0.1 * TEXTURE)


# --- the pixels of a photo

@pytest.fixture(scope="module")
def model():
    return load_builtin()


def test_pixels_are_the_face_s_own_where_it_faces_the_viewer(model, monkeypatch):
    monkeypatch.setattr(skin, "MOST_PIXELS", 30_000)
    head = new_head(model, 160, 160)
    drawn = render(head, model, 160, 160)
    photo = drawn.shaded * 0.8
    pixels = face_pixels(photo, head, model)
    plain = torch.zeros(len(pixels.directions)).double()
    assert float(pixels.residuals(plain, 0.8 * head.light[0].double()).abs().median()) < 0.01
    assert float(pixels.terms[:, 3].min()) > 0.15 * light.CONSTANTS[3], "the z of its normal"
    assert pixels.given.tolist() == [1.0] * len(pixels.given)
    assert face_pixels(0 * photo, head, model) is None, "black says nothing"
    assert face_pixels(0 * photo + 1, head, model) is None, "nor does white"
    for level, left in ((0.019, False), (0.021, True), (0.979, True), (0.981, False)):
        assert (face_pixels(0 * photo + level, head, model) is not None) == left
    half = torch.ones(1, 160, 160)
    half[:, :, 80:] = 0.4
    assert len(face_pixels(photo, head, model, half).colour) == pytest.approx(len(pixels.colour) / 2, rel=0.1)
    one = photo[:, :1] * 0 + 0.5
    tinted = torch.cat([one, one, 0 * one], 1)
    assert face_pixels(tinted, head, model) is None, "one colour cut off is enough"


def test_at_most_so_many_pixels_are_looked_at_evenly(model, monkeypatch):
    head = new_head(model, 160, 160)
    photo = render(head, model, 160, 160).shaded * 0.8
    assert len(face_pixels(photo, head, model).colour) <= 6000
    monkeypatch.setattr(skin, "MOST_PIXELS", 30_000)
    whole = face_pixels(photo, head, model)
    assert len(whole.colour) > 6000
    for most in (len(whole.colour), len(whole.colour) - 1, 500):
        monkeypatch.setattr(skin, "MOST_PIXELS", most)
        stride = math.ceil(len(whole.colour) / most)
        assert torch.equal(face_pixels(photo, head, model).colour, whole.colour[::stride])
    for least, there in ((len(whole.colour), True), (len(whole.colour) + 1, False)):
        monkeypatch.setattr(skin, "LEAST_PIXELS", least)
        assert (face_pixels(photo, head, model) is not None) == there
    assert skin.WORK_SIZE == 160


def test_the_face_is_in_front_of_the_ears_from_chin_to_hair(model):
    """Triangles of the mesh by where their corners lie; the brows' highest landmark and 28 mm."""
    from caphuman_core.head.model.landmarks import on_surface
    marks = on_surface(model.template[None], model.faces, model.full_faces, model.full_weights)[0]
    corners = model.template[model.faces]
    ears, chin, brows = float(marks[[0, 16], 2].mean()), float(marks[8, 1]), float(marks[17:27, 1].max())
    wanted = ((corners[..., 2] > ears) & (corners[..., 1] > chin) & (corners[..., 1] < brows + 0.028)).all(1)
    assert torch.equal(skin._region(model), wanted)
    assert 0.1 < float(wanted.float().mean()) < 0.7
