"""Photos and videos that a user chooses: those of the host's input folder, and the samples that the pack ships.

The host shows files of its input, output and temp folders only. The samples are copied into temp, which it empties at every
start, so that nothing is put among the user's own files.
"""
from __future__ import annotations

import importlib
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import folder_paths

from ...caphuman_core.check import fail
from .folders import stamp_of
from .saved_files import own_file

if TYPE_CHECKING:
    from torch import Tensor

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
Kind = Literal["image", "video"]         # as the host sorts files
SUFFIXES: dict[Kind, str] = {"image": ".jpg", "video": ".mp4"}      # of the samples
IN_TEMP = " [temp]"                      # the host's mark behind a name: in its temp folder
log = logging.getLogger(__name__)


def sample_names(kind: Kind = "image") -> list[str]:
    """The shipped photos, or videos, as a combo lists them, "x.jpg [temp]"."""
    return [path.name + IN_TEMP for path in sorted(SAMPLES.glob(f"*{SUFFIXES[kind]}"), key=lambda path: path.stem)]


def lay_out_samples() -> None:
    """Put the samples where the host's pages can show them; those that are there are left alone."""
    temp = Path(folder_paths.get_temp_directory())
    try:
        temp.mkdir(parents=True, exist_ok=True)
        for path in (path for suffix in SUFFIXES.values() for path in SAMPLES.glob(f"*{suffix}")):
            if not (temp / path.name).is_file():
                shutil.copyfile(path, temp / path.name)
    except OSError as error:             # said again, as an error, where one is used
        log.warning("CapHuman's samples cannot be copied into %s: %s", temp, error)


def choices(kind: Kind) -> list[str]:
    """Samples first, then what the input folder has of that kind, as the host's own loaders list it."""
    folder = folder_paths.get_input_directory()
    own = [entry.name for entry in os.scandir(folder) if entry.is_file()] if os.path.isdir(folder) else []
    return [*sample_names(kind), *sorted(folder_paths.filter_files_content_types(own, [kind]))]


def chosen_path(kind: Kind, name: str) -> Path:
    """The file that a chosen name stands for; InputError if there is none, or if it lies outside the host's folders."""
    if name in sample_names(kind):
        return SAMPLES / name.removesuffix(IN_TEMP)
    path = own_file(name)
    if path is None and kind == "video":
        fail("video", "must be a video in ComfyUI's input folder, or the sample", repr(name)[:120],
             "choose another, or drop a video on the node")
    if path is None:
        fail("image", "must be a picture in ComfyUI's input folder, or a sample", repr(name)[:120],
             "choose another, or drop a photo on the node")
    return path


def stamp(kind: Kind, name: str) -> str:
    """Changes whenever a chosen file does."""
    return stamp_of(chosen_path(kind, name))


def read_photo(name: str) -> tuple[Tensor, Tensor]:
    """(IMAGE, MASK) of a chosen name, read as the host's own Load Image reads it: turned as the camera was held."""
    shown = chosen_path("image", name).name
    lay_out_samples()
    try:
        return importlib.import_module("nodes").LoadImage().load_image(name)     # the host's module, not this pack's
    except Exception as error:           # Pillow and the video library raise many kinds, by format
        fail(f"image {shown!r}", "must be a picture that can be read", type(error).__name__,
             "save it as PNG or JPEG and choose it again")
