"""Laws of the training step, on narrow networks."""
from __future__ import annotations

from dataclasses import replace

import made_world
import pytest
import torch

from caphuman_core.check import InputError
from caphuman_train.step.base import CaptionCache
from caphuman_train.step.draws import draw
from caphuman_train.step.initial import initialise, scale_hint_block, scale_projections
from caphuman_train.step.loss import CapFaceStep, LossSettings, StepInputs, gated
from caphuman_train.step.saving_memory import checkpoint_blocks
from caphuman_train.step.unet import decode, encode

ROUNDING = {"rtol": 1e-4, "atol": 1e-5}                 # float32 kernels in another order


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def base():
    return made_world.narrow_base()


def network_of(part, seed=2):
    """Random weights, so that residuals and the mask are something."""
    import comfy.ops

    from tools.stand_ins import narrow_nets
    kind = part("nodes.capface.network").CapFaceNet
    return narrow_nets.seeded(kind(torch.float32, torch.device("cpu"), comfy.ops.manual_cast, width=32), seed).requires_grad_(True)


@pytest.fixture
def step(part, base):
    return CapFaceStep(network_of(part), base.unet, base.alphas, LossSettings(), torch.float32)


@pytest.fixture
def inputs():
    count = 3
    target = (noise(count, 1, 8, 8, seed=7) > 0).float()
    return StepInputs(noise(count, 4, 8, 8, seed=1), noise(count, 4, 8, 8, seed=2), torch.tensor([5, 400, 990]),
                      noise(count, 9, 64, 64, seed=3), noise(count, 9, 1024, seed=4), noise(count, 512, seed=5), torch.ones(count),
                      noise(count, 77, 768, seed=6), target)


def gradients(step, inputs, **options):
    step.zero_grad()
    noise_error, mask_error, _ = step(inputs, **options)
    step.total(noise_error, mask_error).backward()
    return {name: value.grad for name, value in step.network.named_parameters()}


def test_the_two_halves_are_the_hosts_unet(base):
    x, t, text = noise(2, 4, 8, 8), torch.tensor([10, 700]), noise(2, 77, 768, seed=1)
    encoded = encode(base.unet, x, t, text)
    residuals = [noise(*skip.shape, seed=index) for index, skip in enumerate((*encoded.skips, encoded.hidden))]
    got = decode(base.unet, encoded, residuals, text)
    control = {"middle": [residuals[-1].clone()], "output": [value.clone() for value in residuals[:-1]]}
    with torch.no_grad():
        want = base.unet(x, t, text, control=control)
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    assert not any(value.requires_grad for value in (encoded.hidden, encoded.embedding, *encoded.skips))


def test_gradients_reach_capface_alone_and_nothing_runs_twice(step, inputs, base):
    calls = []
    handles = [block.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled())) for block in base.unet.input_blocks]
    found = gradients(step, inputs)
    for handle in handles:
        handle.remove()
    assert calls == [False] * 12, "the encoder runs once and without a graph"
    assert all(value is not None and float(value.abs().sum()) > 0 for value in found.values())
    assert all(value.grad is None for value in base.unet.parameters())
    assert set(dict(step.named_parameters())) == {f"network.{name}" for name in found}


def test_numbers_are_those_of_autograd_through_the_hosts_own_forward(step, inputs, base):
    """The oracle: the whole UNet in the graph, residuals added by hooks on its skips."""
    found = gradients(step, inputs)
    step.zero_grad()
    guided, mask = step.network.encode_hint(inputs.hint)
    from caphuman_train.step.loss import SampleContext
    tokens = step.network.project(inputs.local_tokens, inputs.global_embedding)
    raw = step.network(step.noised(inputs), guided, inputs.timesteps, SampleContext(tokens, inputs.heard))
    residuals = gated(raw, mask.detach(), False)
    latents = step.noised(inputs).requires_grad_(True)      # the encoder keeps its graph too
    from comfy.ldm.modules.diffusionmodules.util import timestep_embedding
    unet, skips = base.unet, []
    embedding = unet.time_embed(timestep_embedding(inputs.timesteps, unet.model_channels, repeat_only=False))
    hidden = latents
    for block in unet.input_blocks:
        hidden = block(hidden, embedding, inputs.text, {})
        skips.append(hidden)
    hidden = unet.middle_block(hidden, embedding, inputs.text, {}) + residuals.pop()
    for block in unet.output_blocks:
        hidden = torch.cat([hidden, skips.pop() + residuals.pop()], 1)
        hidden = block(hidden, embedding, inputs.text, {}, output_shape=skips[-1].shape if skips else None)
    loss = (unet.out(hidden) - inputs.noise).square().mean() + (mask - inputs.face_target).square().mean()
    loss.backward()
    assert latents.grad is not None
    for name, value in step.network.named_parameters():
        torch.testing.assert_close(value.grad, found[name], **ROUNDING)


