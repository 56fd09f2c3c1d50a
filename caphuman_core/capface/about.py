"""What a CapFace file tells of itself: written by the trainer's export, read by the loader. Files without it work as ever."""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..files.weights import read_metadata

FORMAT = "caphuman-capface/1"
MOST = 60                                       # characters of a name that is shown


@dataclass(frozen=True)
class About:
    """Where a CapFace comes from; empty where nobody said."""

    head_model: str = ""                        # name of the head model that drew its hints
    head_model_fingerprint: str = ""
    base_model: str = ""                        # file name of the checkpoint it was trained for
    base_model_fingerprint: str = ""
    steps: str = ""                             # optimizer steps
    samples: str = ""                           # seen, all steps together
    weights: str = ""                           # last, or running mean
    licences: str = ""                          # of the photos: JSON, licence -> how many
    data: str = ""                              # of the photos: JSON, the shards' settings and summary
    settings: str = ""                          # of the run: JSON

    @property
    def known(self) -> bool:
        """Whether the file says anything."""
        return self != NOT_TOLD

    def metadata(self) -> dict[str, str]:
        """For a .safetensors header."""
        return {"format": FORMAT, **{name: value for name, value in vars(self).items() if value}}

    def shown(self) -> str:
        """In a few lines, for the node; where it makes one line of them, it can be read too."""
        trained = " ".join(part for part in (f"{int(self.steps):,} steps" if self.steps.isdigit() else "",
                                             f"for {_short(self.base_model)}" if self.base_model else "") if part)
        lines = [f"head model: {_short(self.head_model or 'not told')}", trained and f"trained: {trained}",
                 self.licences and f"photos: {_short(_counts(self.licences))}"]
        return ";\n".join(line for line in lines if line)


NOT_TOLD = About()


def about_of(metadata: Mapping[str, Any]) -> About:
    """From a header; of another tool's metadata nothing is taken."""
    if metadata.get("format") != FORMAT:
        return NOT_TOLD
    return About(**{item.name: str(metadata.get(item.name, "")) for item in fields(About)})


def read_about(path: str | Path) -> About:
    """Of a CapFace file; empty for files that are no .safetensors."""
    return about_of(read_metadata(path, "CapFace"))


def _counts(text: str) -> str:
    """{"CC0-1.0": 3} as "CC0-1.0 (3)"."""
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    return ", ".join(f"{name or 'unknown'} ({count})" for name, count in found.items()) if isinstance(found, dict) else ""


def _short(text: str) -> str:
    """On one line: files of strangers may hold anything."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return plain if len(plain) <= MOST else plain[:MOST] + "..."
