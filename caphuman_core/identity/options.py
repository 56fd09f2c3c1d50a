"""Names that node schemas show. It imports nothing, so that showing them costs no start-up time."""
from __future__ import annotations

CLIP_VIEWS = ("centre crop", "on the face")
IDENTITY_SUFFIX = ".identity.safetensors"
