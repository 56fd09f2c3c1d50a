"""The host's progress bar, and its interrupt."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import comfy.model_management
import comfy.utils

T = TypeVar("T")


def with_progress(items: Sequence[T], node_id: str | None = None) -> Iterator[T]:
    """Iterate over `items` while the host's progress bar follows; stops when the user interrupts."""
    bar = comfy.utils.ProgressBar(len(items), node_id=node_id)
    for item in items:
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield item
        bar.update(1)


def progress_callback(total: int) -> Callable[[int], Any]:
    """A function to call with the number of finished steps, up to `total`; honours an interrupt."""
    bar = comfy.utils.ProgressBar(total)

    def done(step: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(step, total)
    return done


def stop_if_interrupted() -> None:
    """Raises what ends the prompt if the user has asked for it."""
    comfy.model_management.throw_exception_if_processing_interrupted()
