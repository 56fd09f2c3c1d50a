"""Laws of the residuals: seeds, batches, windows, masks, areas, sizes."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from narrow_world import apply, close, hint, identity, near, noise, one, residuals, sample, text


@pytest.mark.thorough
def test_ten_runs_are_bit_equal(call, world):
    pair = apply(call, world)
    first = sample(world, pair, sampler="euler_ancestral")
    assert all(torch.equal(first, sample(world, pair, sampler="euler_ancestral")) for _ in range(9))


def test_an_interrupt_leaves_nothing_behind(call, world):
    import comfy.model_management
    pair = apply(call, world)
    want = sample(world, pair)

    def stop(step, *_):
        if step == 1:
            raise comfy.model_management.InterruptProcessingException
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        sample(world, pair, size=(1, 4, 8, 8), seed=9, callback=stop)
    assert torch.equal(sample(world, pair), want)


def test_capface_changes_the_picture_and_neutral_knobs_do_not(call, world):
    plain = sample(world, (text(1), text(2)))
    person = sample(world, apply(call, world))
    assert not torch.allclose(plain, person, atol=1e-3)
    neutral = {"head_strength": 1.0, "identity_strength": 1.0, "soft_mask": False, "strength_schedule": "0: 1, 1: 1",
               "easing": "hold", "frame_strengths": "1", "spatial_mask": torch.ones(1, 64, 64)}
    assert torch.equal(sample(world, apply(call, world, **neutral)), person)


@pytest.mark.parametrize("options", [
    {"strength": 0.5}, {"head_strength": 0.5}, {"identity_strength": 0.5}, {"soft_mask": True}, {"mask": "rendered"},
    {"mask": "none"},
    {"strength_schedule": "0: 1, 1: 0"}, {"frame_strengths": "0.5"}, {"spatial_mask": torch.eye(64)[None]}, {"id_dropout_tau": 300},
])
def test_every_knob_does_something(call, world, options):
    assert not torch.equal(sample(world, apply(call, world, **options)), sample(world, apply(call, world)))


def test_identity_strength_zero_is_silence_and_head_strength_zero_is_no_head(call, world):
    x = noise(1, 4, 8, 8)
    silent = residuals(one(call, world, id_dropout_tau=1), world, x)
    assert all(map(torch.equal, silent, residuals(one(call, world, identity_strength=0.0), world, x)))
    headless = residuals(one(call, world, head_strength=0.0, mask="none"), world, x)
    blank = hint(world)
    other = residuals(one(call, world, posed=hint(world, seed=77), head_strength=0.0, mask="none"), world, x)
    assert blank.maps.any()
    assert all(map(torch.equal, headless, other))


def test_a_batch_is_a_loop_over_its_frames(call, world):
    x, sigma = noise(2, 4, 8, 8), torch.tensor([3.0, 0.5])
    both = residuals(one(call, world, who=identity(world, 2), posed=hint(world, 2), id_dropout_tau=500), world, x, sigma)
    for row in range(2):
        pick = slice(row, row + 1)
        whole, posed = identity(world, 2), hint(world, 2)
        who = world.flow.Identity(whole.global_embedding[pick], whole.local_tokens[pick], whole.present[pick], "")
        where = world.flow.HeadHint(posed.maps[pick], posed.mask[pick], posed.present[pick])
        single = residuals(one(call, world, who=who, posed=where, id_dropout_tau=500), world, x[pick], sigma[pick])
        close([residual[pick] for residual in both], single)


def test_three_hints_over_four_frames_start_over(call, world):
    x = noise(1, 4, 8, 8).repeat(4, 1, 1, 1)
    got = residuals(one(call, world, posed=hint(world, 3)), world, x)
    close([residual[3] for residual in got], [residual[0] for residual in got])
    assert not torch.allclose(got[0][1], got[0][0])


@pytest.mark.parametrize("options", [{"sub_idxs": [5, 6, 7]}, {"ad_params": {"sub_idxs": [5, 6, 7]}},
                                     {"context_window": SimpleNamespace(index_list=[5, 6, 7])},
                                     {"context_window": SimpleNamespace(index_list=[6, 7], causal_anchor_index=5)}])
def test_context_windows_take_their_own_hints(call, world, options):
    x, posed = noise(1, 4, 8, 8).repeat(3, 1, 1, 1), hint(world, 8)
    window = residuals(one(call, world, posed=posed), world, x, **options)
    expected = residuals(one(call, world, posed=world.flow.HeadHint(posed.maps[5:], posed.mask[5:], posed.present[5:])), world, x)
    close(window, expected)


def test_frames_without_a_face_get_nothing_and_shift_nobody(call, world):
    posed, x = hint(world, 3), noise(3, 4, 8, 8)
    whole = residuals(one(call, world, posed=posed), world, x)
    shown = torch.tensor([True, False, True])
    part = residuals(one(call, world, posed=world.flow.HeadHint(posed.maps, posed.mask, shown)), world, x)
    for got, want in zip(part, whole, strict=True):
        assert not got[1].any()
        assert torch.equal(got[0], want[0])
        assert torch.equal(got[2], want[2])
    assert residuals(one(call, world, who=identity(world, present=False)), world, x) is None


def test_spatial_mask_is_a_factor_on_the_residuals(call, world):
    x, left = noise(1, 4, 8, 8), torch.zeros(1, 32, 32)
    left[..., :16] = 1
    full, half = residuals(one(call, world), world, x), residuals(one(call, world, spatial_mask=left), world, x)
    for got, want in zip(half[:3], full[:3], strict=True):      # 8x8 maps
        assert torch.equal(got[..., :4], want[..., :4])
        assert not got[..., 4:].any()


def test_rendered_mask_is_the_drawn_head(call, world):
    got = residuals(one(call, world, mask="rendered"), world, noise(1, 4, 8, 8))
    assert got[0][..., :4, :].any()
    assert not got[0][..., 4:, :].any()


def test_an_area_sees_its_part_of_the_head(call, world, part):
    steps, posed = part("nodes.capface.pieces"), hint(world, height=64, width=128)
    cut = world.flow.HeadHint(posed.maps[..., 64:], posed.mask[..., 64:], posed.present)
    x, control = noise(1, 4, 8, 8), one(call, world, posed=posed)
    control.pre_run(world.base.model, world.base.model.model_sampling.percent_to_sigma)
    cond = {steps.AREA_KEY: (steps.Area(8, 8, 0, 8),)}
    got = control.get_control(x, torch.tensor([2.0]), cond, 1, {})
    want = residuals(one(call, world, posed=cut), world, x)
    assert all(map(torch.equal, [*got["output"], *got["middle"]], want))


def test_the_host_tells_areas(call, world, monkeypatch):
    import nodes
    seen = []
    inner = world.control.CapFaceControl.encode
    monkeypatch.setattr(world.control.CapFaceControl, "encode",
                        lambda self, *where: seen.append(where[:3]) or inner(self, *where))
    posed = hint(world, height=64, width=128)
    positive, negative = apply(call, world, posed=posed)
    positive = nodes.ConditioningSetArea().append(positive, 64, 64, 64, 0, 1.0)[0]
    out = sample(world, (positive, negative), size=(1, 4, 8, 16))
    assert out.isfinite().all()
    area = [(height, width, (area.height, area.width, area.top, area.left)) for height, width, area in seen if area is not None]
    assert area == [(8, 8, (8, 8, 0, 8))]


@pytest.mark.parametrize("area", [(8, 4, 0, 4), (8, 4, 0, 0), (4, 4, 0, 0), (2, 4, 3, 2)])
@pytest.mark.parametrize("hint_side", [64, 128, 32])
@pytest.mark.parametrize("whole_first", [False, True])
def test_an_area_is_cut_in_the_pictures_frame_whatever_the_hints_size(call, world, monkeypatch, area, hint_side, whole_first):
    """A picture of 8x8 cells; whatever is sampled first, the part of the hint is the area's share of it."""
    seen, inner = [], world.capface.network.encode_hint
    monkeypatch.setattr(world.capface.network, "encode_hint", lambda maps: seen.append(maps) or inner(maps))
    posed = hint(world, height=hint_side, width=hint_side)
    # every pixel tells its place: channels 0 and 1 are y and x in shares of the hint
    across = ((torch.arange(hint_side) + 0.5) / hint_side).expand(hint_side, hint_side)
    posed = world.flow.HeadHint(torch.stack([across.T, across] + [across] * 7)[None], posed.mask, posed.present)
    positive, negative = apply(call, world, posed=posed)
    regional = [[positive[0][0], {**positive[0][1], "area": area, "strength": 1.0}]]
    seen.clear()
    sample(world, (positive + regional if whole_first else regional, negative), steps=1)
    height, width, top, left = area
    maps = next(each for each in seen if tuple(each.shape[-2:]) == (8 * height, 8 * width))
    want = [(top + (torch.arange(8 * height) + 0.5) / 8) / 8, (left + (torch.arange(8 * width) + 0.5) / 8) / 8]
    inside = slice(2, -2)                                 # bilinear enlarging repeats the border's pixels
    torch.testing.assert_close(maps[0, 0, inside, 0], want[0][inside], rtol=0, atol=1e-4)
    torch.testing.assert_close(maps[0, 1, 0, inside], want[1][inside], rtol=0, atol=1e-4)


