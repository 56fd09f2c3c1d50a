"""Whole runs on a narrow base: killed and gone on with, stopped, poisoned, locked, on two processes."""
from __future__ import annotations

import os
import shutil
import signal
import time
from types import SimpleNamespace

import made_world
import pytest
import torch

from caphuman_core.check import InputError
from caphuman_train.train import checkpoint
from caphuman_train.train.loop import Training, run_training
from caphuman_train.train.toml_file import read_settings
from caphuman_train.train.world import join_world

TORCHRUN = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0")
LONG = {"run__steps": 7, "average__decay": 0.9, "loss__text_dropout": 0.3, "loss__identity_dropout": 0.3}


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    from caphuman_train.step import base
    monkeypatch.setattr(base, "load_base", base.load_base)              # put back afterwards
    monkeypatch.setattr(base, "fingerprint_of", base.fingerprint_of)
    made_world.use_narrow_base()


def run(path, *overrides):
    """In this process."""
    return run_training(read_settings(path, overrides), join_world("cpu"))


def last_state(path):
    return checkpoint.load(checkpoint.latest(path.parent / "run"))


def bit_equal(a, b):
    """Weights, running mean and the optimizer's tensors."""
    held = [(one.weights, two.weights) for one, two in ((a, b),)] + [(a.mean or {}, b.mean or {})]
    held += [(a.optimizer["state"][index], b.optimizer["state"][index]) for index in a.optimizer["state"]]
    return all(set(one) == set(two) and all(torch.equal(torch.as_tensor(one[key]), torch.as_tensor(two[key])) for key in one)
               for one, two in held)


@pytest.fixture(scope="module")
def whole(drawn_shards, tmp_path_factory):
    """The run that is never stopped, 7 steps."""
    path = made_world.write_run(tmp_path_factory.mktemp("whole"), drawn_shards, **LONG)
    with pytest.MonkeyPatch.context() as patch:
        from caphuman_train.step import base
        patch.setattr(base, "load_base", made_world.narrow_base)
        patch.setattr(base, "fingerprint_of", base.fingerprint_of)
        made_world.use_narrow_base()
        outcome = run(path)
    assert (outcome.step, outcome.done) == (7, True)
    return path


def test_killed_twice_and_gone_on_with_it_is_bit_equal(whole, drawn_shards, tmp_path):
    """Checkpoints come at 2, 4 and 6: killed after step 3 and in the middle of the checkpoint at 6, with reader processes."""
    path = made_world.write_run(tmp_path, drawn_shards, **LONG)
    assert made_world.train("train", path, DIE="step:3")[0] == -signal.SIGKILL
    assert last_state(path).step == 2
    assert made_world.train("train", path, "--set", "data.workers=1", DIE="save:6")[0] == -signal.SIGKILL
    assert last_state(path).step == 4
    assert list((tmp_path / "run" / "checkpoints").glob(".*.part"))
    assert run(path).done
    assert not list((tmp_path / "run" / "checkpoints").glob(".*.part"))
    assert bit_equal(last_state(path), last_state(whole))


def test_every_step_moves_every_part(whole, drawn_shards, tmp_path):
    """So that bit-equality above means something: another seed gives another run, each step another state."""
    path = made_world.write_run(tmp_path, drawn_shards, **LONG, run__seed=1)
    run(path, "run.steps=4")
    state, other = last_state(path), last_state(whole)
    assert not bit_equal(state, other)
    assert all(not torch.equal(state.weights[name], other.weights[name]) for name in state.weights)
    assert not torch.equal(state.weights["id_linear.weight"], state.mean["id_linear.weight"])


def test_parts_and_two_processes_agree_with_one_to_rounding(whole, drawn_shards, tmp_path):
    """Sums in another order: float32 rounds to 1e-7, and AdamW divides small gradients by their size, so weights are compared
    with what seven steps move them."""
    start = made_world.write_run(tmp_path / "start", drawn_shards, **LONG)
    from caphuman_train.train import network
    from caphuman_train.train.settings import Start
    base = made_world.narrow_base(start.parent / "base.safetensors")
    began = network.make_network(base, Start(), 0, torch.device("cpu")).state_dict()
    want = last_state(whole).weights
    for name, launcher, override in (("parts", (), "batch.accumulate=2"), ("processes", TORCHRUN, "batch.accumulate=1")):
        path = made_world.write_run(tmp_path / name, drawn_shards, **LONG)
        status, said = made_world.train("train", path, "--set", override, launcher=launcher)
        assert status == 0, said
        got = last_state(path).weights
        moved = sum(float((want[key] - began[key]).double().square().sum()) for key in want)
        apart = sum(float((got[key] - want[key]).double().square().sum()) for key in want)
        assert 0 < apart < 1e-4 * moved, (name, apart, moved)


