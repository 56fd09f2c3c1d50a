"""A narrow CapFace learns from drawn heads: both losses on held-out people fall by a stated factor, and not with shuffled hints.

The heads are painted with squares at random, another pattern on each: what is where on a face then follows from its hint alone, and
not from what the base model has learnt of drawn heads.
"""
from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import made_world
import pytest
import torch
from safetensors.torch import save

from caphuman_train.data.drawn import Drawing, write_drawn_shards

STEPS = 160
TAUGHT_STEPS = 160
FEW = 4                                                 # tokens of text and identity: narrow networks spend their time on them
HELD_OUT = 18
NOISE_FACTOR, MASK_FACTOR = 0.75, 0.15                  # of the losses at the start: true hints go below, shuffled ones stay above
CAPTION = made_world.caption


def few_words(text):
    return CAPTION(text)[:FEW]


def squares(key):
    """[8, 8] of -1 and 1, by a sample's key."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big")
    return torch.randint(0, 2, (8, 8), generator=torch.Generator().manual_seed(seed)) * 2.0 - 1


def painted(batch, shuffled=False):
    """The batch with squares on its faces, in hint and picture alike; shuffled: with the hint of the next sample."""
    pattern = torch.stack([squares(key) for key in batch.keys])[:, None]
    hint = batch.hint.clone()
    hint[:, 3:] *= 1 + 0.8 * torch.nn.functional.interpolate(pattern, scale_factor=8)
    mean = torch.where(batch.face_target > 0, pattern, batch.latent_mean)
    return replace(batch, hint=hint.roll(1, 0) if shuffled else hint, latent_mean=mean, local_tokens=batch.local_tokens[:, :FEW])


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    write_drawn_shards(folder, Drawing(count=120, people=20, per_shard=40, flips=False))
    return folder


@pytest.fixture(scope="module")
def taught_base(shards, head_model, tmp_path_factory):
    """A narrow base model that has learnt what drawn heads look like, as far as noise tells: what a hint adds then shows."""
    from caphuman_train.data.loader import Shards, batch_at
    from caphuman_train.step.draws import draw
    base = made_world.narrow_base()
    unet = base.unet.requires_grad_(True).train()
    learnt, _ = Shards.open(shards).split(HELD_OUT)
    whole = painted(batch_at(learnt, 0, len(learnt), 0, 0, 1, 0.0, head_model))
    optimizer = torch.optim.AdamW(unet.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, TAUGHT_STEPS)
    text = few_words("")[None].expand(16, -1, -1)
    for step in range(TAUGHT_STEPS):
        drawn = draw(1, step, range(16), (8, 8))
        rows = torch.randint(len(learnt), (16,), generator=torch.Generator().manual_seed(step))
        alpha = base.alphas[drawn.timesteps][:, None, None, None]
        clean = whole.latent_mean[rows] + whole.latent_std[rows] * drawn.latent_noise
        found = unet(alpha.sqrt() * clean + (1 - alpha).sqrt() * drawn.noise, drawn.timesteps, text)
        loss = (found - drawn.noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    path.with_suffix(".weights").write_bytes(save(unet.state_dict()))
    path.write_bytes(json.dumps({"loss": float(loss.detach())}).encode())
    return path


def trained(folder, shards, base, monkeypatch, shuffled):
    """Held-out losses by step, and the run's settings file."""
    from caphuman_train.data.loader import prefetch
    from caphuman_train.train import data, held_out, journal
    from caphuman_train.train.loop import run_training
    from caphuman_train.train.toml_file import read_settings
    from caphuman_train.train.world import join_world
    made_world.use_narrow_base()
    seen = {}
    with monkeypatch.context() as patch:
        patch.setattr(made_world, "caption", few_words)
        patch.setattr(data, "prefetch", lambda *arguments, **options: (
            (step, painted(batch, shuffled)) for step, batch in prefetch(*arguments, **options)))
        batch_of = held_out.batch_of
        patch.setattr(held_out, "batch_of", lambda *arguments: painted(batch_of(*arguments)))
        patch.setattr(journal.Journal, "held_out", lambda self, entry, step: seen.update({step: entry}))
        run = made_world.write_run(folder, shards, start__base=str(base), run__steps=STEPS, batch__size=8, data__held_out=HELD_OUT,
                                   checkpoints__every=STEPS, log__every=40, log__held_out_every=STEPS // 2, optimizer__lr=1e-3,
                                   schedule__name="cosine", schedule__warmup_steps=10)
        assert run_training(read_settings(run), join_world("cpu")).done
    return seen


def test_true_hints_teach_and_shuffled_hints_do_not(shards, taught_base, tmp_path, monkeypatch):
    """Measured: see RESULTS.md. The base cannot know the squares; CapFace can, from its hint alone."""
    true, false = (trained(tmp_path / name, shards, taught_base, monkeypatch, name == "shuffled") for name in ("true", "shuffled"))
    start = true[0]
    print(json.loads(taught_base.read_bytes()), true, false)
    assert false[0] == start
    assert true[STEPS]["noise"] <= NOISE_FACTOR * start["noise"]
    assert true[STEPS]["mask"] <= MASK_FACTOR * start["mask"]
    assert false[STEPS]["noise"] > NOISE_FACTOR * start["noise"]
    assert false[STEPS]["mask"] > MASK_FACTOR * start["mask"]