def test_checkpointing_changes_no_number(part, inputs):
    base = made_world.narrow_base()
    plain = gradients(CapFaceStep(network_of(part), base.unet, base.alphas, LossSettings(), torch.float32), inputs)
    network, again = network_of(part), []
    network.input_blocks[4].register_forward_pre_hook(lambda *_: again.append(1))
    checkpoint_blocks(network, base.unet)
    network.input_blocks[4][0].register_forward_pre_hook(lambda *_: again.append(2))
    saved = gradients(CapFaceStep(network, base.unet, base.alphas, LossSettings(), torch.float32), inputs)
    assert again.count(2) == 2, "computed once more on the way back"
    assert all(torch.equal(plain[name], saved[name]) for name in plain)


def test_a_closed_mask_lets_no_gradient_through_and_a_soft_gate_does(step, inputs):
    with torch.no_grad():
        step.network.mask_predict[0].weight.zero_()
        step.network.mask_predict[0].bias.fill_(-1.0)
    hard, soft = gradients(step, inputs), gradients(step, inputs, soft_gate=True)
    name = "zero_convs.3.0.weight"
    assert not hard[name].any()
    assert hard["mask_predict.0.bias"].any(), "the mask learns all the same"
    assert soft[name].any()
    assert step(inputs)[2].tolist() == [1.0] * 3, "all closed"


def test_a_silent_identity_is_the_zero_context(step, inputs):
    silent = replace(inputs, heard=torch.tensor([0.0, 1.0, 0.0]))
    got = step.predict(silent, False)[0]
    project = step.network.project
    step.network.project = lambda *args: project(*args) * silent.heard[:, None, None]
    want = step.predict(inputs, False)[0]
    del step.network.project
    torch.testing.assert_close(got, want, **ROUNDING)
    heard = step.predict(inputs, False)[0]
    assert not torch.allclose(got[0], heard[0], atol=1e-3)
    torch.testing.assert_close(got[1], heard[1], **ROUNDING)


def test_min_snr_weights_are_the_papers(step):
    """Hang et al. 2023, for noise prediction: min(SNR, gamma) / SNR."""
    weighed = CapFaceStep(step.network, step._frozen[0], step.alphas, LossSettings(min_snr_gamma=5.0), torch.float32)
    t = torch.tensor([0, 999])
    snr = step.alphas[t] / (1 - step.alphas[t])
    assert float(snr[0]) > 5 > float(snr[1])
    torch.testing.assert_close(weighed.weights(t), torch.tensor([5 / float(snr[0]), 1.0]))
    assert step.weights(t).tolist() == [1.0, 1.0]


def test_a_power_of_the_snr_weighs_timesteps_and_is_one_in_the_mean(step):
    """At -0.5 a timestep whose SNR is a hundredth of another's weighs ten times as much."""
    weighed = CapFaceStep(step.network, step._frozen[0], step.alphas, LossSettings(snr_power=-0.5), torch.float32)
    weights = weighed.weights(torch.arange(1000))
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0))
    snr = step.alphas / (1 - step.alphas)
    hundredth = int((snr - snr[300] / 100).abs().argmin())
    assert float(weights[hundredth] / weights[300]) == pytest.approx(10, rel=0.02)
    both = CapFaceStep(step.network, step._frozen[0], step.alphas, LossSettings(5.0, 5.0, -0.5), torch.float32)
    torch.testing.assert_close(both.weights(torch.tensor([0])), weights[:1] * 5 / snr[:1])


def test_the_mask_weight_scales_the_masks_error(step):
    weighed = CapFaceStep(step.network, step._frozen[0], step.alphas, LossSettings(mask_weight=0.25), torch.float32)
    assert float(weighed.total(torch.tensor([1.0, 3.0]), torch.tensor([4.0, 8.0]))) == 2.0 + 0.25 * 6.0


