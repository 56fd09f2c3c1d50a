"""Limits that node schemas show. It imports nothing, so that showing them costs no start-up time."""
from __future__ import annotations

MAX_SIDE = 8192                                          # pixels of a rendered picture
