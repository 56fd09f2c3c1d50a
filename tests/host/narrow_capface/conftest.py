"""CapFace beside everything else a graph holds, in the host's own samplers, on narrow networks."""
from __future__ import annotations

from narrow_fixtures import _fresh, _no_gradients, _one_thread, part, world  # noqa: F401