def test_half_precision_computes_near_and_keeps_float32_weights(part, base, inputs):
    """bf16 rounds to 2^-8; some forty layers in a row."""
    exact = CapFaceStep(network_of(part), base.unet, base.alphas, LossSettings(), torch.float32)
    want = exact.predict(inputs, True)
    half_base = made_world.narrow_base()
    half_base.unet.to(torch.bfloat16)
    half = CapFaceStep(network_of(part), half_base.unet, base.alphas, LossSettings(), torch.bfloat16)
    got = half.predict(inputs, True)
    assert got[0].dtype == torch.bfloat16
    distance = (got[0].float() - want[0]).square().mean() / want[0].square().mean()
    assert float(distance.detach()) ** 0.5 < 0.1
    torch.testing.assert_close(got[1], want[1])              # hint and mask are float32 whatever the rest is
    found = gradients(half, inputs)
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert all(bool(value.isfinite().all()) for value in found.values())


# --- draws

def test_draws_follow_from_seed_step_and_row_alone():
    whole = draw(3, 17, range(6), (8, 6))
    parts = [draw(3, 17, rows, (8, 6)) for rows in ((0, 1), (2, 3, 4, 5))]
    torch.manual_seed(5)
    for name in ("timesteps", "noise", "latent_noise", "text_dropped"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts])), name
    for other in (draw(4, 17, range(6), (8, 6)), draw(3, 18, range(6), (8, 6)), draw(3, 17, range(6, 12), (8, 6))):
        assert not torch.equal(whole.noise, other.noise)
    assert not torch.equal(whole.noise, whole.latent_noise)
    assert not torch.equal(whole.noise[0], whole.noise[1])


def test_draws_are_uniform_and_normal():
    """3,000 samples: a mean's standard error is 1/sqrt(3000); five of them."""
    drawn = draw(0, 0, range(3000), (2, 2), text_dropout=0.3, identity_dropout=0.1)
    assert int(drawn.timesteps.min()) >= 0
    assert int(drawn.timesteps.max()) <= 999
    assert abs(float(drawn.timesteps.float().mean()) - 499.5) < 5 * 289 / 3000 ** 0.5
    assert abs(float(drawn.text_dropped.float().mean()) - 0.3) < 5 * 0.46 / 3000 ** 0.5
    assert abs(float(drawn.identity_dropped.float().mean()) - 0.1) < 5 * 0.3 / 3000 ** 0.5
    assert abs(float(drawn.noise.std()) - 1) < 0.05
    assert not (drawn.text_dropped == drawn.identity_dropped).all()


def made_inputs(drawn_shards, head_model, seen, **options):
    from caphuman_train.data.loader import Shards, batch_at
    from caphuman_train.step.inputs import make_inputs
    batch = batch_at(Shards.open(drawn_shards), 0, 4, 0, 0, 1, 0.0, head_model)

    def encode_text(text):
        seen.append(text)
        return made_world.caption(text)
    return batch, make_inputs(batch, encode_text, 0, 3, range(4), **options)


def test_inputs_of_a_batch(drawn_shards, head_model):
    seen = []
    batch, inputs = made_inputs(drawn_shards, head_model, seen)
    drawn = draw(0, 3, range(4), (8, 8))
    assert seen == batch.texts
    assert torch.equal(inputs.latents, batch.latent_mean + batch.latent_std * drawn.latent_noise)
    assert torch.equal(inputs.noise, drawn.noise)
    assert inputs.heard.tolist() == [1.0] * 4
    assert torch.equal(inputs.hint, batch.hint)


def test_dropouts_and_tau(drawn_shards, head_model):
    seen = []
    _, inputs = made_inputs(drawn_shards, head_model, seen, text_dropout=1.0, identity_dropout=1.0)
    assert seen == [""] * 4
    assert not inputs.heard.any()
    timesteps = inputs.timesteps.tolist()
    tau = sorted(timesteps)[1]
    _, inputs = made_inputs(drawn_shards, head_model, [], tau=tau)
    assert inputs.heard.tolist() == [float(t <= tau) for t in timesteps]


def test_captions_are_encoded_once_within_the_room_there_is():
    cache = CaptionCache(lambda text: torch.full((10,), float(len(text))), 3 * 40)
    assert [float(cache(text)[0]) for text in ("a", "bb", "a", "ccc", "a")] == [1, 2, 1, 3, 1]
    assert cache.encoded == 3
    cache("dddd")                                       # "bb" was used longest ago
    cache("a")
    assert cache.encoded == 4
    cache("bb")
    assert cache.encoded == 5


# --- the start

