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


def show_text(text: str) -> None:
    """Show some lines on the node that is being executed; nothing happens outside a server."""
    from comfy_execution.utils import get_executing_context
    from server import PromptServer
    context = get_executing_context()
    server: Any = getattr(PromptServer, "instance", None)
    if context is not None and hasattr(server, "send_progress_text"):
        server.send_progress_text(text, context.node_id)


def stop_if_interrupted() -> None:
    """Raises what ends the prompt if the user has asked for it."""
    comfy.model_management.throw_exception_if_processing_interrupted()