def test_ctrl_c_saves_and_the_same_command_goes_on(whole, drawn_shards, tmp_path):
    path = made_world.write_run(tmp_path, drawn_shards, **LONG, checkpoints__every=100)
    child = made_world.started("train", path, "--set", "run.steps=2000")
    log = tmp_path / "run" / "log"
    while child.poll() is None and not (log.is_dir() and sum(file.stat().st_size for file in log.iterdir()) > 400):
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGINT)
    said, _ = child.communicate(timeout=300)
    assert child.returncode == 130, said
    assert "stopping after this step" in said
    assert "stopped; the same command goes on:" in said
    stopped = last_state(path)
    assert 0 < stopped.step < 2000
    assert run(path, f"run.steps={stopped.step + 1}").done
    assert last_state(path).step == stopped.step + 1


def test_nan_stops_says_the_step_and_the_samples_and_keeps_the_last_good_checkpoint(drawn_shards, tmp_path):
    path = made_world.write_run(tmp_path, drawn_shards, log__every=100)
    status, said = made_world.train("train", path, POISON="4")
    assert status == 1
    sentence = said.strip().splitlines()[-1]
    assert "training must have finite numbers, but got a loss of NaN or infinity in step 4, samples person" in sentence
    assert last_state(path).step == 2
    assert all(bool(value.isfinite().all()) for value in last_state(path).weights.values())


def test_two_trainings_into_one_folder(drawn_shards, tmp_path):
    from caphuman_bench.folder import locked
    path = made_world.write_run(tmp_path, drawn_shards)
    with locked(tmp_path / "run", "train"), pytest.raises(InputError, match=r"must be free, but got a folder in use by 'train' on"):
        run(path)


def test_going_on_with_something_else_is_refused(whole, drawn_shards, tmp_path):
    for change, said in ((["optimizer.lr=1e-5"], "optimizer.lr 1e-05, which was 0.001"),
                         (["batch.size=8"], "batch.size 8, which was 4"),
                         (["data.held_out=0"], "data.held_out 0, which was 3")):
        with pytest.raises(InputError, match=said):
            run(whole, *change)
    other_base = tmp_path / "other.safetensors"
    other_base.write_bytes(b"another")
    with pytest.raises(InputError, match=r'base checkpoint "\w+", which was'):
        run(whole, f"start.base={other_base}")
    from caphuman_train.data.drawn import Drawing, write_drawn_shards
    write_drawn_shards(tmp_path / "other", Drawing(count=12, people=4, per_shard=5, seed=1))
    with pytest.raises(InputError, match=r'data "\w+", which was'):
        run(whole, f"data.shards={tmp_path / 'other'}")


def test_a_batch_that_cannot_be_shared_out_is_refused(drawn_shards, tmp_path):
    path = made_world.write_run(tmp_path, drawn_shards)
    with pytest.raises(InputError, match=r"batch.size must be a multiple of batch.accumulate times .*, but got 4 for 3 x 1"):
        run(path, "batch.accumulate=3")
    with pytest.raises(InputError, match=r"compute.precision must be fp32 or bf16 on a CPU"):
        run(path, "compute.precision=fp16")
    with pytest.raises(InputError, match=r"data.references must be a regular expression, but got '\(' \(missing \)"):
        run(path, "data.references=(")


