"""`train`: see `..train.command`."""
from __future__ import annotations

from ..train.command import add_options as add_arguments
from ..train.command import run as main

__all__ = ["add_arguments", "main"]
