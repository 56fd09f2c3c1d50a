"""The commands: plan, run, score, report. What a command needs is imported when it is used.

`score` and `report` are packages with a module `command` that has `add_arguments(parser)` and `main(options) -> int`.
"""
from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caphuman_core.check import InputError, fail

if TYPE_CHECKING:
    from .plan import ImageRecord, Plan
    from .runner import Settings, Summary
    from .store import Store
    from .worker import Worker

PROBE_IMAGES = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line; returns the exit status. What goes wrong is one sentence on standard error."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except InputError as error:
        sys.stderr.write(f"caphuman_bench: {error}\n")
        return 1
    except (OSError, sqlite3.OperationalError) as error:        # a full or read-only disk, a folder that is not ours
        sys.stderr.write(f"caphuman_bench: files must be readable and the run folder's disk must take what is written, but got "
                         f"'{error}': free some space or correct the permissions and give the same command again; nothing is "
                         "lost.\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ncaphuman_bench: stopped by Ctrl-C; nothing is lost, the same command goes on.\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m caphuman_bench", description=(
        "Measures identity, prompt and head control of CapHuman, or of any other ComfyUI graph, the way the paper does."))
    commands = parser.add_subparsers(required=True, metavar="plan | run | score | report")
    plan_command = commands.add_parser("plan", help="lay out a run: how many images, how long, how much disk")
    _add_plan(plan_command)
    run_command = commands.add_parser("run", help="make the images; the same command goes on where it stopped")
    run_command.add_argument("folder", type=Path, help="the run folder")
    _add_servers(run_command)
    run_command.add_argument("--retry-failed", action="store_true", help="try failed images again")
    run_command.add_argument("--attempts", type=int, default=3, help="per image (3)")
    run_command.set_defaults(command=run)
    for name, text in (("score", "measure the images"), ("report", "tables, plots and picture grids")):
        command = commands.add_parser(name, help=text)
        module = import_module(f".{name}.command", __package__)
        module.add_arguments(command)
        command.set_defaults(command=module.main)
    return parser


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the run folder to make")
    parser.add_argument("--photos", type=Path, required=True,
                        help="a folder with a picture, or a sub-folder of pictures, for each person")
    parser.add_argument("--prompts", type=Path, help="a list of prompts, JSON or a text file (the 35 of this tool)")
    parser.add_argument("--heads", type=Path,
                        help="a list of head conditions, or a folder of head files and photos (the 10 of this tool)")
    parser.add_argument("--workflow", type=Path, help="a workflow in API form with slots (CapHuman's own)")
    parser.add_argument("--slot", action="append", default=[], metavar="NAME=NODE.INPUT",
                        help="where identity, prompt, head, seed go, and image comes from; may be repeated")
    parser.add_argument("--samples", type=int, default=3, help="images of each combination (3)")
    parser.add_argument("--seed", type=int, default=0, help="of the whole run (0)")
    parser.add_argument("--same-noise", action="store_true",
                        help="one seed for all heads of a person and prompt, so that what differs is the head's doing")
    parser.add_argument("--check-faces", choices=("auto", "on", "off"), default="auto",
                        help="look for the faces of the photos (auto: where a detector's files are there)")
    parser.add_argument("--photos-per-person", type=int, default=10, help="photos of one person that are taken (10)")
    parser.add_argument("--head-model", type=Path, help="a converted head model that head files are made for (the built-in head)")
    parser.add_argument("--models", type=Path, help="a folder laid out like ComfyUI's models, for the face detector")
    parser.add_argument("--probe", type=int, nargs="?", const=PROBE_IMAGES, default=0, metavar="IMAGES",
                        help=f"make some images ({PROBE_IMAGES}, of two units) on a server and tell how long all will take")
    _add_servers(parser)
    parser.set_defaults(command=plan)


def _add_servers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", action="append", default=[], metavar="URL", help="a ComfyUI server; may be repeated")
    parser.add_argument("--hang-seconds", type=float, default=600.0, help="silence after which a server counts as hanging (600)")
    parser.add_argument("--patience-seconds", type=float, default=900.0, help="time without any server before the run stops (900)")
    group = parser.add_argument_group("on a cluster (needs ray[default])")
    group.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS",
                       help="use Ray: 'auto' or an address; without one, this machine")
    group.add_argument("--workers", type=int, default=1, help="Ray workers, each with a server of its own (1)")
    group.add_argument("--gpus", type=float, default=1.0, help="graphics cards for each worker (1)")
    group.add_argument("--comfy", metavar="COMMAND",
                       help="how a worker starts its server; {port} is filled in. Else the --server URLs are shared out")
    group.add_argument("--shared", choices=("auto", "yes", "no"), default="auto",
                       help="whether workers see the run folder under the same path (auto: they look)")


