"""What the tests of this folder build: people, heads and text of noise, and runs of the host's sampler over narrow networks."""
from __future__ import annotations

import torch

STEPS = 3


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
