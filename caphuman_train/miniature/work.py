"""What all stages share: where they work, by which recipe, and what earlier ones have left."""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from caphuman_bench.folder import write_whole
from caphuman_core.head.model.head_model import HeadModel, load_builtin

from .album import Album, open_album
from .recipe import Recipe, told

DONE = "done.json"                               # of a stage's folder


@dataclass(frozen=True)
class Work:
    """One miniature in the making."""

    folder: Path
    recipe: Recipe
    say: Callable[[str], object]                 # takes a line for the terminal

    def place(self, stage: str) -> Path:
        """The folder of a stage."""
        return self.folder / stage

    def is_done(self, stage: str) -> bool:
        """Whether a stage has said that it is."""
        return (self.place(stage) / DONE).is_file()

    def done(self, stage: str, **facts: Any) -> None:
        """Write a stage's last word."""
        write_whole(self.place(stage) / DONE, json.dumps(facts, sort_keys=True).encode())

    def told(self, *sections: Any) -> dict[str, Any]:
        """Settings that a stage's result depends on: the pictures', the network's, and its own."""
        begun = (self.recipe.start,) if self.recipe.start.folder else ()
        return {**told(self.recipe.pictures, self.recipe.network, *begun, *sections), "head model": self.model.fingerprint}

    def earlier(self, stage: str) -> Path | None:
        """The same stage of the miniature that this one goes on from; None: it begins anew."""
        return Path(self.recipe.start.folder) / stage if self.recipe.start.folder else None

    @cached_property
    def model(self) -> HeadModel:
        """The head that is drawn."""
        return load_builtin()

    @cached_property
    def album(self) -> Album:
        """The drawn pictures."""
        return open_album(self.folder, self.recipe.pictures)

    def every(self, count: int, what: str, total: int) -> Callable[[int], None]:
        """Says a line for each `count` of `what` that are done, and for the last."""
        def step(done: int) -> None:
            if done % count == 0 or done == total:
                self.say(f"{what}: {done:,} of {total:,}")
        return step
