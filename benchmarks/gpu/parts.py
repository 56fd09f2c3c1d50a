"""The parts of `dev.py gpu`, in the order in which they run."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# cuBLAS keeps its order of sums only with a workspace of a fixed size, which must be named before it is loaded.
DETERMINISTIC = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


@dataclass(frozen=True)
class Part:
    """A file of rows, run in a process of its own."""

    name: str
    module: str                          # of benchmarks.gpu; it has ROWS
    share: float                         # of the time, roughly; what a part leaves over goes to those after it
    flags: tuple[str, ...] = ()          # of the host's command line
    environment: dict[str, str] = field(default_factory=dict)
    needs: str = ""                      # cuda: its flags mean something on a card only
    group: str = ""                      # the word by which it is chosen on the command line: right, fast, roomy, ...


def _roomy(name: str, share: float, *flags: str) -> Part:
    """A processor has one way to keep models only, the first of these."""
    return Part(f"roomy: {name}", "roomy", share, flags, needs="" if name == "normal" else "cuda", group="roomy")


PARTS: Sequence[Part] = (
    Part("machine", "machine", 0.04, group="machine"),
    Part("right: diffusion", "right_diffusion", 0.11, group="right"),
    Part("right: faces and heads", "right_faces", 0.06, group="right"),
    Part("right: ten equal runs", "right_repeats", 0.07, ("--deterministic",), DETERMINISTIC, group="right"),
    Part("fast: sampling", "fast_sampling", 0.26, group="fast"),
    Part("fast: hint", "fast_hint", 0.07, group="fast"),
    Part("fast: photo to conditioning", "fast_photo", 0.07, group="fast"),
    Part("fast: transfers", "transfers", 0.03, group="fast"),
    _roomy("normal", 0.05, "--disable-dynamic-vram"),
    _roomy("lowvram", 0.04, "--disable-dynamic-vram", "--lowvram"),
    _roomy("novram", 0.04, "--novram"),
    _roomy("no smart memory", 0.04, "--disable-dynamic-vram", "--disable-smart-memory"),
    _roomy("no async offload", 0.04, "--novram", "--disable-async-offload"),
    _roomy("dynamic VRAM", 0.04),
    Part("training", "training", 0.08, group="training"),
    Part("reuse of residuals", "reuse", 0.03, group="reuse"),
)
GROUPS = tuple(dict.fromkeys(part.group for part in PARTS))


def deadlines(parts: Sequence[Part], start: float, seconds: float) -> list[float]:
    """By when each part has to be done: the shares of those up to it, so that what is left over is passed on."""
    whole, given, ends = sum(part.share for part in parts) or 1.0, 0.0, []
    for part in parts:
        given += part.share
        ends.append(start + seconds * given / whole)
    return ends
