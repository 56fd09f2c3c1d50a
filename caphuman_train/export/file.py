"""From a training checkpoint to capface.safetensors."""
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from caphuman_core.capface.about import About
from caphuman_core.check import fail
from caphuman_core.files.weights import write_safetensors

from ..train import checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from ..train.checkpoint import State

DTYPES = ("fp32", "fp16", "bf16")


def find_checkpoint(place: Path) -> Path:
    """place: a run folder, whose newest checkpoint is taken, or a checkpoint."""
    if place.is_file():
        return place
    last = checkpoint.latest(place)
    if last is None:
        fail(f"run folder '{place}'", "must hold a checkpoint", "none" if place.is_dir() else "no such folder",
             "name the run.folder of a training, or one of its checkpoints")
    return last


def chosen_weights(state: State, which: str) -> tuple[Mapping[str, Tensor], str]:
    """Weights and what they are. which: best takes the running mean where there is one; mean, last."""
    if which == "mean" and state.mean is None:
        fail("--weights mean", "needs a training with a running mean", "average.decay = 0", "choose --weights last")
    if which != "last" and state.mean is not None:
        return state.mean, "running mean"
    return state.weights, "last"


def about_state(state: State, weights: str) -> About:
    """What the file will tell."""
    about, depends = state.about, state.depends_on
    samples = state.step * about["settings"]["batch"]["size"]
    return About(
        head_model=about["head model"], head_model_fingerprint=depends["head model"], base_model=about["base model"],
        base_model_fingerprint=depends["base checkpoint"], steps=str(state.step), samples=str(samples), weights=weights,
        licences=_compact(about["data"]["summary"].get("licences", {})), data=_compact(about["data"]),
        settings=_compact(about["settings"]))


def write_capface(path: Path, weights: Mapping[str, Tensor], about: About, dtype: str) -> None:
    """Tensors by their plain names. float32 gives bit for bit what training measured."""
    import torch
    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    write_safetensors(path, {name: value.to(kind) for name, value in weights.items()}, about.metadata())


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
