"""The trainer, on every core: its processes share a batch out, which these layers are too small for."""
from __future__ import annotations

import math
import tempfile
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import torch

from ..train.loop import Outcome, Report, run_training
from ..train.settings import Settings
from ..train.world import PATIENCE, join_world, leave_world

MEETING = timedelta(minutes=5)                  # for all processes to have begun


def train_on_cores(settings: Settings, report: Report) -> Outcome:
    """`run_training` by as many processes as torch would use cores, this one among them, where they divide the batch evenly.
    Their number changes no sample and no draw. report: called in this process."""
    threads = torch.get_num_threads()
    count = math.gcd(threads, settings.batch.size // settings.batch.accumulate)
    if count == 1:
        return run_training(settings, join_world("cpu"), report)
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(count - 1, get_context("spawn")) as pool:
        meeting = Path(folder) / "meeting"
        others = [pool.submit(_take_part, settings, rank, count, meeting) for rank in range(1, count)]
        try:
            outcome = _take_part(settings, 0, count, meeting, report)
        finally:
            torch.set_num_threads(threads)
        for other in others:
            other.result()
        return outcome


def _take_part(settings: Settings, rank: int, count: int, meeting: Path, report: Report | None = None) -> Outcome:
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(meeting), count)      # pyright: ignore[reportPrivateImportUsage]
    store.set_timeout(MEETING)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=count, timeout=PATIENCE)
    try:
        return run_training(settings, join_world("cpu"), report)
    finally:
        leave_world()
