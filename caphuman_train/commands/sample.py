"""`sample`: see `..sample.command`."""
from __future__ import annotations

from ..sample.command import add_options as add_arguments
from ..sample.command import run as main

__all__ = ["add_arguments", "main"]
