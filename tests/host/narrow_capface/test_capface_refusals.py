"""Bad input and wrong base models are told in one sentence."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from narrow_world import apply, hint, identity, one, sample

from tools.stand_ins import narrow_nets as nets


def bad(world, **changes):
    from dataclasses import replace
    return {"hint nan": {"posed": replace(hint(world), maps=hint(world).maps * float("nan"))},
            "identity nan": {"who": replace(identity(world), local_tokens=identity(world).local_tokens * float("inf"))},
            "one encoder": {"who": replace(identity(world), local_tokens=torch.zeros(1, 0, 1024))},
            "short hint": {"posed": replace(hint(world), maps=torch.zeros(1, 3, 64, 64))},
            "start": {"start_percent": 0.6, "end_percent": 0.5},
            "schedule": {"strength_schedule": "soon: 1"},
            "frames": {"frame_strengths": "1; two"},
            "no number": {"start_percent": float("nan")}, "no number either": {"end_percent": float("nan")},
            "mask shape": {"spatial_mask": torch.zeros(0, 4, 4)},
            "mask nan": {"spatial_mask": torch.full((1, 4, 4), float("nan"))}}


@pytest.mark.parametrize(("case", "words"), [
    ("hint nan", "hint must hold finite"), ("identity nan", "identity must hold finite"), ("one encoder", "both encoders"),
    ("short hint", "nine maps"), ("start", "0.6 > 0.5"), ("schedule", "strength_schedule"), ("frames", "frame_strengths"),
    ("mask shape", "spatial_mask"), ("mask nan", "spatial_mask"),
    ("no number", "start_percent must be a number, but got nan"), ("no number either", "end_percent must be a number, but got nan"),
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


@pytest.mark.parametrize("shape", [(1, 1, 64), (1, 200, 1), (1, 1, 1), (2, 1, 5000), (1, 5000, 1), (1, 3, 64), (1, 65, 2)])
def test_masks_of_a_pixel_s_width_are_masks(call, world, shape):
    """A line of ones is everywhere, whatever its length; it acts as no mask does."""
    line = sample(world, apply(call, world, spatial_mask=torch.ones(shape)), steps=1)
    assert torch.equal(line, sample(world, apply(call, world), steps=1))
    nothing = sample(world, apply(call, world, spatial_mask=torch.zeros(shape)), steps=1)
    assert not torch.equal(line, nothing)
