"""The machine, and what it can do at most: every other number is to be held against these."""
from __future__ import annotations

import platform
import subprocess
from typing import Any

from .clock import seconds
from .rows import LeftOut, Row, Setting, Values

MATMUL_SIDE, COPY_BYTES = {"full": 8192, "narrow": 256}, {"full": 1 << 28, "narrow": 1 << 20}
LAUNCHES = 1000


def about(setting: Setting) -> Values:
    """What it is."""
    import torch
    values: Values = {"torch": torch.__version__, "processor": platform.machine(), "cores": _cores()}
    if setting.device != "cuda":
        return values
    kind = torch.cuda.get_device_properties(0)
    free, whole = torch.cuda.mem_get_info()
    return {"card": kind.name, "memory, GB": whole / 2**30, "free, GB": free / 2**30, "multiprocessors": kind.multi_processor_count,
            "driver": driver(), "CUDA or ROCm": torch.version.cuda or torch.version.hip, **values}


def _cores() -> int:
    import os
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def driver() -> str:
    """The driver's version, as NVIDIA's tool tells it; "" where there is no such tool."""
    try:
        done = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
                              capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.splitlines()[0].strip()


def matmul_tflops(setting: Setting, dtype: Any, tf32: bool = False) -> float:
    """TFLOP/s of the product of two square matrices of noise."""
    import torch
    side = MATMUL_SIDE[setting.size]
    a, b = (torch.randn(side, side, device=setting.device).to(dtype) for _ in range(2))
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        return 2 * side**3 / seconds(setting.device, lambda: a @ b, rounds=10, warm=3) / 1e12
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def rates(setting: Setting) -> Values:
    """Matrix products, by type."""
    import torch
    values: Values = {"fp32": matmul_tflops(setting, torch.float32)}
    if setting.maker == "nvidia":
        values["tf32"] = matmul_tflops(setting, torch.float32, tf32=True)
    return {**values, "fp16": matmul_tflops(setting, torch.float16), "bf16": matmul_tflops(setting, torch.bfloat16)}


def copies(setting: Setting) -> Values:
    """GB/s of copying within the device, and over the bus both ways, from and to pinned memory and plain."""
    import torch
    count = COPY_BYTES[setting.size]
    here, there = (torch.empty(count, dtype=torch.uint8, device=setting.device) for _ in range(2))
    values: Values = {"within, read and written": 2 * count / seconds(setting.device, lambda: there.copy_(here), 10, 2) / 1e9}
    if setting.device == "cuda":
        for name, pinned in (("pinned", True), ("plain", False)):
            home = torch.empty(count, dtype=torch.uint8, pin_memory=pinned)
            values[f"to the card, {name}"] = count / seconds("cuda", lambda home=home: here.copy_(home), 5, 1) / 1e9
            values[f"from the card, {name}"] = count / seconds("cuda", lambda home=home: home.copy_(here), 5, 1) / 1e9
    return values


def launch_microseconds(device: str) -> float:
    """What one small operation costs, however little it does."""
    import torch
    one = torch.zeros(1, device=device)

    def many() -> None:
        for _ in range(LAUNCHES):
            one.add_(1)
    return seconds(device, many, rounds=3) / LAUNCHES * 1e6


def attention(setting: Setting) -> Values:
    """Which kernel torch's own attention may take on this card."""
    import torch
    if setting.device != "cuda":
        raise LeftOut("without a card there is one kernel")
    cuda = torch.backends.cuda
    return {"flash": cuda.flash_sdp_enabled(), "memory efficient": cuda.mem_efficient_sdp_enabled(),
            "math": cuda.math_sdp_enabled()}


ROWS = (
    Row("the machine", about, seconds=2),
    Row("matmul, TFLOP/s", rates, seconds=8, gigabytes=1),
    Row("copies, GB/s", copies, seconds=4, gigabytes=1),
    Row("one launch, us", lambda setting: {"us": launch_microseconds(setting.device)}, seconds=2),
    Row("attention kernels", attention, seconds=1),
)
