"""What crosses between the card and the processor in a portrait, stage by stage, models being where they are: counted on a card
that is not there (pretend.py), so that the counts are the same everywhere."""
from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest import mock

from . import fast_photo
from . import world as worlds
from .rows import Row, Setting, Values

SIDE = 64                                # of the hint; counts do not depend on it, bytes do


def crossings(setting: Setting) -> Iterator[tuple[str, Values]]:
    """Each stage: how often and how much, and the lines of the pack that ask for most of it."""
    for name, seen in counted(setting).items():
        yield name, told(seen)


def told(seen: list) -> Values:
    """Counts and bytes by way, and the three lines that ask most."""
    from .pretend import TO_CARD, TO_HOME, WAIT
    values: Values = {}
    for way in (TO_CARD, TO_HOME):
        mine = [one for one in seen if one.way == way]
        values |= {way: len(mine), f"{way}, kB": sum(one.bytes for one in mine) / 1000}
    places = Counter(one.place for one in seen).most_common(3)
    return {**values, WAIT: sum(one.way == WAIT for one in seen), "where": ", ".join(f"{place} ({n})" for place, n in places)}


def counted(setting: Setting) -> dict[str, list]:
    """Crossings of each stage of the portrait, and of a first and a later sampling step."""
    import torch

    from . import pretend
    t = fast_photo.tools(setting)
    found: dict[str, list] = {}
    with torch.no_grad(), pretend.a_card() as all_of_it, host_on_card(t, pretend):
        made: dict[str, Any] = {}
        for name, stage in fast_photo.STAGES.items():
            stage(t, made, SIDE)                            # the first call loads weights
            start = len(all_of_it.seen)
            made.update(stage(t, made, SIDE))
            found[name] = all_of_it.seen[start:]
        for name, count in steps(t, made, all_of_it, pretend):
            found[name] = all_of_it.seen[count:]
    return found


def steps(t: fast_photo.Tools, made: dict[str, Any], all_of_it: Any, pretend: Any) -> Iterator[tuple[str, int]]:
    """CapFace's part of a first and a later step, as the UNet asks for it."""
    import torch
    control = made["conditioning"][0][0][1]["control"]
    sampling = t.world.base.model.model_sampling
    control.pre_run(t.world.base.model, sampling.percent_to_sigma)
    pretend.put(sampling)
    for name, sigma in (("the first step", 10.0), ("a later step", 5.0)):
        x = worlds.noise(1, 4, SIDE // 8, SIDE // 8).repeat(2, 1, 1, 1).to(pretend.CARD)     # positive and negative
        sigmas = torch.full((2,), sigma, device=pretend.CARD)
        start = len(all_of_it.seen)
        control.get_control(x, sigmas, {}, 2, {})
        yield name, start


@contextlib.contextmanager
def host_on_card(t: fast_photo.Tools, pretend: Any) -> Iterator[None]:
    """The host believes in the card: it moves models there, and gives it as its device; results rest on the processor."""
    import comfy.ldm.modules.attention as attention
    import comfy.model_management as management

    def load(models: list, *_: Any, **__: Any) -> None:
        for patcher in models:
            pretend.put(patcher.model)
    patchers = [t.detector.patcher, t.encoder.patcher, t.clip_vision.patcher, t.world.capface.patcher]
    with contextlib.ExitStack() as stack:
        for name, function in (("load_models_gpu", load), ("get_torch_device", lambda: pretend.CARD),
                               ("intermediate_device", lambda: pretend.HOME)):
            stack.enter_context(mock.patch.object(management, name, function))
        for patcher in patchers:
            stack.enter_context(mock.patch.object(patcher, "load_device", pretend.CARD))
        stack.enter_context(mock.patch.object(attention, "optimized_attention", attention.attention_pytorch))    # as on a card
        stack.enter_context(mock.patch.object(t.clip_vision, "load_device", pretend.CARD))
        pretend.put(t.world.capface.network)
        yield


ROWS = (Row("crossings", crossings, seconds=10),)
