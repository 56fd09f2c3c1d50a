"""From a checkpoint to a file that the real host loads and samples, with a card beside it."""
from __future__ import annotations

import importlib
import json
import sys

import made_world
import pytest
import torch
from safetensors import safe_open

from caphuman_core.check import InputError
from caphuman_train.cli import main
from caphuman_train.train import checkpoint
from caphuman_train.train.loop import run_training
from caphuman_train.train.toml_file import read_settings
from caphuman_train.train.world import join_world


@pytest.fixture(scope="module", autouse=True)
def narrow():
    """Narrow bases for this module, the real ones afterwards."""
    from caphuman_train.host import part
    from caphuman_train.step import base
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "load_base", base.load_base)
        patch.setattr(base, "fingerprint_of", base.fingerprint_of)
        made_world.use_narrow_base()
        patch.setitem(part()("nodes.capface.base_model").SHAPE, "model_channels", 32)
        yield


@pytest.fixture(scope="module")
def run(drawn_shards, tmp_path_factory):
    """A run of three steps with a running mean."""
    path = made_world.write_run(tmp_path_factory.mktemp("run"), drawn_shards, run__steps=3, average__decay=0.5, optimizer__lr=1e-2)
    assert run_training(read_settings(path), join_world("cpu")).done
    return path.parent / "run"


def exported(run, tmp_path, *options):
    file = tmp_path / "mine.safetensors"
    assert main(["export", str(run), str(file), *options]) == 0
    with safe_open(str(file), "pt") as found:
        return file, {key: found.get_tensor(key) for key in found.keys()}, found.metadata()     # noqa: SIM118


def test_the_file_holds_the_weights_and_tells_where_they_come_from(run, tmp_path, head_model):
    state = checkpoint.load(checkpoint.latest(run))
    for which, want in (("best", state.mean), ("mean", state.mean), ("last", state.weights)):
        _, tensors, about = exported(run, tmp_path, "--weights", which)
        assert set(tensors) == set(want)
        assert all(torch.equal(value, want[name]) for name, value in tensors.items()), which
        assert about["weights"] == ("last" if which == "last" else "running mean")
    assert about["format"] == "caphuman-capface/1"
    assert (about["head_model"], about["head_model_fingerprint"]) == (head_model.name, head_model.fingerprint)
    assert (about["base_model"], about["steps"], about["samples"]) == ("narrow", "3", "12")
    assert json.loads(about["licences"]) == {"CC0-1.0": 12}
    assert json.loads(about["settings"])["optimizer"]["lr"] == 1e-2
    assert json.loads(about["data"])["summary"]["people"] == 4
    _, tensors, _ = exported(run, tmp_path, "--dtype", "fp16")
    assert {value.dtype for value in tensors.values()} == {torch.float16}


def test_the_card_says_what_it_may_be_used_for(run, tmp_path):
    file, _, _ = exported(run, tmp_path, "--author", "A | B", "--licence", "CC-BY-4.0", "--notes", "Made for a test.")
    card = file.with_suffix(".md").read_text()
    for part in ("# mine", "built-in", "| CC0-1.0 | 12 |", "Licence of these weights: CC-BY-4.0.", "A \\| B",
                 "| optimizer.lr | 0.01 |", "Made for a test.", "caphuman_bench", "RESPONSIBLE_USE"):
        assert part in card, part
    assert str(run.parent) not in card, "no path of somebody's machine"
    assert "non-commercial" not in card


def test_the_card_warns_of_photos_without_or_with_a_narrow_licence(run):
    from dataclasses import replace

    from caphuman_train.export.card import Owner, model_card
    from caphuman_train.export.file import about_state
    about = about_state(checkpoint.load(checkpoint.latest(run)), "last")
    text = model_card(replace(about, licences=json.dumps({"": 3, "CC-BY-NC-4.0": 2})), Owner("x"), "x.safetensors")
    assert "under which licence 3 of the pictures are" in text
    assert "not told; ask the author" in text
    assert "licensed for non-commercial use alone" in text


