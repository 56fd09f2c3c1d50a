"""Checkpoints: one file each, there whole or not at all, that a killed run goes on from bit for bit.

`step-00001000.safetensors` holds weights (`weights/`), the optimizer's tensors (`optimizer/<parameter>/`) and the running mean
(`mean/`); its metadata the step, numbers of the optimizer and what the run depends on.
"""
from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from caphuman_core.check import fail
from caphuman_core.files.recognising import read_safetensors_header
from caphuman_core.files.weights import read_metadata, read_state_dict, write_safetensors

FORMAT = "caphuman-training/1"
FOLDER = "checkpoints"


@dataclass(frozen=True)
class State:
    """Everything a run is after some steps."""

    step: int                                   # finished
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]                # as torch's optimizers give it
    mean: Mapping[str, Tensor] | None           # the running mean, where there is one
    scaler: Mapping[str, Any]                   # of fp16 gradients; {} otherwise
    depends_on: Mapping[str, Any]               # what a resumed run must have in common with this one
    about: Mapping[str, Any]                    # settings, names and data of the run, for export


def save(folder: Path, state: State, keep: int, keep_every: int = 0) -> Path:
    """Write a checkpoint, then drop the oldest beyond `keep`. InputError when the disk refuses: what was there is untouched."""
    tensors = {f"weights/{name}": value for name, value in state.weights.items()}
    tensors.update({f"mean/{name}": value for name, value in (state.mean or {}).items()})
    numbers: dict[str, Any] = {}
    for index, held in state.optimizer["state"].items():
        for name, value in held.items():
            place = f"optimizer/{index}/{name}"
            (tensors if isinstance(value, Tensor) else numbers)[place] = value
    metadata = {"format": FORMAT, "step": str(state.step), "numbers": json.dumps(numbers), "scaler": json.dumps(dict(state.scaler)),
                "depends_on": json.dumps(dict(state.depends_on)), "about": json.dumps(dict(state.about))}
    path = folder / FOLDER / f"step-{state.step:08}.safetensors"
    _drop_parts(path.parent)
    write_safetensors(path, tensors, metadata)
    _to_disk(path)
    _drop_old(path.parent, keep, keep_every)
    return path


def _to_disk(path: Path) -> None:
    """Older checkpoints go only when this one would outlive a power cut."""
    for place in (path, path.parent):
        with contextlib.suppress(OSError, PermissionError):     # some systems open no folders
            handle = os.open(place, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _drop_parts(folder: Path) -> None:
    """What killed writers left, where there is one writer at a time."""
    for path in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            path.unlink()


def _drop_old(folder: Path, keep: int, keep_every: int) -> None:
    for path in found(folder)[:-keep]:
        if not (keep_every and step_of(path) % keep_every == 0):
            path.unlink(missing_ok=True)


def found(folder: Path) -> list[Path]:
    """Checkpoints of a folder, oldest first."""
    return sorted(folder.glob("step-*.safetensors"))


def step_of(path: Path) -> int:
    """From a checkpoint's name."""
    return int(path.stem.removeprefix("step-"))


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run folder. One that was cut short (by another tool: ours appear whole) is passed over."""
    for path in reversed(found(folder / FOLDER)):
        try:
            read_safetensors_header(path)
        except (OSError, ValueError):
            continue
        return path
    return None


def load(path: Path) -> State:
    """Read a checkpoint. InputError for files that are none."""
    about = read_metadata(path, "checkpoint")
    if about.get("format") != FORMAT:
        fail(f"checkpoint '{path.name}'", f"must be of format {FORMAT}", about.get("format", "a file without one"),
             "name a file in the run folder's `checkpoints`")
    tensors = read_state_dict(path, "checkpoint")
    held: dict[int, dict[str, Any]] = {}
    for place, value in (*tensors.items(), *json.loads(about["numbers"]).items()):
        if place.startswith("optimizer/"):
            _, index, name = place.split("/", 2)
            held.setdefault(int(index), {})[name] = value
    mean = _under(tensors, "mean/")
    return State(int(about["step"]), _under(tensors, "weights/"), {"state": held}, mean or None, json.loads(about["scaler"]),
                 json.loads(about["depends_on"]), json.loads(about["about"]))


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def require_same(saved: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on with other data, another base or other settings, saying what differs."""
    differing = [f"{name} {_told(now.get(name))}, which was {_told(saved.get(name))}" for name in sorted({*saved, *now})
                 if saved.get(name) != now.get(name)]
    if differing:
        more = f" and {len(differing) - 6} more" if len(differing) > 6 else ""
        fail(f"run folder '{folder}'", "must go on as it was begun", "; ".join(differing[:6]) + more,
             "set it back, or choose a new run.folder (start.capface takes over exported weights)")


def _told(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)


def to_cpu(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU."""
    return {name: value.detach().to("cpu", copy=True) for name, value in values.items()}


@torch.no_grad()
def restore_optimizer(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
    """Put saved tensors and numbers in; groups keep their present settings (which are checked to be the saved ones)."""
    optimizer.load_state_dict({"state": saved["state"], "param_groups": optimizer.state_dict()["param_groups"]})


__all__ = ["FOLDER", "FORMAT", "State", "found", "latest", "load", "require_same", "restore_optimizer", "save", "step_of",
           "to_cpu"]
