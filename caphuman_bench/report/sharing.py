"""What may leave this machine: a report is for others, so it names files, never the folders they lie in."""
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

# A quoted text that is a path; then bare paths of two parts or more, up to white space (not the paths of web addresses).
_QUOTED = re.compile(r"""(['"])(?:/|~/|[A-Za-z]:[\\/]|\\\\)[^'"\n]*[\\/]([^'"\\/\n]*)\1""")
_BARE = re.compile(r"""(?<![\w:/.<~\\])(?:~?/|[A-Za-z]:[\\/]|\\\\)(?:[^\s'"<>|*?,;:()\\/]+[\\/])+([^\s'"<>|*?,;:()\\/]*)""")


def without_folders(text: str) -> str:
    """The text with every absolute path cut to its last part."""
    return _BARE.sub(r"\1", _QUOTED.sub(r"\1\2\1", text))


def shareable(value: Any) -> Any:
    """A JSON value with texts as above, and None for numbers that JSON does not have (NaN, infinity)."""
    if isinstance(value, str):
        return without_folders(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: shareable(entry) for key, entry in value.items()}
    return [shareable(entry) for entry in value] if isinstance(value, (list, tuple)) else value