def plan(options: argparse.Namespace) -> int:
    """`plan`."""
    from . import planner
    from .folder import locked
    slots = tuple((name, place) for name, _, place in (text.partition("=") for text in options.slot))
    sources = planner.Sources(
        options.photos, options.prompts, options.heads, options.workflow, slots, options.samples, options.seed, options.head_model,
        options.models, options.check_faces, options.photos_per_person, options.same_noise)
    with locked(options.folder, "plan"):
        made = planner.make_plan(options.folder, sources)
        if options.probe:
            _probe(options, made)
    sys.stdout.write(planner.describe(made, options.folder, max(1, len(options.server), options.workers)))
    return 0


def _probe(options: argparse.Namespace, plan: Plan) -> None:
    from .planner import keep_probe, probe_images
    from .store import Store
    with Store.open(options.folder) as store:
        if store.info("probe"):
            return
        _take_over(store, plan, options.folder)
        images = probe_images(list(store.records("planned")), options.probe)
        _make(options, plan, store, images, servers=1)
        keep_probe(store, options.folder, {image.id for image in images})


def run(options: argparse.Namespace) -> int:
    """`run`. Status 0: all images are there; 3: done, but some failed."""
    from .folder import locked
    from .plan import load_plan
    from .store import Store
    plan = load_plan(options.folder)
    with locked(options.folder, "run"), Store.open(options.folder) as store:
        _take_over(store, plan, options.folder)
        if options.retry_failed:
            store.retry_failed()
        images = list(store.records("planned"))
        summary = _make(options, plan, store, images) if images else None
        counts = store.counts()
    sys.stdout.write(f"{counts['done']:,} of {len(plan):,} images are there, {counts['failed']:,} failed"
                     f"{f' (the last: {summary.last_error})' if summary and summary.failed else ''}\n")
    return 3 if counts["failed"] else 0


def _take_over(store: Store, plan: Plan, folder: Path) -> None:
    from .folder import drop_parts
    from .manifest import merge
    from .runner import take_over
    if (folder / "images").is_dir():
        drop_parts(folder / "images")
    merge(store, plan, folder)
    adopted, gone = take_over(store, plan, folder)
    if adopted:
        sys.stdout.write(f"{adopted} images that a stopped run had made are taken over\n")
    if gone:
        sys.stdout.write(f"{gone} images are no longer there and will be made again\n")


def _make(options: argparse.Namespace, plan: Plan, store: Store, images: list[ImageRecord], servers: int | None = None) -> Summary:
    """Make images with the workers that the options name, under a progress bar."""
    from .runner import Runner, Settings, progress
    settings = Settings(getattr(options, "attempts", 3), options.patience_seconds)
    counts = store.counts()
    step, bar = progress(len(plan) if servers is None else len(images), counts["done"] if servers is None else 0, counts["failed"])
    try:
        if options.ray:
            return _on_ray(options, plan, store, images, settings, step)
        workers = _servers(options, plan)[:servers]
        return asyncio.run(Runner(store, workers, settings, step).run(images))
    finally:
        bar.close()


def _servers(options: argparse.Namespace, plan: Plan) -> list[Worker]:
    from .worker import ServerWorker
    workers: list[Worker] = [ServerWorker(plan, options.folder, url, options.hang_seconds) for url in options.server]
    names = [worker.name for worker in workers]
    if not names or len(set(names)) < len(names):
        fail("servers", "must be named, each once", ", ".join(names) or "none",
             "add --server http://127.0.0.1:8188, one for each ComfyUI, or --ray")
    return workers


def _on_ray(options: argparse.Namespace, plan: Plan, store: Store, images: list[ImageRecord], settings: Settings,
            step: Any) -> Summary:
    from .cluster import Cluster
    with Cluster(options.ray, plan, options.folder, options.workers, options.gpus, options.comfy, options.server,
                 options.hang_seconds, options.shared) as cluster:
        return asyncio.run(cluster.run(store, images, settings, step))
