"""torch.compile for networks made of many alike blocks."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

SHAPES = 64                              # that one piece of code is compiled for


def allow_many_shapes() -> None:
    """All blocks share one `forward`, and each has widths of its own: torch gives up after eight, and then runs the rest uncompiled
    without a word in the result."""
    import torch._dynamo
    torch._dynamo.config.recompile_limit = max(SHAPES, torch._dynamo.config.recompile_limit)


def compile_blocks(blocks: Iterable[Any], backend: str = "inductor") -> None:
    """Each block, when it is first used."""
    allow_many_shapes()
    for block in blocks:
        block.compile(backend=backend)
