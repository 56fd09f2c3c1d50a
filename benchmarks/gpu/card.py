"""Which card is there, and what to say where none is, or one that CUDA does not drive."""
from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

# Asked in a process of its own: looking at a card takes some of its memory for as long as the process lives.
QUESTION = """
import json, torch
cuda = torch.cuda.is_available()
free, whole = torch.cuda.mem_get_info() if cuda else (0, 0)
print(json.dumps({"cuda": cuda, "hip": torch.version.hip, "free": free, "whole": whole,
                  "xpu": bool(getattr(torch, "xpu", None)) and torch.xpu.is_available(),
                  "mps": torch.backends.mps.is_available()}))
"""
SHARED_BYTES = 1 << 30                   # taken by others from here on it is said: a desktop and a context take less


@dataclass(frozen=True)
class Card:
    """What is run on."""

    device: str                          # cuda, cpu
    maker: str                           # nvidia, amd, or "" without a card
    free_bytes: int
    said: str                            # one sentence, where there is something to know


def look(asked: str | None) -> Card:
    """The card to use. asked: cuda, cpu, or None for whatever is there."""
    done = subprocess.run([sys.executable, "-c", QUESTION], capture_output=True, text=True, check=True)
    return judged(json.loads(done.stdout.splitlines()[-1]), asked)


def judged(seen: dict, asked: str | None) -> Card:
    """seen: what QUESTION prints."""
    if asked == "cpu":
        return Card("cpu", "", 0, "on the processor, as asked: rows that need a card are left out")
    if not seen["cuda"]:
        other = next((name for name in ("xpu", "mps") if seen[name]), None)
        what = f"a card that it drives as {other.upper()}, which this command does not measure" if other else "no card"
        return Card("cpu", "", 0, f"torch sees {what}: rows that need CUDA say so, the rest runs on the processor")
    maker = "amd" if seen["hip"] else "nvidia"
    used = seen["whole"] - seen["free"]
    said = [] if maker == "nvidia" else ["the card is AMD's: rows that need NVIDIA's CUDA say so, the rest runs"]
    if used > SHARED_BYTES:
        said.append(f"others hold {used / 2**30:.1f} GB of the card's {seen['whole'] / 2**30:.1f} GB: times are theirs too, and "
                    "rows that need more than is free are left out")
    return Card("cuda", maker, seen["free"], "; ".join(said))
