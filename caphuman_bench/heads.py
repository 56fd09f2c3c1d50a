"""Head conditions in every form that a graph may take: head file, picture, widget values."""
from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caphuman_core.check import InputError, fail
from caphuman_core.head.options import HEAD_SUFFIX

from .folder import write_whole
from .lists import load_conditions
from .people import PICTURE_FILES, upright
from .plan import HeadEntry

if TYPE_CHECKING:
    from caphuman_core.flow import Head
    from caphuman_core.head.model.head_model import HeadModel

SIZE = 512                      # pixels, the frame of heads made from values; rendering reframes them


def read_heads(source: Path | None) -> tuple[HeadEntry, ...]:
    """Conditions of a list, of a folder of head files and photos, or (None) the ten that ship with the tool."""
    if source is None or not source.is_dir():
        return load_conditions(source)
    from .people import free_name
    taken: set[str] = set()
    entries = []
    for path in sorted(source.iterdir()):
        if path.name.lower().endswith(HEAD_SUFFIX):
            entries.append(HeadEntry(free_name(path.name[:-len(HEAD_SUFFIX)], taken), "file", file=str(path)))
        elif path.suffix.lower() in PICTURE_FILES:
            entries.append(HeadEntry(free_name(path.stem, taken), "photo", picture=str(path)))
    if not entries:
        fail(f"heads '{source}'", f"must hold {HEAD_SUFFIX} files or photos", "none", "give another folder, or a list")
    return tuple(entries)


def load_head_model(path: Path | None) -> HeadModel:
    """The built-in head, or a converted .safetensors head model."""
    from caphuman_core.head.model.head_model import load_builtin, load_file
    return load_builtin() if path is None else load_file(path)


def make_forms(entries: Sequence[HeadEntry], run: Path, model: HeadModel, models: Path | None = None,
               ) -> tuple[tuple[HeadEntry, ...], dict[str, str], list[str]]:
    """The entries with their files and pictures in `run`/inputs/heads, the hashes of those, and notes.

    models: a folder laid out like the host's models folder, for the face detector that photos need.
    """
    made, hashes, notes = [], {}, []
    for entry in entries:
        head, picture = _head_of(entry, model, models, notes)
        forms = {"file": (HEAD_SUFFIX, _file_bytes(head) if head is not None else b""), "picture": picture}
        if entry.kind == "file":
            forms["file"] = (HEAD_SUFFIX, Path(entry.file).read_bytes())
        paths = {}
        for form, (suffix, content) in forms.items():
            paths[form] = f"inputs/heads/{entry.key}{suffix}" if content else ""
            if content:
                write_whole(run / paths[form], content)
                hashes[paths[form]] = hashlib.sha256(content).hexdigest()
        made.append(replace(entry, **paths))
    return tuple(made), hashes, notes


def head_of_values(values: dict[str, Any], model: HeadModel) -> Head:
    """The head that CapHuman Edit Head makes of a new head with these widget values."""
    from caphuman_core.head.edit.widget_values import edited
    from caphuman_core.head.new import new_head
    return edited(new_head(model, SIZE, SIZE), model, values)


def _head_of(entry: HeadEntry, model: HeadModel, models: Path | None, notes: list[str]) -> tuple[Any, tuple[str, bytes]]:
    """(the head or None, (suffix, encoded picture))."""
    if entry.kind == "values":
        head = head_of_values(dict(entry.values), model)
        return head, (".png", _drawn(head, model))
    if entry.kind == "file":
        from caphuman_core.head.storage import load_head
        head = load_head(entry.file)
        if head.model_fingerprint == model.fingerprint:
            return head, (".png", _drawn(head, model))
        notes.append(f"head {entry.key}: made with another head model, so no picture of it could be drawn (see --head-model)")
        return head, (".png", b"")
    found = upright(Path(entry.picture))
    if found is None:
        fail(f"head condition '{entry.key}'", "must name a picture",
             f"'{Path(entry.picture).name}', which cannot be read", "replace it")
    return _fitted(entry.key, found[0], model, models, notes), (found[1], found[0])


def _fitted(key: str, content: bytes, model: HeadModel, models: Path | None, notes: list[str]) -> Head | None:
    from PIL import Image

    from caphuman_core.face.detection import detect
    from caphuman_core.head.fit.from_photo import fit_photos
    from caphuman_core.pixels import photo_of

    from .score.faces import choose_detector
    with Image.open(io.BytesIO(content)) as picture:
        photo = photo_of(picture.convert("RGB"))[None]
    try:
        faces = detect(choose_detector("auto", models), photo, max_faces=1)
        return fit_photos(photo, faces, model)
    except InputError as error:
        notes.append(f"head {key}: no head could be fitted to its photo, so only graphs that take a picture can use it ({error})")
        return None


def _drawn(head: Head, model: HeadModel) -> bytes:
    from caphuman_core.pixels import image_of
    from caphuman_core.render.maps import render
    buffer = io.BytesIO()
    image_of(render(head, model, head.width, head.height).shaded[0]).save(buffer, "PNG")
    return buffer.getvalue()


def _file_bytes(head: Head) -> bytes:
    import tempfile

    from caphuman_core.head.storage import save_head
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"head{HEAD_SUFFIX}"
        save_head(head, path)
        return path.read_bytes()
