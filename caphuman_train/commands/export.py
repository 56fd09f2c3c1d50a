"""`export`: see `..export.command`."""
from __future__ import annotations

from ..export.command import add_options as add_arguments
from ..export.command import run as main

__all__ = ["add_arguments", "main"]
