"""`train --ray`: the same processes, started by Ray Train on a cluster.

Ray Train starts a process on each worker, joins them for torch and starts all anew when a machine is lost; each then goes on from
the run folder's last checkpoint. So the run folder, the shards and the base checkpoint must lie on storage that every machine sees
under the same path.
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caphuman_core.check import fail, require

if TYPE_CHECKING:
    from .loop import Outcome
    from .settings import Settings

KEPT = "ray"                                    # Ray's own notes, in the run folder
ENVIRONMENT = ("COMFYUI_PATH", "PYTHONPATH", "OMP_NUM_THREADS")


def train_on_ray(settings: Settings, address: str, workers: int, gpus: float, losses: int) -> Outcome:
    """Train with `workers` processes of `gpus` cards each. losses: machines that may be lost on the way."""
    ray = _require_ray()
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    require(workers >= 1 and losses >= 0 and gpus >= 0, "--workers, --gpus and --losses", "must be at least 1, 0 and 0",
            (workers, gpus, losses), "correct them")
    began = not ray.is_initialized()
    if began:
        ray.init(None if address == "local" else address, log_to_driver=True, include_dashboard=False,
                 runtime_env={"env_vars": _environment()})
    try:
        trainer = TorchTrainer(
            work, train_loop_config={"settings": settings, "gpu": gpus > 0}, torch_config=TorchConfig(
                backend="nccl" if gpus else "gloo"),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus > 0, resources_per_worker=_resources(gpus)),
            run_config=RunConfig(name="train", storage_path=str((Path(settings.run.folder) / KEPT).resolve()),
                                 failure_config=FailureConfig(max_failures=losses)))
        trainer.fit()
    finally:
        if began:
            ray.shutdown()
    return _outcome(settings)


def work(config: dict[str, Any]) -> None:
    """In each worker's process: Ray has joined them already."""
    from ray import train
    from ray.train.torch import get_device

    from .loop import run_training
    from .world import join_world
    world = join_world(str(get_device()) if config["gpu"] else "cpu")
    run_training(config["settings"], world, lambda entry, step: train.report({**entry, "step": step}))


def _outcome(settings: Settings) -> Outcome:
    from . import checkpoint
    from .loop import Outcome
    last = checkpoint.latest(Path(settings.run.folder))
    step = checkpoint.step_of(last) if last is not None else 0
    return Outcome(step, step >= settings.run.steps)


def _resources(gpus: float) -> dict[str, float]:
    return {"CPU": 1, "GPU": gpus} if gpus else {"CPU": 1}


def _environment() -> dict[str, str]:
    """What workers need of this process's environment; they import the trainer from this checkout."""
    here = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    checkout = str(Path(__file__).resolve().parents[2])
    here["PYTHONPATH"] = os.pathsep.join(part for part in (here.get("PYTHONPATH"), checkout) if part)
    return here


def _require_ray() -> Any:
    try:
        import ray
        import ray.train
    except ImportError as error:
        fail("--ray", "needs the Python package ray with Ray Train", str(error),
             "run `pip install \"ray[train]\"` on every machine")
    return ray
