"""Everything the pack asks of ComfyUI beside schemas: folders, devices, model patchers, progress, layout."""
from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any, TypeVar

import comfy.model_management
import comfy.model_patcher
import comfy.utils
import folder_paths
import torch

from ..caphuman_core.check import fail

if TYPE_CHECKING:
    from ..caphuman_core.flow import HeadHint

# Folder keys the pack adds; `detection` and `clip_vision` are the host's own (DESIGN: model files and folders).
FOLDER_KEYS = ("capface", "flame", "face_parsing", "facenet", "insightface")
WEIGHT_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".tar")
NO_FILE = "(no file found)"
MAX_NAME = 255                           # bytes of one part of a file's name: what file systems take

T = TypeVar("T")


def register_folders() -> None:
    """Register models/<key> for each key, beside whatever extra_model_paths already names."""
    for key in (*FOLDER_KEYS, "detection"):          # ComfyUI before 0.18 has no `detection` of its own
        folder_paths.add_model_folder_path(key, os.path.join(folder_paths.models_dir, key))


def model_files(key: str, suffixes: Sequence[str] = WEIGHT_SUFFIXES) -> list[str]:
    """Names, relative to the folders of `key`, of the files with one of `suffixes` (lower case)."""
    return [name for name in folder_paths.get_filename_list(key) if name.lower().endswith(tuple(suffixes))]


def model_choice(key: str, suffixes: Sequence[str] = WEIGHT_SUFFIXES, first: Sequence[str] = ()) -> list[str]:
    """Options of a model combo: built-ins first, then files; never empty, so that the widget always shows something."""
    return [*first, *model_files(key, suffixes)] or [NO_FILE]


def model_path(key: str, name: str, what: str, where_from: str) -> Path:
    """Full path of a chosen model file, or one sentence that says what to get and where to put it.

    what: "CapFace"; where_from: "download caphuman.ckpt from the CapHuman project page".
    Names that leave the folder are refused like missing ones.
    """
    folders = folder_paths.get_folder_paths(key)
    path = None if name == NO_FILE or _leaves_folder(name) else folder_paths.get_full_path(key, name)
    if path is None:
        fail(f"{what} file", f"must be in the models folder '{key}'", repr(name),
             f"{where_from} and put it in {folders[0]}, then press R to refresh the node")
    return Path(path)


def model_folders(key: str) -> list[Path]:
    """Every folder the host searches for `key`."""
    return [Path(folder) for folder in folder_paths.get_folder_paths(key)]


def saved_files(suffix: str) -> list[str]:
    """Files with `suffix` under the host's input and output folders, as annotated names ("x [output]")."""
    found = []
    for folder, note in ((folder_paths.get_input_directory(), ""), (folder_paths.get_output_directory(), " [output]")):
        for root, _, names in os.walk(folder):
            found += [Path(root, name).relative_to(folder).as_posix() + note for name in names if name.lower().endswith(suffix)]
    return sorted(found) or [NO_FILE]


def saved_path(name: str, suffix: str, what: str, saver: str) -> Path:
    """Full path of a chosen saved file; names that leave the host's folders are refused like missing ones."""
    path = _saved(name)
    if path is None or not path.name.lower().endswith(suffix):
        fail(f"{what} file", f"must be a {suffix} file in the input or output folder", repr(name),
             f"make one with {saver}, then press R to refresh the node")
    return path


def saved_stamp(name: str) -> str:
    """Changes when a saved file is replaced: the `fingerprint_inputs` of nodes that load saved files."""
    path = _saved(name)
    return f"{path}:{path.stat().st_mtime_ns}" if path is not None else f"{name}:missing"


def _saved(name: str) -> Path | None:
    """The file an annotated name stands for; None if there is none, or if it lies (by links too) outside input and output.

    Unlike models, which people link to from other disks, these names travel in workflows of strangers.
    """
    if _leaves_folder(name):
        return None
    plain, folder = folder_paths.annotated_filepath(name)
    folder = folder or folder_paths.get_input_directory()
    if _leaves_folder(plain) or not (path := Path(folder, plain)).is_file() or not _inside(path, [folder]):
        return None
    return path


