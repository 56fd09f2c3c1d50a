"""The data of a run: shards opened and split, batches in the order that the seed gives."""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from caphuman_core.check import fail, require

from ..data.batch import collate
from ..data.loader import Shards, prefetch

if TYPE_CHECKING:
    from caphuman_core.head.model.head_model import HeadModel

    from ..data.batch import Batch
    from ..data.shards import Tokens
    from .settings import Settings
    from .world import World


EXAMPLES = 16                                   # that a start is scaled to


@dataclass(frozen=True)
class TrainingData:
    """What is learnt from, what is kept back, and the model that draws the heads."""

    learnt: Shards
    held_out: Shards | None
    head_model: HeadModel
    flip_probability: float
    workers: int
    plain_skin_probability: float = 0.0

    def batches(self, share: Share, first_step: int, last_step: int, seed: int, world: World) -> Iterator[Batch]:
        """This process's parts of the steps from `first_step` to before `last_step`, in order."""
        parts = prefetch(self.learnt, first_step * share.parts, last_step * share.parts, share.samples, seed, world.rank,
                         world.size, self.flip_probability, self.head_model, workers=self.workers,
                         plain_skin_probability=self.plain_skin_probability)
        return (batch for _, batch in parts)


@dataclass(frozen=True)
class Share:
    """How a step's batch is shared out: every process computes `parts` batches of `samples`."""

    parts: int
    samples: int

    def rows(self, part: int, world: World) -> range:
        """Places of one part's samples in the whole batch: the same ones whatever the number of processes and parts."""
        first = (part * world.size + world.rank) * self.samples
        return range(first, first + self.samples)


def share_out(size: int, parts: int, world: World) -> Share:
    """InputError where the batch cannot be shared out evenly."""
    require(size % (parts * world.size) == 0, "setting batch.size", "must be a multiple of batch.accumulate times the processes",
            f"{size} for {parts} x {world.size}", "choose such a number, or another batch.accumulate")
    return Share(parts, size // (parts * world.size))


def open_data(settings: Settings) -> TrainingData:
    """InputError for shards that are missing, damaged, or made with another head model."""
    _require_expression(settings.data.references)
    shards = Shards.open(Path(settings.data.shards), tokens=_tokens(settings.data.clip_vision), references=settings.data.references)
    head_model = load_head_model(settings.data.head_model)
    made_with = shards.manifest.settings.get("head_model_fingerprint")
    require(made_with in (None, head_model.fingerprint), "setting data.head_model", "must be the model the shards were made with",
            f"'{head_model.name}' ({head_model.fingerprint}) for {made_with}", "name that head model's file")
    learnt, held_out = shards.split(settings.data.held_out) if settings.data.held_out else (shards, None)
    return TrainingData(learnt, held_out, head_model, settings.data.flip_probability, settings.data.workers,
                        settings.data.plain_skin_probability)


def _require_expression(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        fail("setting data.references", "must be a regular expression", f"{text!r} ({error})", "correct it, or leave it out")


def examples_of(data: TrainingData) -> Batch:
    """EXAMPLES samples of those that are learnt from, spread over all of them: of several people, therefore."""
    stride = max(1, len(data.learnt) // EXAMPLES)
    return collate([data.learnt.sample(index) for index in range(0, len(data.learnt), stride)][:EXAMPLES], data.head_model)


def load_head_model(name: str) -> HeadModel:
    """name: "" for the built-in head, FLAME's generic_model.pkl with its companions beside it, or a converted file."""
    from caphuman_core.head.model.flame_files import find_flame_files, load_flame
    from caphuman_core.head.model.head_model import load_builtin, load_file
    if not name:
        return load_builtin()
    path = Path(name)
    if not path.is_file():
        fail("setting data.head_model", "must be a file", repr(name), "correct the path")
    if path.suffix.lower() == ".pkl":
        return load_flame(find_flame_files(path, [path.parent]), path.name)
    return load_file(path, path.name)


def _tokens(clip_vision: str) -> Tokens | None:
    """What makes CLIP's tokens of a stored face, where a tower is named."""
    if not clip_vision:
        return None
    from functools import partial

    from caphuman_core.identity.crops import clip_pixels
    from caphuman_train.host import part

    from ..data.webp import decoded
    from ..prepare.tools import load_tower
    nodes, tower = part()("nodes.identity"), load_tower(Path(clip_vision))
    nodes.require_clip_l(tower)
    tokens = torch.no_grad()(partial(nodes.clip_tokens, tower))
    return lambda content: tokens(clip_pixels(decoded(content))[None])[0]
