"""What the tests of this folder build: narrow networks and drawn data."""
from __future__ import annotations

from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
