"""Files that the pack saves and loads again, in the host's input and output folders."""
from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import folder_paths

from ...caphuman_core.check import fail
from .folders import NO_FILE, inside, leaves_folder, stamp_of


def saved_files(suffix: str) -> list[str]:
    """Files with `suffix` under the host's input and output folders, as annotated names ("x [output]")."""
    found = []
    for folder, note in ((folder_paths.get_input_directory(), ""), (folder_paths.get_output_directory(), " [output]")):
        for root, _, names in os.walk(folder):
            found += [Path(root, name).relative_to(folder).as_posix() + note for name in names if name.lower().endswith(suffix)]
    return sorted(found) or [NO_FILE]


def saved_path(name: str, suffix: str, what: str, saver: str) -> Path:
    """Full path of a chosen saved file; names that leave the host's folders are refused like missing ones."""
    path = own_file(name)
    if path is None or not path.name.lower().endswith(suffix):
        fail(f"{what} file", f"must be a {suffix} file in the input or output folder", repr(name),
             f"make one with {saver}, then press R to refresh the node")
    return path


def saved_stamp(name: str) -> str:
    """Changes when a saved file is replaced: the `fingerprint_inputs` of nodes that load saved files."""
    path = own_file(name)
    return stamp_of(path) if path is not None else f"{name}:missing"


def own_file(name: str) -> Path | None:
    """The file an annotated name stands for; None if there is none, or if it lies (by links too) outside input and output.

    Unlike models, which people link to from other disks, these names travel in workflows of strangers.
    """
    if leaves_folder(name):
        return None
    plain, folder = folder_paths.annotated_filepath(name)
    folder = folder or folder_paths.get_input_directory()
    if leaves_folder(plain) or not (path := Path(folder, plain)).is_file() or not inside(path, [folder]):
        return None
    return path


@contextlib.contextmanager
def new_output_file(filename_prefix: str, suffix: str) -> Iterator[Path]:
    """The next file of a series in the output folder, to be written in the block. Raises InputError for prefixes that leave it."""
    output = folder_paths.get_output_directory()
    target = Path(output, filename_prefix) if not leaves_folder(filename_prefix) else None
    if target is None or not inside(target.parent, [output]):
        fail("filename_prefix", "must be a name inside the output folder", repr(str(filename_prefix)[:80]),
             "use letters and digits, with / for a subfolder")
    folder, name, *_ = folder_paths.get_save_image_path(filename_prefix, output)
    taken = {path.name for path in Path(folder).glob("*" + suffix)}
    free = (Path(folder, f"{name}_{n:05}{suffix}") for n in itertools.count(1) if f"{name}_{n:05}{suffix}" not in taken)
    path = next(path for path in free if _claimed(path))
    try:
        yield path
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _claimed(path: Path) -> bool:
    """Make an empty file of that name; False if another server on the same folder was faster."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError as error:
        fail(f"file '{path.name}'", "must be writable", error.strerror or str(error), "free some disk space or use another name")
    return True
