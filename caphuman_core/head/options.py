"""Names that node schemas show. It imports nothing, so that showing them costs no start-up time."""
from __future__ import annotations

EDIT_MODES = ("add", "set")
FRAMINGS = ("contain", "cover", "stretch")
BUILT_IN = "built-in"                                    # the head model that ships with the pack
HEAD_SUFFIX = ".head.safetensors"
HAIR_STYLES = ("bald", "short", "curly", "long")         # of previews and meshes; never in a hint
