"""`python -m caphuman_train prepare`: its arguments, and what it prints."""
from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caphuman_bench.score.faces import DETECTORS
from caphuman_core.check import fail
from caphuman_core.identity.options import CLIP_VIEWS

from ..prepare.settings import Settings
from ..prepare.tools import FITTERS, RENDERED_HEAD, ToolFiles

if TYPE_CHECKING:
    from ..data.manifest import Manifest
    from ..prepare.pool import Pool
    from ..prepare.run import Bars


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    plain = Settings()
    parser.add_argument("data", type=Path, help="a folder of photos (sub-folders are people), of webdataset .tar or .parquet "
                        "files, such a file, or what `datasets` has saved")
    parser.add_argument("shards", type=Path, help="the folder to make; the same command goes on where it stopped")
    _add_photos(parser, plain)
    _add_shards(parser, plain)
    _add_networks(parser)
    group = parser.add_argument_group("workers")
    group.add_argument("--workers", type=int, default=1, help="processes, or Ray actors; 0: none but this one (1)")
    group.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS",
                       help="use Ray: 'auto' or an address; without one, this machine")
    group.add_argument("--gpus", type=float, default=1.0, help="graphics cards for each Ray worker (1)")


def _add_photos(parser: argparse.ArgumentParser, plain: Settings) -> None:
    group = parser.add_argument_group("photos")
    group.add_argument("--people", choices=("folders", "none"), default="folders",
                       help="whether the sub-folders of a folder of photos are people")
    group.add_argument("--column", action="append", default=[], metavar="ROLE=NAME",
                       help="where parquet files keep image, text, licence, source, person; may be repeated")
    group.add_argument("--allow", action="append", default=[], metavar="LICENCE",
                       help="refuse photos of other licences; may be repeated")
    group.add_argument("--licence", default=plain.licence, help="of photos that do not say")
    group.add_argument("--source", default=plain.source, help="of photos that do not say")
    group.add_argument("--least-face", type=int, default=plain.least_face_pixels, metavar="PIXELS",
                       help=f"height of a face in the target picture ({plain.least_face_pixels})")
    group.add_argument("--least-sharpness", type=float, default=plain.least_sharpness, help=f"of a face ({plain.least_sharpness})")
    group.add_argument("--least-confidence", type=float, default=plain.least_confidence,
                       help=f"of the face detector ({plain.least_confidence})")
    group.add_argument("--least-share", type=float, default=plain.least_share_of_size,
                       help=f"of --size that must be in the photo ({plain.least_share_of_size})")


def _add_shards(parser: argparse.ArgumentParser, plain: Settings) -> None:
    group = parser.add_argument_group("shards")
    group.add_argument("--size", default=f"{plain.width}x{plain.height}", metavar="WIDTHxHEIGHT",
                       help="of the target pictures, pixels (512x512)")
    group.add_argument("--face-share", type=float, default=plain.face_share,
                       help=f"of the picture's height: smaller faces are zoomed in on ({plain.face_share})")
    group.add_argument("--flips", action="store_true", help="encode mirrored pictures too, for training with flips")
    group.add_argument("--no-tokens", action="store_true",
                       help="leave CLIP's tokens out: half a megabyte less a photo, and training needs the tower")
    group.add_argument("--clip-view", choices=CLIP_VIEWS, default=plain.clip_view, help="as in CapHuman Encode Identity")
    group.add_argument("--per-shard", type=int, default=plain.per_shard, help=f"photos in a shard at most ({plain.per_shard})")


