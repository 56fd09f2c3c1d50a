"""CapFace beside everything else a graph holds, in the host's own samplers, on narrow networks."""
from __future__ import annotations

import importlib
from types import SimpleNamespace

import narrow_nets as nets
import pytest
import torch

STEPS = 3


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Tiny networks gain nothing from a second thread and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def part(pack):
    return lambda name: importlib.import_module(f"{pack.__name__}.{name}")


@pytest.fixture(scope="module")
def world(part):
    """Networks, and a count of what CapFace computes."""
    net = nets.capface(part("nodes.capface_network"))
    control = part("nodes.capface_control")
    counts = {"forward": 0, "rows": 0, "hint": 0, "project": 0, "keys": 0}

    def count(module, name):
        module.register_forward_hook(lambda m, args, out: counts.update({name: counts[name] + 1}))
    count(net, "forward")
    net.register_forward_hook(lambda m, args, out: counts.update(rows=counts["rows"] + len(args[0])))
    count(net.mask_predict, "hint")
    count(net.img_linear, "project")
    count(net.middle_block[1].transformer_blocks[0].attn2.to_k, "keys")
    capface = control.CapFace(net, part("nodes.host").patcher(net), torch.float32, "narrow")
    return SimpleNamespace(base=nets.base_model(), capface=capface, counts=counts, flow=part("caphuman_core.flow"), control=control)


@pytest.fixture(autouse=True)
def _fresh(world, part, monkeypatch):
    monkeypatch.setitem(part("nodes.capface_base").SHAPE, "model_channels", nets.WIDTH)
    world.counts.update(dict.fromkeys(world.counts, 0))


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def identity(world, count=1, seed=10, present=True):
    whole = torch.nn.functional.normalize(noise(count, 512, seed=seed), dim=-1)
    return world.flow.Identity(whole, noise(count, 257, 1024, seed=seed + 1), torch.full((count,), present), "")