@contextlib.contextmanager
def new_output_file(filename_prefix: str, suffix: str) -> Iterator[Path]:
    """The next file of a series in the output folder, to be written in the block. Raises InputError for prefixes that leave it."""
    output = folder_paths.get_output_directory()
    target = Path(output, filename_prefix) if not _leaves_folder(filename_prefix) else None
    if target is None or not _inside(target.parent, [output]):
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


def file_stamp(key: str, name: str) -> str:
    """Changes when the chosen file is replaced on disk: the `fingerprint_inputs` of loader nodes."""
    path = None if _leaves_folder(name) else folder_paths.get_full_path(key, name)
    if path is None:
        return f"{name}:missing"
    stat = os.stat(path)
    return f"{path}:{stat.st_mtime_ns}:{stat.st_size}"


def _leaves_folder(name: object) -> bool:
    """Whether a name is anything but a path below the folder it is looked up in, on this system or another."""
    if not isinstance(name, str):        # prompts of strangers: the host lets any JSON pass
        return True
    parts = name.replace("\\", "/").split("/")
    longest = max(len(part.encode(errors="replace")) for part in parts)
    return (not name or longest > MAX_NAME or not name.isprintable() or os.path.isabs(name) or not parts[0]
            or ".." in parts or PureWindowsPath(name).drive != "")


def _inside(path: Path, folders: Iterable[str | Path]) -> bool:
    """Whether a file lies in one of the folders once links inside them are followed."""
    real = path.resolve()
    return any(real.is_relative_to(Path(folder).resolve()) for folder in folders)


def patcher(module: torch.nn.Module) -> comfy.model_patcher.ModelPatcher:
    """Hand a small network of ours to the host's model management (it decides where the weights live)."""
    module.eval().requires_grad_(False)
    return comfy.model_patcher.ModelPatcher(
        module, load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device())


def load(model: comfy.model_patcher.ModelPatcher) -> torch.device:
    """Bring a patched network to its device for use now; returns that device."""
    comfy.model_management.load_models_gpu([model])
    return model.load_device


def compute_device() -> torch.device:
    """Device for arithmetic without weights (rendering, landmarks)."""
    return comfy.model_management.get_torch_device()


def raster_device() -> torch.device:
    """Device to draw on: a CUDA device where there is one; other accelerators lack operations that drawing needs."""
    device = comfy.model_management.get_torch_device()
    return device if device.type == "cuda" else torch.device("cpu")


def intermediate_device() -> torch.device:
    """Device on which results travel between nodes."""
    return comfy.model_management.intermediate_device()


def at_rest(hint: HeadHint) -> HeadHint:
    """A hint on the device on which results travel between nodes."""
    device = intermediate_device()
    return replace(hint, maps=hint.maps.to(device), mask=hint.mask.to(device), present=hint.present.to(device))


def onnx_providers() -> list[str]:
    """onnxruntime providers that fit the host's device, best first."""
    device = comfy.model_management.get_torch_device()
    best = {"cuda": ["CUDAExecutionProvider"], "mps": ["CoreMLExecutionProvider"]}.get(device.type, [])
    return [*best, "CPUExecutionProvider"]


def with_progress(items: Sequence[T], node_id: str | None = None) -> Iterator[T]:
    """Iterate over `items` while the host's progress bar follows; stops when the user interrupts."""
    bar = comfy.utils.ProgressBar(len(items), node_id=node_id)
    for item in items:
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield item
        bar.update(1)


def progress_callback(total: int) -> Callable[[int], Any]:
    """A function to call with the number of finished steps, up to `total`; honours an interrupt."""
    bar = comfy.utils.ProgressBar(total)

    def done(step: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(step, total)
    return done


def stop_if_interrupted() -> None:
    """Raises what ends the prompt if the user has asked for it."""
    comfy.model_management.throw_exception_if_processing_interrupted()


def rgb01(image: torch.Tensor) -> torch.Tensor:
    """A host IMAGE [B, H, W, 1|3|4], 0..1, as RGB [B, 3, H, W]; grey is repeated, alpha is dropped."""
    image = image.expand(*image.shape[:3], 3) if image.shape[-1] == 1 else image[..., :3]
    return image.movedim(-1, 1).contiguous()


def to_image(rgb: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] of any range as a host IMAGE [B, H, W, 3], clamped to 0..1, on the intermediate device."""
    return rgb.movedim(1, -1).clamp(0, 1).float().to(intermediate_device()).contiguous()