def _add_networks(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("networks", "Files are found by what is in them; nothing is downloaded.")
    group.add_argument("--models", type=Path, help="a folder laid out like ComfyUI's models (COMFYUI_PATH's)")
    group.add_argument("--vae", type=Path, help="the base checkpoint that will be trained with, or its VAE")
    group.add_argument("--clip", type=Path, help="CLIP ViT-L/14's vision tower")
    group.add_argument("--facenet", type=Path, help="FaceNet")
    group.add_argument("--parser", type=Path, help=f"BiSeNet; where there is none, the {RENDERED_HEAD} tells the face")
    group.add_argument("--no-parser", action="store_true", help=f"take the {RENDERED_HEAD} even where there is a BiSeNet")
    group.add_argument("--detector", choices=("auto", *DETECTORS), default="auto", help="who finds faces (the best that is there)")
    group.add_argument("--fitter", choices=FITTERS, default="auto", help="who fits heads (DECA where it is, else landmarks)")
    group.add_argument("--head-model", type=Path, help="for landmark fits: a converted head model (the built-in head)")


def main(options: argparse.Namespace) -> int:
    """Prepare, with a progress bar; says what was refused. Status 0: the shards are ready."""
    from caphuman_bench.folder import locked

    from ..data.sources import open_source
    from ..prepare.run import prepare
    settings, files = settings_of(options), files_of(options)
    source = open_source(options.data, options.people == "folders", _columns(options.column))
    with locked(options.shards, "prepare", "shards folder"), ExitStack() as bars:
        manifest = prepare(options.shards, source, settings, _pool(options, settings, files), _told(files), _bars(bars))
    sys.stdout.write(describe(manifest, options.shards))
    return 0


def settings_of(options: argparse.Namespace) -> Settings:
    """What decides the shards."""
    width, _, height = options.size.lower().partition("x")
    if not (width.isdecimal() and (height or width).isdecimal()):
        fail("--size", "must be a number of pixels or two with an x between them", repr(options.size), "write 512 or 512x768")
    made = Settings(
        int(width), int(height or width), options.face_share, options.least_face, options.least_share, options.least_sharpness,
        options.least_confidence, tuple(options.allow), options.licence, options.source, options.flips, not options.no_tokens,
        options.clip_view, options.per_shard)
    made.check()
    return made


def files_of(options: argparse.Namespace) -> ToolFiles:
    """Where the networks are."""
    from caphuman_core.files.host_folders import find_comfyui
    models = options.models
    if models is None and (comfyui := find_comfyui(None)) is not None:
        models = comfyui / "models"
    return ToolFiles(models, options.vae, options.clip, options.facenet, options.parser, options.head_model, options.detector,
                     options.fitter, not options.no_parser, not options.no_tokens)


def _told(files: ToolFiles) -> dict[str, Any]:
    """The options as JSON, to be compared when the run is gone on with."""
    return {name: str(value.resolve()) if isinstance(value, Path) else value for name, value in asdict(files).items()}


def _columns(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    wrong = [text for text, (role, _, name) in zip(given, pairs, strict=True) if not role or not name]
    if wrong:
        fail("--column", "must be ROLE=NAME", repr(wrong[0]), "write --column image=NAME")
    return {role: name for role, _, name in pairs}


def _pool(options: argparse.Namespace, settings: Settings, files: ToolFiles) -> Pool:
    from ..prepare.cluster import RayWorkers
    from ..prepare.pool import Here, Processes
    if options.workers < (1 if options.ray else 0):
        fail("--workers", "must be 1 or more with --ray, else 0 or more", options.workers, "name another number")
    if options.ray:
        return RayWorkers(settings, files.load, options.ray, options.workers, options.gpus)
    return Processes(settings, files.load, options.workers) if options.workers else Here(settings, files.load)


def _bars(stack: ExitStack) -> Bars:
    """A progress bar for each phase, gone when the stack is left."""
    from caphuman_bench.runner import progress

    from ..prepare.run import SHARDS

    def begin(phase: str, total: int, done: int, refused: int):
        stack.close()                    # one bar at a time
        step, bar = progress(total, done, refused, "photo", f"refused in {phase}" if phase != SHARDS else "refused")
        stack.callback(bar.close)
        return step
    return begin


def describe(manifest: Manifest, folder: Path) -> str:
    """What `prepare` prints at its end."""
    summary, settings = manifest.summary, manifest.settings
    size = sum(shard.bytes for shard in manifest.shards)
    refused = sum(summary["refused"].values())
    lines = [f"{summary['samples']:,} samples of {summary['people']:,} people in {len(manifest.shards):,} shards, "
             f"{size / 1e9:.2f} GB; {refused:,} photos refused"]
    lines += [f"  {count:,} {reason}" for reason, count in summary["refused"].items()]
    lines.append("licences: " + ", ".join(f"{name or 'not given'} ({count:,})" for name, count in summary["licences"].items()))
    lines.append(f"heads: {settings['fitter']}; faces: {settings['detector']}")
    if settings["parser"] == RENDERED_HEAD:
        lines.append(f"note: without BiSeNet the {RENDERED_HEAD} stands for the face: hair and neck that it covers count as "
                     "face, and CLIP sees them")
    lines.append(f"next: python -m caphuman_train check {folder}")
    return "\n".join(lines) + "\n"