def hint(world, count=1, height=64, width=64, seed=20, present=True):
    mask = torch.zeros(count, height, width)
    mask[:, : height // 2] = 1
    return world.flow.HeadHint(noise(count, 9, height, width, seed=seed), mask, torch.full((count,), present))


def text(seed, tokens=77):
    return [[noise(1, tokens, 768, seed=seed), {}]]


def apply(call, world, positive=None, negative=None, who=None, posed=None, **options):
    """positive, negative with one more person."""
    positive, negative, _ = call("CapHumanApplyCapFace", positive=positive or text(1), negative=negative or text(2),
                                 capface=world.capface, identity=who or identity(world), hint=posed or hint(world), **options)
    return positive, negative


def sample(world, pair, size=(1, 4, 8, 8), cfg=7.0, sampler="euler", scheduler="normal", steps=STEPS, base=None, seed=5, **options):
    import comfy.sample
    latent = options.pop("latent", torch.zeros(size))
    return comfy.sample.sample(base or world.base, noise(*latent.shape, seed=seed), steps, cfg, sampler, scheduler, *pair, latent,
                               disable_pbar=True, seed=seed, **options)


def near(got, want, rel_rms=1e-4):
    """Equal but for rounding: another batch size takes other kernels, and guidance of 7 multiplies the difference.
    Real mistakes cost 0.005 and more (DIFFUSION.md)."""
    assert float((got - want).pow(2).mean().sqrt() / want.pow(2).mean().sqrt()) <= rel_rms


def alone(monkeypatch, world):
    """Make the host evaluate every conditioning in a call of its own, as it does when memory is short."""
    monkeypatch.setattr(world.base.model, "memory_required", lambda *a, **k: 1e30)


# --- cost ---------------------------------------------------------------------------------------------------------

def test_one_forward_a_step_and_constants_once_a_run(call, world):
    sample(world, apply(call, world))
    assert world.counts == {"forward": STEPS, "rows": STEPS, "hint": 2, "project": 1, "keys": 1}     # one hint for face_mask


def test_one_forward_a_step_also_in_separate_calls(call, world, monkeypatch):
    together = sample(world, apply(call, world))
    alone(monkeypatch, world)
    world.counts.update(forward=0)
    apart = sample(world, apply(call, world))
    assert world.counts["forward"] == STEPS
    near(apart, together)


def test_the_straightforward_way_gives_the_same(call, world, monkeypatch):
    """The oracle: everything, both branches, every step."""
    cheap = sample(world, apply(call, world))
    steps = world.control.StepCache
    monkeypatch.setattr(steps, "_remember", lambda self, entry: None)
    monkeypatch.setattr(world.control.CapFaceControl, "_features", lambda self, *args: self.encode(*args))
    world.counts.update(dict.fromkeys(world.counts, 0))
    full = sample(world, apply(call, world))
    assert world.counts["forward"] == 2 * STEPS
    torch.testing.assert_close(cheap, full, rtol=0, atol=0)              # the same arithmetic, only repeated


def test_two_people_cost_two_forwards_and_share_weights(call, world):
    pair = apply(call, world)
    both = apply(call, world, *pair, who=identity(world, seed=30), posed=hint(world, seed=31))
    sample(world, both)
    assert world.counts["forward"] == 2 * STEPS
    second = both[0][0][1]["control"]
    assert second is both[1][0][1]["control"]
    models = second.get_models()
    assert len(models) == 2
    assert models[0] is models[1] is world.capface.patcher


def test_strength_zero_does_no_work_at_all(call, world):
    positive, negative = text(1), text(2)
    out = call("CapHumanApplyCapFace", positive=positive, negative=negative, capface=world.capface, identity=identity(world),
               hint=hint(world), strength=0.0)
    assert out[0] is positive
    assert out[1] is negative
    assert not any(world.counts.values())
    assert out[2].shape == (1, 64, 64)
    assert not out[2].any()


def test_nothing_is_computed_outside_start_and_end(call, world):
    sample(world, apply(call, world, start_percent=0.0, end_percent=0.4))
    assert 0 < world.counts["forward"] < STEPS
    world.counts.update(forward=0)
    sample(world, apply(call, world, strength_schedule="0: 0"))
    assert world.counts["forward"] == 0


def test_nothing_of_a_run_is_kept_after_it(call, world):
    pair = apply(call, world)
    sample(world, pair)
    control = pair[0][0][1]["control"]
    assert control.identities is None
    assert control.features == {}
    assert control.steps.entries == []
    assert control.sampling is None


# --- exactness laws -------------------------------------------------------------------------------------------------

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


def residuals(control, world, x, sigma=None, chunks=1, **transformer_options):
    """What the control gives the UNet for latents x [chunks * F, 4, h, w], as in a run."""
    sampling = world.base.model.model_sampling
    control.pre_run(world.base.model, sampling.percent_to_sigma)
    sigma = torch.full((len(x),), 2.0) if sigma is None else sigma
    got = control.get_control(x, sigma, {"c_crossattn": noise(len(x), 77, 768)}, chunks, transformer_options)
    return None if got is None else [*got["output"], *got["middle"]]


def one(call, world, **options):
    return apply(call, world, **options)[0][0][1]["control"]


def close(a, b, atol=1e-4):
    """float32 kernels differ with the batch's size; residuals are about 1."""
    for left, right in zip(a, b, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=atol)


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
    steps, posed = part("nodes.capface_steps"), hint(world, height=64, width=128)
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


# --- company --------------------------------------------------------------------------------------------------------

def neighbour(world, part, pair, kind, strength=0.7):
    import nodes
    net = {"controlnet": lambda: nets.controlnet(part("caphuman_core.capface.layout")), "t2i": nets.t2i_adapter}[kind]()
    return nodes.ControlNetApplyAdvanced().apply_controlnet(*pair, net, noise(1, 64, 64, 3).sigmoid(), strength, 0.0, 1.0)


@pytest.mark.parametrize("kind", ["controlnet", "t2i"])
def test_other_controls_before_and_after_are_the_same(call, world, part, kind):
    before = sample(world, apply(call, world, *neighbour(world, part, (text(1), text(2)), kind)))
    after = sample(world, neighbour(world, part, apply(call, world), kind))
    near(before, after)
    assert not torch.allclose(before, sample(world, apply(call, world)), atol=1e-3)


@pytest.mark.parametrize("order", ["before", "after"])
def test_another_controlnet_sees_text_and_only_text(call, world, part, order):
    other = nets.controlnet(part("caphuman_core.capface.layout"))
    seen = []
    other.control_model.register_forward_pre_hook(lambda m, args, kwargs: seen.append(kwargs["context"]), with_kwargs=True)
    import nodes

    def add(pair):
        return nodes.ControlNetApplyAdvanced().apply_controlnet(*pair, other, noise(1, 64, 64, 3).sigmoid(), 1.0, 0.0, 1.0)
    pair = apply(call, world, *add((text(1), text(2)))) if order == "before" else add(apply(call, world))
    sample(world, pair, steps=1)
    words = {77: {tuple(text(seed)[0][0][0, 0, :3].tolist()) for seed in (1, 2)}}
    assert seen
    for context in seen:
        assert context.shape[1:] == (77, 768)
        assert {tuple(row[0, :3].tolist()) for row in context} <= words[77]


def test_the_hosts_plain_apply_node_goes_on_acting_on_both_sides(call, world, part):
    import nodes
    image, net = noise(1, 64, 64, 3).sigmoid(), nets.controlnet(part("caphuman_core.capface.layout"))
    plain = nodes.ControlNetApply().apply_controlnet(text(1), net, image, 1.0)[0]
    positive, negative = apply(call, world, positive=plain)
    assert positive[0][1]["control"] is negative[0][1]["control"]
    both = nodes.ControlNetApplyAdvanced().apply_controlnet(text(1), text(2), net, image, 1.0, 0.0, 1.0)
    assert torch.equal(sample(world, (positive, negative)), sample(world, apply(call, world, *both)))


def test_two_persons_in_either_order(call, world):
    a, b = ({"who": identity(world, seed=s), "posed": hint(world, seed=s + 5)} for s in (40, 60))
    ab = sample(world, apply(call, world, *apply(call, world, **a), **b))
    ba = sample(world, apply(call, world, *apply(call, world, **b), **a))
    near(ab, ba)


def test_prompt_mask_is_left_alone(call, world):
    import nodes
    masked = nodes.ConditioningSetMask().append(text(1), torch.eye(8)[None], "default", 1.0)[0]
    positive, _ = apply(call, world, positive=masked, spatial_mask=torch.ones(1, 8, 8))
    assert positive[0][1]["mask"] is masked[0][1]["mask"]
    assert sample(world, (positive, text(2))).isfinite().all()


def test_regions_in_one_conditioning_share_a_control(call, world):
    import nodes
    left = nodes.ConditioningSetArea().append(text(1), 32, 64, 0, 0, 1.0)[0]
    right = nodes.ConditioningSetArea().append(text(3), 32, 64, 32, 0, 1.0)[0]
    positive, negative = apply(call, world, positive=left + right)
    assert positive[0][1]["control"] is positive[1][1]["control"] is negative[0][1]["control"]
    sample(world, (positive, negative))
    assert world.counts["forward"] == 3 * STEPS           # left, right and the whole picture of the negative
    assert sample(world, (positive, negative)).isfinite().all()


@pytest.mark.parametrize(("sampler", "scheduler"), [
    ("euler_ancestral", "karras"), ("dpmpp_2m", "exponential"), ("heun", "sgm_uniform"), ("dpmpp_2s_ancestral", "beta"),
    ("uni_pc", "simple"), ("lcm", "ddim_uniform")])
def test_samplers_and_schedulers(call, world, sampler, scheduler):
    assert sample(world, apply(call, world), sampler=sampler, scheduler=scheduler).isfinite().all()
    assert world.counts["forward"] >= STEPS


def test_without_guidance_and_with_perp_neg(call, world):
    import comfy_extras.nodes_perpneg as perp
    pair = apply(call, world)
    assert sample(world, pair, cfg=1.0).isfinite().all()
    assert world.counts["forward"] == STEPS
    world.counts.update(forward=0)
    import comfy.samplers
    guider = perp.Guider_PerpNeg(world.base)
    guider.set_conds(*pair, apply(call, world, negative=text(3))[1])
    guider.set_cfg(7.0, 1.0)
    sigmas = comfy.samplers.calculate_sigmas(world.base.model.model_sampling, "normal", STEPS)
    out = guider.sample(noise(1, 4, 8, 8), torch.zeros(1, 4, 8, 8), comfy.samplers.sampler_object("euler"), sigmas, seed=1)
    assert out.isfinite().all()


def test_inpainting_image_to_image_and_a_second_pass_at_another_size(call, world):
    pair, start = apply(call, world), noise(1, 4, 8, 8, seed=3)
    assert sample(world, pair, latent=start, denoise=0.5).isfinite().all()
    mask = torch.zeros(1, 8, 8)
    mask[:, 4:] = 1
    kept = sample(world, pair, latent=start, noise_mask=mask)
    torch.testing.assert_close(kept[..., :4, :], start[..., :4, :], rtol=0, atol=1e-4)   # through the latent scale and back
    small = sample(world, pair)
    large = sample(world, pair, latent=torch.nn.functional.interpolate(small, scale_factor=1.5), denoise=0.5)
    assert large.shape == (1, 4, 12, 12)
    assert torch.equal(sample(world, pair), small)


def test_host_context_windows(call, world):
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode
    windowed = ContextWindowsManualNode.execute(world.base, 4, 1, "standard_static", 1, False, "pyramid", 0, False)
    out = sample(world, apply(call, world, posed=hint(world, 7)), size=(7, 4, 8, 8), base=windowed.result[0], steps=1)
    assert out.isfinite().all()
    assert world.counts["forward"] == 2                    # two windows of four cover seven frames with one shared


def test_lora_and_attention_patches_touch_the_unet_alone(call, world):
    base = world.base.clone()
    key = "diffusion_model.input_blocks.1.0.in_layers.2.weight"
    base.add_patches({key: ("diff", (noise(nets.WIDTH, nets.WIDTH, 3, 3) * 0.05,))}, 1.0)
    seen = []
    base.set_model_attn2_patch(lambda q, k, v, extra: seen.append(k.shape) or (q, k, v))
    pair = apply(call, world)
    patched = sample(world, pair, base=base)
    assert not torch.allclose(patched, sample(world, pair), atol=1e-3)
    assert seen
    assert {shape[1] for shape in seen} == {77}            # CapFace's 258 tokens never pass through


def test_low_memory_loading_gives_the_same(call, world):
    pair = apply(call, world)
    want, patcher = sample(world, pair), world.capface.patcher
    patcher.detach()
    patcher.load(torch.device("cpu"), lowvram_model_memory=1)
    try:
        near(sample(world, pair), want)
    finally:
        patcher.detach()


def test_eight_bit_weights_compute_in_float32(call, world, part):
    """--fp8_e4m3fn-unet: three bits of mantissa, 2^-4 each, over 40 layers."""
    import comfy.ops
    network, x = part("nodes.capface_network"), noise(1, 4, 8, 8)
    small = network.CapFaceNet(torch.float8_e4m3fn, torch.device("cpu"), comfy.ops.manual_cast, width=nets.WIDTH)
    small.load_state_dict(world.capface.network.state_dict())
    capface = world.control.CapFace(small, part("nodes.host").patcher(small), torch.float32, "small")
    person = world.control.Person(identity(world), hint(world), mask="none")
    got = residuals(world.control.CapFaceControl(capface, person), world, x)
    for left, right in zip(got, residuals(world.control.CapFaceControl(world.capface, person), world, x), strict=True):
        near(left, right, 0.25)
        assert not torch.equal(left, right)


def test_clones_for_other_devices(call, world):
    control, x = one(call, world), noise(1, 4, 8, 8)
    clone = control.deepclone_multigpu(torch.device("cpu"), autoregister=True)
    assert control.get_instance_for_device(torch.device("cpu")) is clone
    assert clone.capface.network is not control.capface.network
    assert all(map(torch.equal, residuals(clone, world, x), residuals(control, world, x)))
    assert control.inference_memory_requirements(torch.float32) > 0


def test_copies_share_weights_and_no_state(call, world):
    control = one(call, world, strength=0.3)
    copied = control.copy()
    assert copied.capface is control.capface
    assert copied.person is control.person
    assert copied.strength == 0.3
    assert copied.steps is not control.steps


def test_reference_control_guidance(call, world):
    plain = sample(world, apply(call, world))
    positive, negative = apply(call, world, reference_hint=hint(world, seed=90))
    assert positive[0][1]["control"] is not negative[0][1]["control"]
    world.counts.update(forward=0)
    assert not torch.allclose(sample(world, (positive, negative)), plain, atol=1e-3)
    assert world.counts["forward"] == 2 * STEPS
    same = sample(world, apply(call, world, reference_hint=hint(world)))
    near(same, plain)                                      # the same hint on both sides is the plain way


def test_inputs_are_not_changed(call, world):
    positive, negative, options = text(1), text(2), {"strength": 0.5}
    positive[0][1].update(options)
    apply(call, world, positive, negative)
    assert positive[0][1] == options
    assert negative[0][1] == {}


def test_face_mask_output(call, world):
    def shown(**options):
        return call("CapHumanApplyCapFace", positive=text(1), negative=text(2), capface=world.capface, identity=identity(world),
                    hint=options.pop("posed", None) or hint(world), **options)[2]
    predicted = shown()
    assert predicted.shape == (1, 64, 64)
    assert 0 < float(predicted.min()) <= float(predicted.max()) < 1
    assert torch.equal(shown(mask="rendered"), hint(world).mask)
    assert shown(mask="none").all()
    assert not shown(posed=hint(world, present=False)).any()


# --- refusals -------------------------------------------------------------------------------------------------------

def bad(world, **changes):
    from dataclasses import replace
    return {"hint nan": {"posed": replace(hint(world), maps=hint(world).maps * float("nan"))},
            "identity nan": {"who": replace(identity(world), local_tokens=identity(world).local_tokens * float("inf"))},
            "one encoder": {"who": replace(identity(world), local_tokens=torch.zeros(1, 0, 1024))},
            "short hint": {"posed": replace(hint(world), maps=torch.zeros(1, 3, 64, 64))},
            "start": {"start_percent": 0.6, "end_percent": 0.5},
            "schedule": {"strength_schedule": "soon: 1"},
            "frames": {"frame_strengths": "1; two"},
            "mask shape": {"spatial_mask": torch.zeros(0, 4, 4)},
            "mask nan": {"spatial_mask": torch.full((1, 4, 4), float("nan"))}}


@pytest.mark.parametrize(("case", "words"), [
    ("hint nan", "hint must hold finite"), ("identity nan", "identity must hold finite"), ("one encoder", "both encoders"),
    ("short hint", "nine maps"), ("start", "0.6 > 0.5"), ("schedule", "strength_schedule"), ("frames", "frame_strengths"),
    ("mask shape", "spatial_mask"), ("mask nan", "spatial_mask"),
])
def test_bad_input_is_one_sentence(call, world, part, case, words):
    with pytest.raises(part("caphuman_core.check").InputError) as error:
        apply(call, world, **bad(world)[case])
    assert words in str(error.value)
    assert "\n" not in str(error.value)


OTHERS = [("SDXL", "SDXL"), ("SD20", "Stable Diffusion 2"), ("Flux", "Flux"), ("SVD_img2vid", "Stable Video Diffusion"),
          ("WAN21_T2V", "WAN21_T2V"), ("HunyuanVideo", "HunyuanVideo"), ("SD3", "Stable Diffusion 3")]


@pytest.mark.parametrize(("kind", "named"), OTHERS)
def test_wrong_base_models_are_named(call, world, part, kind, named):
    import comfy.supported_models
    other = SimpleNamespace(model=SimpleNamespace(model_config=getattr(comfy.supported_models, kind)({"context_dim": 2048})))
    words = f"must be a Stable Diffusion 1.5 checkpoint, .*but got {named}"
    refused = part("caphuman_core.check").InputError
    with pytest.raises(refused, match=words):
        apply(call, world, model=other)
    with pytest.raises(refused, match=words):
        one(call, world).pre_run(other.model, lambda percent: percent)


def test_wrong_base_model_at_the_first_step(call, world, part):
    import comfy.supported_models
    base = nets.base_model(comfy.supported_models.SD20, width=64)
    with pytest.raises(part("caphuman_core.check").InputError, match="Stable Diffusion 2"):
        sample(world, apply(call, world), base=base)


def test_the_right_base_model_is_let_through(call, world):
    apply(call, world, model=world.base)
    apply(call, world, model=nets.base_model(in_channels=9))               # inpainting
    with pytest.raises(ValueError, match="of another shape"):
        apply(call, world, model=nets.base_model(width=64))
