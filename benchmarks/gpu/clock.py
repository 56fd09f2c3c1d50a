"""Time and memory of work on a device. torch is loaded on first use."""
from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

MB = 1e6


def seconds(device: str, work: Callable[[], Any], rounds: int = 5, warm: int = 1) -> float:
    """Median seconds of one call: between two events of the card's own clock, or on the processor by the wall's."""
    return statistics.median(each(device, work, rounds, warm))


def each(device: str, work: Callable[[], Any], rounds: int, warm: int = 1) -> list[float]:
    """Seconds of each of so many calls, after `warm` that are not counted."""
    for _ in range(warm):
        work()
    return [_on_card(work) if device == "cuda" else _on_processor(work) for _ in range(rounds)]


def _on_card(work: Callable[[], Any]) -> float:
    """Work that ends on the processor counts whole: the second event is put down when it returns."""
    import torch
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


def _on_processor(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def now(device: str) -> float:
    """Seconds to take differences of: the wall's, once the card has done all it was given; of a processor its own (used with one
    thread), which a busy machine does not disturb."""
    if device == "cuda":
        import torch
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def peak(device: str, work: Callable[[], Any]) -> tuple[float | None, float | None]:
    """(most card memory that tensors held during the work, what they hold after it), MB; None without a card."""
    if device != "cuda":
        work()
        return None, None
    import torch
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / MB, torch.cuda.memory_allocated() / MB


def held(device: str) -> float:
    """MB that are held now, garbage apart: by tensors on the card, or by the whole process."""
    import gc
    gc.collect()
    if device == "cuda":
        import torch
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated() / MB
    import psutil
    return psutil.Process().memory_info().rss / MB