def test_the_real_host_loads_it_and_gives_bit_for_bit_what_training_measured(run, tmp_path, part, drawn_shards, head_model):
    """Load CapFace's own way, Apply CapFace's residuals, against the training step's."""
    from caphuman_core.capface.keys import read_capface
    from caphuman_core.flow import HeadHint, Identity
    from caphuman_train.data.loader import Shards, batch_at
    from caphuman_train.step.inputs import make_inputs
    from caphuman_train.step.loss import CapFaceStep, LossSettings, SampleContext, gated
    from caphuman_train.train.network import make_network
    from caphuman_train.train.settings import Start
    file, _, _ = exported(run, tmp_path)
    base = made_world.narrow_base()
    step = CapFaceStep(make_network(base, Start(capface=str(file)), 0, torch.device("cpu")), base.unet, base.alphas, LossSettings(),
                       torch.float32)
    batch = batch_at(Shards.open(drawn_shards), 0, 1, 0, 0, 1, 0.0, head_model)
    inputs = make_inputs(batch, base.encode_text, 0, 0, range(1))
    control_module = part("nodes.capface.control")
    network, dtype = part("nodes.capface.network").build(read_capface(file), "mine")
    capface = control_module.CapFace(network, part("nodes.host").patcher(network), dtype, "mine")
    shown = torch.ones(1, dtype=torch.bool)
    person = control_module.Person(Identity(batch.global_embedding, batch.local_tokens, shown, ""),
                                   HeadHint(batch.hint, torch.ones(1, 64, 64), shown))
    control = control_module.CapFaceControl(capface, person)
    sampling = base.patcher.model.model_sampling
    control.pre_run(base.patcher.model, sampling.percent_to_sigma)
    sigma = sampling.sigmas[inputs.timesteps]
    x = step.noised(inputs) * (sigma**2 + 1).sqrt()
    with torch.no_grad():
        found = control.get_control(x, sigma, {}, 1, {})
        guided, mask = step.network.encode_hint(inputs.hint)
        context = SampleContext(step.network.project(inputs.local_tokens, inputs.global_embedding), inputs.heard)
        scaled = sampling.calculate_input(sigma, x)                     # the same latents, after the host's rounding
        want = gated(step.network(scaled, guided, inputs.timesteps, context), mask, False)
    for mine, theirs in zip([*found["output"], *found["middle"]], want, strict=True):
        assert torch.equal(mine, theirs)


def test_sample_draws_a_row_for_each_sample(run, tmp_path):
    from PIL import Image
    options = [str(run), str(tmp_path / "grid.png"), "--count", "2", "--steps", "2"]
    assert main(["sample", *options]) == 0
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (4 * 64, 2 * 64)
        first = grid.tobytes()
    file, _, _ = exported(run, tmp_path)
    assert main(["sample", *options, "--capface", str(file)]) == 0
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.tobytes() == first, "the exported file draws what the run draws"
    assert main(["sample", *options, "--weights", "last"]) == 0      # three steps from the mean: fainter than 8 bits show


@pytest.mark.parametrize(("arguments", "said"), [
    (["export", "nowhere", "x.safetensors"], "must hold a checkpoint, but got no such folder"),
    (["export", "{run}", "x.ckpt"], "must end in .safetensors"),
    (["sample", "{run}", "x.bmp"], "must end in .png or .jpg"),
    (["sample", "{run}", "x.png", "--count", "0"], "must be at least 1")])
def test_what_does_not_fit_is_one_sentence(run, arguments, said, capsys):
    assert main([part.format(run=run) for part in arguments]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_mean_that_was_never_kept_is_refused(run):
    from dataclasses import replace

    from caphuman_train.export.file import chosen_weights
    with pytest.raises(InputError, match="--weights mean needs a training with a running mean"):
        chosen_weights(replace(checkpoint.load(checkpoint.latest(run)), mean=None), "mean")


def test_the_trainer_and_the_pack_share_one_core(part):
    assert part("caphuman_core.check").InputError is InputError
    assert importlib.import_module("caphuman_pack.caphuman_core.flow") is sys.modules["caphuman_core.flow"]
