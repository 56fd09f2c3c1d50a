"""run.toml: read whole, said plainly."""
from __future__ import annotations

import re
from dataclasses import fields

import made_world
import pytest

from caphuman_core.check import InputError
from caphuman_train.train.settings import Settings
from caphuman_train.train.toml_file import affecting, example, read_settings

try:
    import tomllib
except ImportError:
    import tomli as tomllib


@pytest.fixture
def run(tmp_path):
    (tmp_path / "shards").mkdir()
    return made_world.write_run(tmp_path, tmp_path / "shards")


def test_values_overrides_and_defaults(run):
    settings = read_settings(run, ["optimizer.lr=5e-5", "loss.tau=400", "schedule.name=cosine", "run.folder='a b'",
                                   "batch.size=12"])
    assert settings.optimizer.lr == 5e-5
    assert settings.loss.tau == 400
    assert settings.schedule.name == "cosine"
    assert settings.run.folder == "a b"
    assert settings.batch.size == 12
    assert settings.log.every == 2, "from the file"
    assert settings.optimizer.weight_decay == 0.01, "the default"


@pytest.mark.parametrize(("override", "said"), [
    ("optimizer.zzz=1", "unknown name: see"),
    ("optimiser.lr=1", r"the section optimiser must be .*: write optimizer"),
    ("optimizer.lrr=1", "write optimizer.lr"),
    ("optimizer.warmup_steps=1", "write schedule.warmup_steps"),
    ("loss.min_snr=5", "write loss.min_snr_gamma"),
    ("optimizer.lr='fast'", "must be a number, but got 'fast'"),
    ("batch.size=1.5", "must be a whole number"),
    ("batch.size=true", "must be a whole number"),
    ("compute.compile=1", "must be true or false"),
    ("batch.size=0", "at least 1"),
    ("loss.text_dropout=1.5", "at least 0 and at most 1"),
    ("optimizer.lr=nan", "at least 0"),
    ("compute.precision=bf61", r'one of bf16, fp16, fp32, but got .bf61.: write "bf16"'),
    ("optimizer.lr", "must be section.key=value"),
    ("loss.tau=1000", "at most 999"),
    ("schedule.warmup_steps=6", "below run.steps"),
    ("optimizer.beta2=1", "must be below 1"),
    ("start.base=none.ckpt", "must be a file"),
    ("data.shards=nowhere", "must be a folder"),
    ("run.folder=''", "must be given"),
    ("start.capface=none.ckpt", "must be a file"),
])
def test_what_does_not_fit_is_one_sentence(run, override, said):
    with pytest.raises(InputError, match=said) as error:
        read_settings(run, [override])
    assert "\n" not in str(error.value)


def test_files_that_are_none(tmp_path, run):
    with pytest.raises(InputError, match="must exist"):
        read_settings(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[run]\nsteps = = 3\n")
    with pytest.raises(InputError, match=r"must be a TOML file in UTF-8, but got .*line 2"):
        read_settings(tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_text("run = 3\n")
    with pytest.raises(InputError, match="setting run must be a section"):
        read_settings(tmp_path / "bad.toml")


def test_the_example_holds_every_setting_at_its_default_with_its_reason():
    text = example()
    tables = tomllib.loads(text)
    for section in fields(Settings):
        for item in fields(section.default_factory):
            assert tables[section.name][item.name] == item.default, item.name
            words = re.sub(r"\n# ", " ", text)
            assert item.metadata["why"] in words, item.name
            assert len(item.metadata["why"]) > 10
    assert max(map(len, text.splitlines())) <= 132


def test_defaults_are_the_references():
    """TRAINING.md: AdamW 1e-4 with torch's defaults, a batch of 128 in all, mask weight 1, nothing else."""
    settings = Settings()
    assert (settings.optimizer.name, settings.optimizer.lr, settings.optimizer.weight_decay) == ("adamw", 1e-4, 0.01)
    assert (settings.optimizer.beta1, settings.optimizer.beta2, settings.optimizer.eps) == (0.9, 0.999, 1e-8)
    assert (settings.batch.size, settings.loss.mask_weight, settings.schedule.name) == (128, 1.0, "constant")
    off = (settings.loss.min_snr_gamma, settings.loss.text_dropout, settings.loss.identity_dropout, settings.loss.tau,
           settings.loss.soft_gate_steps, settings.optimizer.clip_norm, settings.average.decay, settings.schedule.warmup_steps,
           settings.data.flip_probability)
    assert not any(off)


def test_what_a_resumed_run_must_have_in_common(run):
    plain = affecting(read_settings(run))
    for harmless in ("log.every=9", "run.steps=99", "checkpoints.keep=5", "batch.accumulate=2", "run.folder=other",
                     "compute.compile=true", "data.workers=7"):
        assert affecting(read_settings(run, [harmless])) == plain, harmless
    for other in ("run.seed=9", "batch.size=8", "loss.tau=3", "optimizer.lr=1", "data.held_out=0", "compute.precision=bf16"):
        assert affecting(read_settings(run, [other])) != plain, other
    cosine = ["schedule.name=cosine"]
    assert affecting(read_settings(run, cosine)) != affecting(read_settings(run, [*cosine, "run.steps=99"])), "its end moves"
