"""Photos that a user chooses: those of the host's input folder, and the samples that the pack ships.

The host shows pictures of its input, output and temp folders only. The samples are copied into temp, which it empties at every
start, so that nothing is put among the user's own files.
"""
from __future__ import annotations

import importlib
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import folder_paths

from ...caphuman_core.check import fail
from .saved_files import own_file

if TYPE_CHECKING:
    from torch import Tensor

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
IN_TEMP = " [temp]"                      # the host's mark behind a name: in its temp folder
log = logging.getLogger(__name__)


def sample_names() -> list[str]:
    """The shipped photos as a combo lists them, "x.jpg [temp]"."""
    return [path.name + IN_TEMP for path in sorted(SAMPLES.glob("*.jpg"), key=lambda path: path.stem)]


def lay_out_samples() -> None:
    """Put the samples where the host's pages can show them; those that are there are left alone."""
    temp = Path(folder_paths.get_temp_directory())
    try:
        temp.mkdir(parents=True, exist_ok=True)
        for path in SAMPLES.glob("*.jpg"):
            if not (temp / path.name).is_file():
                shutil.copyfile(path, temp / path.name)
    except OSError as error:             # said again, as an error, where one is used
        log.warning("CapHuman's sample photos cannot be copied into %s: %s", temp, error)


def photo_choices() -> list[str]:
    """Samples first, then the pictures of the input folder, as the host's own Load Image lists them."""
    folder = folder_paths.get_input_directory()
    own = [entry.name for entry in os.scandir(folder) if entry.is_file()] if os.path.isdir(folder) else []
    return [*sample_names(), *sorted(folder_paths.filter_files_content_types(own, ["image"]))]


def photo_path(name: str) -> Path:
    """The file that a chosen name stands for; InputError if there is none, or if it lies outside the host's folders."""
    if name in sample_names():
        return SAMPLES / name.removesuffix(IN_TEMP)
    path = own_file(name)
    if path is None:
        fail("image", "must be a picture in ComfyUI's input folder, or a sample", repr(name)[:120],
             "choose another, or drop a photo on the node")
    return path


def read_photo(name: str) -> tuple[Tensor, Tensor]:
    """(IMAGE, MASK) of a chosen name, read as the host's own Load Image reads it: turned as the camera was held."""
    shown = photo_path(name).name
    lay_out_samples()
    try:
        return importlib.import_module("nodes").LoadImage().load_image(name)     # the host's module, not this pack's
    except Exception as error:           # Pillow and the video library raise many kinds, by format
        fail(f"image {shown!r}", "must be a picture that can be read", type(error).__name__,
             "save it as PNG or JPEG and choose it again")
