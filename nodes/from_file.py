"""What nodes that load a file chosen by name have in common."""
from __future__ import annotations

from typing import Any, ClassVar

from comfy_api.v0_0_2 import io

from . import host


class FromModelFile(io.ComfyNode):
    """Its input names a file of the models folder FOLDER; with more inputs than that, `fingerprint_inputs` is the node's own."""

    FOLDER: ClassVar[str] = ""

    @classmethod
    def validate_inputs(cls, **_chosen: Any) -> bool | str:
        return True                      # what is missing is explained in one sentence when the node runs

    @classmethod
    def fingerprint_inputs(cls, *chosen: str, **named: str) -> str:
        return cls.stamp(*chosen, *named.values())

    @classmethod
    def stamp(cls, name: str) -> str:
        """Changes when the chosen file is replaced on disk."""
        return host.file_stamp(cls.FOLDER, name)


class FromSavedFile(FromModelFile):
    """Its one input names a file that the pack saved, in the input or output folder."""

    @classmethod
    def stamp(cls, name: str) -> str:
        """Changes when the saved file is replaced."""
        return host.saved_stamp(name)
