"""CapFace beside other controls, samplers, patches and people."""
from __future__ import annotations

import pytest
import torch
from narrow_world import STEPS, apply, hint, identity, near, noise, one, residuals, sample, text

from tools.stand_ins import narrow_nets as nets


def neighbour(world, part, pair, kind, strength=0.7):
    import nodes
    net = {"controlnet": lambda: nets.controlnet(part("caphuman_core.capface.spec")), "t2i": nets.t2i_adapter}[kind]()
    return nodes.ControlNetApplyAdvanced().apply_controlnet(*pair, net, noise(1, 64, 64, 3).sigmoid(), strength, 0.0, 1.0)


@pytest.mark.parametrize("kind", ["controlnet", "t2i"])
def test_other_controls_before_and_after_are_the_same(call, world, part, kind):
    before = sample(world, apply(call, world, *neighbour(world, part, (text(1), text(2)), kind)))
    after = sample(world, neighbour(world, part, apply(call, world), kind))
    near(before, after)
    assert not torch.allclose(before, sample(world, apply(call, world)), atol=1e-3)


@pytest.mark.parametrize("order", ["before", "after"])
def test_another_controlnet_sees_text_and_only_text(call, world, part, order):
    other = nets.controlnet(part("caphuman_core.capface.spec"))
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
    image, net = noise(1, 64, 64, 3).sigmoid(), nets.controlnet(part("caphuman_core.capface.spec"))
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
    network, x = part("nodes.capface.network"), noise(1, 4, 8, 8)
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


def test_people_share_one_copy_on_another_device(call, world):
    """Two people on two graphics cards: the second card gets the network once, and loses it when nobody uses it."""
    import gc
    import weakref
    card = torch.device("cpu", 1)                          # the host only asks for a device that is not the first
    pair = apply(call, world, *apply(call, world), who=identity(world, seed=30))
    second, first = pair[0][0][1]["control"], pair[0][0][1]["control"].previous_controlnet
    clones = [control.deepclone_multigpu(card, autoregister=True) for control in (second, first)]
    assert clones[0].capface is clones[1].capface is not world.capface
    assert clones[0].capface.network is not world.capface.network
    assert clones[0].get_models_only_self() == clones[1].get_models_only_self() == [clones[0].capface.patcher]
    assert clones[0].capface.patcher.load_device == card
    network = weakref.ref(clones[0].capface.network)
    first.multigpu_clones.clear()
    second.multigpu_clones.clear()
    del clones
    gc.collect()
    assert network() is None


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