def test_the_start_is_a_copy_that_does_nothing(part, base, inputs):
    network = network_of(part)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    initialise(network, base.unet, 0)
    assert torch.equal(torch.get_rng_state(), before)
    state, unet = network.state_dict(), base.unet.state_dict()
    for name, value in state.items():
        if name.startswith(("time_embed.", "input_blocks.", "middle_block.")):
            assert torch.equal(value, unet[name]), name
    for name in ("zero_convs.5.0.weight", "zero_convs.0.0.bias", "middle_block_out.0.weight", "input_hint_block.14.bias",
                 "input_hint_block.14.weight"):
        assert not state[name].any(), name
    for name, fan_in in (("input_hint_block.0.weight", 81), ("mask_predict.0.weight", 9 * 32), ("id_linear.weight", 512),
                         ("img_linear.weight", 1024)):
        limit = fan_in ** -0.5                              # torch's default: uniform within 1 / sqrt(fan in)
        assert 0.9 * limit < float(state[name].abs().max()) <= limit, name
    step = CapFaceStep(network, base.unet, base.alphas, LossSettings(), torch.float32)
    with torch.no_grad():
        assert torch.equal(step.predict(inputs, False)[0], base.unet(step.noised(inputs), inputs.timesteps, inputs.text))
    again = network_of(part, 5)
    initialise(again, base.unet, 0)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in state.items())
    initialise(again, base.unet, 1)
    assert not torch.equal(again.state_dict()["id_linear.weight"], state["id_linear.weight"])


def test_projections_are_scaled_until_people_differ_as_loudly_as_words(part, base, inputs):
    plain, scaled = network_of(part), network_of(part)
    people = torch.nn.functional.normalize(noise(5, 512, seed=8) * 0.1 + noise(1, 512, seed=9), dim=1)
    tokens, text = noise(5, 257, 1024, seed=10) * 0.3 + 2, noise(5, 77, 768, seed=11) * 0.8 + 5
    for network in (plain, scaled):
        initialise(network, base.unet, 0)
    scale_projections(scaled, tokens, people, text)
    before, after = ((network.project(tokens, people)).detach() for network in (plain, scaled))
    for local in (slice(0, 257), slice(257, 258)):
        assert after[:, local].mean((0, 1)).abs().max() < 1e-4
        assert float(after[:, local].var((0, 1), correction=0).mean().sqrt()) == pytest.approx(0.8, rel=0.01)
        factor = float(after[:, local].std() / (before[:, local] - before[:, local].mean((0, 1))).std())
        apart = (before[0] - before[1])[local] * factor
        assert torch.allclose((after[0] - after[1])[local], apart, rtol=1e-2, atol=1e-3), "the same differences, louder"
    assert (before[0, -1] - before[1, -1]).std() < 0.02, "what it is for"
    others = {name: value for name, value in plain.state_dict().items() if "linear" not in name}
    assert all(torch.equal(value, scaled.state_dict()[name]) for name, value in others.items())


def test_a_scaled_start_passes_the_hint_on_and_does_nothing_yet(part, base, inputs):
    plain, scaled = network_of(part), network_of(part)
    hints = noise(6, 9, 64, 64, seed=8) * 0.1 + 0.4
    other = hints.clone()
    other[:, :3] = other[:, :3].roll(20, -1)                # other normals, the same albedo and shading
    for network in (plain, scaled):
        initialise(network, base.unet, 0)
    before = torch.get_rng_state()
    scale_hint_block(scaled, hints, 0)
    assert torch.equal(torch.get_rng_state(), before)
    made = []
    for layer in scaled.input_hint_block:
        hints = layer(hints).detach()
        if isinstance(layer, torch.nn.Conv2d):
            assert hints.mean((0, 2, 3)).abs().max() < 1e-3
            made.append(float(hints.var((0, 2, 3)).mean().sqrt()))
    assert made == pytest.approx([1.0] * 7 + [0.5], rel=0.01)
    with torch.no_grad():
        assert (scaled.encode_hint(other)[0] - hints).std() > 0.1, "normals alone are noticed"
        penultimate = plain.input_hint_block[:-1](inputs.hint, None, None)
        assert penultimate.std((0, 2, 3)).mean() < 0.1, "what it is for"
        step = CapFaceStep(scaled, base.unet, base.alphas, LossSettings(), torch.float32)
        assert torch.equal(step.predict(inputs, False)[0], base.unet(step.noised(inputs), inputs.timesteps, inputs.text))
    untouched = plain.state_dict()
    for name, value in scaled.state_dict().items():
        if not name.startswith("input_hint_block."):
            assert torch.equal(value, untouched[name]), name


def test_a_unet_with_other_inputs_is_refused(part):
    from tools.stand_ins import narrow_nets
    inpainting = narrow_nets.base_model(in_channels=9).model.diffusion_model
    with pytest.raises(InputError, match=r"base checkpoint must have the UNet that CapFace copies .*input_blocks.0.0.weight"):
        initialise(network_of(part), inpainting, 0)