def test_what_the_log_holds(drawn_shards, tmp_path):
    """Scalars of losses, bands, gradient norm, rate; held-out losses at the start too; a grid of pictures."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    path = made_world.write_run(tmp_path, drawn_shards, log__pictures_every=6, log__pictures=2, log__picture_steps=2,
                                schedule__warmup_steps=4, optimizer__clip_norm=0.5, compute__checkpointing=True)
    assert run(path).done
    log = EventAccumulator(str(tmp_path / "run" / "log"), size_guidance={"images": 0})
    log.Reload()
    scalars = log.Tags()["scalars"]
    wanted = {"loss/noise", "loss/mask", "mask closed", "gradient norm", "gradients below eps", "learning rate",
              "samples a second", "held out/noise", "held out/mask"}
    assert wanted <= set(scalars)
    assert [event.step for event in log.Scalars("loss/noise")] == [2, 4, 6]
    assert [event.step for event in log.Scalars("held out/mask")] == [0, 3, 6]
    assert [round(event.value, 6) for event in log.Scalars("learning rate")] == [0.00075, 0.001, 0.001]
    bands = [name for name in scalars if name.startswith("noise by timestep/")]
    assert bands
    assert set(bands) <= {f"noise by timestep/{low:03}-{low + 199:03}" for low in range(0, 1000, 200)}
    grids = log.Images("held out samples")
    assert [(grid.step, grid.width, grid.height) for grid in grids] == [(0, 4 * 64, 2 * 64), (6, 4 * 64, 2 * 64)]


def test_gradients_below_eps_are_counted_by_number():
    given = [torch.zeros(3, requires_grad=True), torch.zeros(1, requires_grad=True), torch.zeros(5, requires_grad=True)]
    given[0].grad, given[1].grad = torch.tensor([1e-9, -1e-7, 0.0]), torch.tensor([-2.0])
    run = SimpleNamespace(parameters=given, settings=SimpleNamespace(optimizer=SimpleNamespace(eps=1e-8)))
    assert Training.below_eps(run) == 0.5           # of the four that there are; the last five have no gradient


def test_a_run_starts_from_a_capface_file(whole, drawn_shards, tmp_path):
    from caphuman_train.cli import main
    assert main(["export", str(whole.parent / "run"), str(tmp_path / "given.safetensors"), "--weights", "last"]) == 0
    path = made_world.write_run(tmp_path, drawn_shards, start__capface=str(tmp_path / "given.safetensors"), optimizer__lr=0.0,
                                optimizer__weight_decay=0.0)
    run(path, "run.steps=1")
    given = last_state(whole).weights
    assert all(torch.equal(value, given[name]) for name, value in last_state(path).weights.items())


def test_a_run_starts_with_a_hint_block_scaled_to_its_samples(drawn_shards, tmp_path):
    from caphuman_train.train.data import examples_of, open_data
    path = made_world.write_run(tmp_path, drawn_shards, start__scale_hint=True, optimizer__lr=0.0, optimizer__weight_decay=0.0)
    run(path, "run.steps=1")
    weights = last_state(path).weights
    features = examples_of(open_data(read_settings(path))).hint
    for index in range(0, 16, 2):
        layer = {name: weights[f"input_hint_block.{index}.{name}"] for name in ("weight", "bias")}
        features = torch.nn.functional.conv2d(features, **layer, padding=1, stride=2 if index in (4, 8, 12) else 1)
        assert float(features.var((0, 2, 3)).mean().sqrt()) == pytest.approx(0.5 if index == 14 else 1.0, rel=0.01), index
        features = torch.nn.functional.silu(features)
    run(path, "run.steps=2")                                # goes on with what it has
    again = last_state(path)
    assert again.step == 2
    assert all(torch.equal(value, weights[name]) for name, value in again.weights.items())
    with pytest.raises(InputError, match=r"start\.scale_hint must be false with start\.capface"):
        read_settings(path, [f"start.capface={path}"])


def test_a_run_starts_with_identity_tokens_as_loud_as_its_captions(drawn_shards, tmp_path):
    from caphuman_train.train.data import examples_of, open_data
    path = made_world.write_run(tmp_path, drawn_shards, start__scale_identity=True, optimizer__lr=0.0, optimizer__weight_decay=0.0)
    run(path, "run.steps=1")
    weights, data = last_state(path).weights, open_data(read_settings(path))
    examples = examples_of(data)
    who = dict(zip(data.learnt.keys, data.learnt.people, strict=True))
    assert {who[key] for key in examples.keys} == set(data.learnt.people)
    text = torch.stack([made_world.caption(text) for text in examples.texts])
    for name, features in (("img_linear", examples.local_tokens), ("id_linear", examples.global_embedding[:, None])):
        tokens = torch.nn.functional.linear(features, weights[f"{name}.weight"], weights[f"{name}.bias"])
        assert tokens.mean((0, 1)).abs().max() < 1e-3
        want = float(text.var((0, 1), correction=0).mean().sqrt())
        assert float(tokens.var((0, 1), correction=0).mean().sqrt()) == pytest.approx(want, rel=0.01)
    with pytest.raises(InputError, match=r"start\.scale_identity must be false with start\.capface"):
        read_settings(path, [f"start.capface={path}"])


def test_without_held_out_samples_a_run_goes_its_way(drawn_shards, tmp_path):
    path = made_world.write_run(tmp_path, drawn_shards, data__held_out=0)
    assert run(path, "run.steps=1").done
    shutil.rmtree(tmp_path / "run")