def test_areas_by_percentage_and_masks_of_other_sizes(call, world):
    """The right half, given in shares, with a hint twice the picture's size and a mask half of it: as if all had its size."""
    import nodes
    posed, mask = hint(world, height=128, width=128), torch.zeros(1, 4, 4)
    mask[..., 2:3] = 1
    half = world.flow.HeadHint(*(torch.nn.functional.interpolate(each, size=(64, 64), mode="area") for each in
                                 (posed.maps, posed.mask[:, None])), posed.present)
    half = world.flow.HeadHint(half.maps, half.mask[:, 0], half.present)

    def picture(**options):
        positive, negative = apply(call, world, **options)
        areas = nodes.ConditioningSetAreaPercentage().append(positive, 0.5, 1.0, 0.5, 0.0, 1.0)[0]
        return sample(world, (areas, negative))
    twice = torch.nn.functional.interpolate(mask[None], size=(8, 8), mode="bilinear")[0]
    near(picture(posed=posed, spatial_mask=mask), picture(posed=half, spatial_mask=twice))


def test_a_hint_of_another_size_is_fitted_by_the_hosts_rule(call, world, caplog):
    wide = hint(world, height=64, width=128)
    middle = world.flow.HeadHint(wide.maps[..., 32:96], wide.mask[..., 32:96], wide.present)
    x = noise(1, 4, 8, 8)
    got = residuals(one(call, world, posed=wide), world, x)
    assert all(map(torch.equal, got, residuals(one(call, world, posed=middle), world, x)))
    assert "128x64 pixels but the picture is 64x64" in caplog.text


@pytest.mark.parametrize("size", [(1, 4, 7, 9), (1, 4, 13, 8), (1, 4, 16, 24)])
def test_any_latent_size(call, world, size):
    out = sample(world, apply(call, world, posed=hint(world, height=8 * size[2], width=8 * size[3])), size=size)
    assert out.isfinite().all()
