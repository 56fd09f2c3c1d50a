"""Losses, gradients and two AdamW steps of the reference, full size (tests/golden/training.*, TRAINING.md)."""
from __future__ import annotations

import gc
import json
import os

import pytest
import torch
from made_world import GOLDEN

from caphuman_train.step.loss import CapFaceStep, LossSettings, StepInputs
from tools.stand_ins import detfill
from tools.stand_ins import diffusion_nets as nets

# TRAINING.md's tolerances: several times what two float32 computations differ by.
LOSS = 1e-5
NORM, SMALL_NORM = 1e-4, 1e-3                           # the second below a thousandth of the largest
GRADIENT = 1e-4                                         # relative rms
MOVED = 1e-3
INDEX = json.loads((GOLDEN / "training.json").read_text())


def parts_of(name):
    """Hint, tokens, embedding and text of an identity set, as the forward cases have them."""
    for case in nets.index()["cases"].values():
        for person in case.get("inputs", {}).get("persons", []):
            for column in range(2):
                picked = {key: value["concat"][column] if "concat" in value else value for key, value in person.items()}
                named = {key: value["name"] for key, value in picked.items()}
                if all(named[key] == f"{name}/{key}" for key in ("clip", "id", "text")) and named["hint"] == f"{name}/hint2" \
                        and "gain" not in picked["id"]:
                    return {key: nets.tensor(picked[key]) for key in ("hint", "clip", "id", "text")}
    raise KeyError(name)


def labels_of(name):
    """A parsing map [128, 128] of classes 0..18."""
    draw = detfill.tensor_input(f"{name}/train/labels", (8, 8))
    share = (torch.from_numpy(draw) / 1.7320508 + 1) / 2
    return (share * 19).floor().clamp(max=18).repeat_interleave(16, 0).repeat_interleave(16, 1)


def inputs_of(case):
    from caphuman_train.data.target import face_target
    columns = []
    for name, dropped in zip(case["sets"], case["drop_text"], strict=True):
        person, labels = parts_of(name), labels_of(name)
        text = detfill.tensor_input(f"{name}/uncond_text", (1, 77, 768)) if dropped else person["text"].numpy()
        not_face = torch.isin(labels, torch.tensor([0.0, 7, 8, 9, 14, 15, 16, 17, 18]))
        columns.append((torch.from_numpy(detfill.tensor_input(f"{name}/train/x0", (1, 4, 16, 16), 0.9)),
                        torch.from_numpy(detfill.tensor_input(f"{name}/train/noise", (1, 4, 16, 16))),
                        person["hint"], person["clip"], person["id"][:, 0], torch.from_numpy(text), face_target(~not_face)[None]))
    latents, noise, hint, tokens, embedding, text, target = (torch.cat(column) for column in zip(*columns, strict=True))
    timesteps = torch.tensor(case["t"])
    heard = (timesteps <= case["tau"]).float() if case["tau"] else torch.ones(len(timesteps))
    return StepInputs(latents, noise, timesteps, hint, tokens, embedding, heard, text, target)


@pytest.fixture(scope="module", autouse=True)
def _every_core():
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def base():
    model = nets.base_model().model
    yield model
    nets.forget()
    gc.collect()


@pytest.fixture
def step(part, base):
    """CapFace with the golden weights, fresh for each case: it is trained."""
    nets.capface.cache_clear()
    network = nets.capface(part("nodes.capface.network")).requires_grad_(True)
    sigmas = base.model_sampling.sigmas
    yield CapFaceStep(network, base.diffusion_model.requires_grad_(False), 1 / (1 + sigmas**2), LossSettings(), torch.float32)
    nets.capface.cache_clear()
    gc.collect()


def rms(value):
    return float(value.double().square().mean().sqrt())


def shown(named, keys):
    """Tensors under the reference's names: `<name>:8` is the first eight rows."""
    for key in keys:
        name, _, rows = key.partition(":")
        value = named[name.removeprefix("control_model.")]
        yield key, value[:int(rows)] if rows else value


QUICK = "train_batch2_tau400_t401_t400"                # two samples, one of them with its identity silenced


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name == QUICK else pytest.mark.thorough)
                                  for name in INDEX["cases"]])
def test_two_steps_as_the_reference_takes_them(step, golden, name):
    case, inputs = INDEX["cases"][name], inputs_of(INDEX["cases"][name])
    want = {key.removeprefix(f"{name}__"): torch.from_numpy(value) for key, value in golden("training").items()
            if key.startswith(f"{name}__")}
    parameters = dict(step.network.named_parameters())
    assert set(parameters) == {key.removeprefix("control_model.") for key in INDEX["parameter_order"]}
    watched = [key.removeprefix("moved/") for key in want if key.startswith("moved/")]
    before = {key: value.detach().clone() for key, value in shown(parameters, watched)}
    optimizer = torch.optim.AdamW(parameters.values(), lr=1e-4)
    for number, expected in enumerate(case["steps"]):
        optimizer.zero_grad()
        noise_error, mask_error, _ = step(inputs)
        total = step.total(noise_error, mask_error)
        total.backward()
        got = {"loss": total, "loss_simple": noise_error.mean(), "loss_mask": mask_error.mean()}
        for key, value in got.items():
            assert abs(float(value.detach()) - expected[key]) <= LOSS * expected[key], (key, number)
        if number == 0:
            check_gradients(parameters, want)
            with torch.no_grad():
                mask = step.network.encode_hint(inputs.hint)[1]
            torch.testing.assert_close(mask, want["predicted_mask"], rtol=0, atol=1e-5)
        total_norm = torch.stack([value.grad.double().norm() for value in parameters.values() if value.grad is not None]).norm()
        assert abs(float(total_norm) - expected["gradient_norm"]) <= NORM * expected["gradient_norm"]
        optimizer.step()
    for key, value in shown(parameters, watched):
        moved = value.detach() - before[key]
        assert rms(moved - want[f"moved/{key}"]) <= MOVED * rms(want[f"moved/{key}"]), key


def check_gradients(parameters, want):
    norms = want["gradient_norms"]
    for key, expected in zip(INDEX["parameter_order"], norms.tolist(), strict=True):
        gradient = parameters[key.removeprefix("control_model.")].grad
        if expected < 0:
            assert gradient is None, key
            continue
        relative = NORM if expected > float(norms.max()) / 1000 else SMALL_NORM
        assert abs(float(gradient.double().norm()) - expected) <= relative * expected, key
    gradients = {name: value.grad for name, value in parameters.items()}
    keys = [key.removeprefix("grad/") for key in want if key.startswith("grad/")]
    for key, gradient in shown(gradients, keys):
        assert rms(gradient - want[f"grad/{key}"]) <= GRADIENT * rms(want[f"grad/{key}"]), key
