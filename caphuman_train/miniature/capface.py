"""Stage: CapFace, by the trainer's own commands: prepare, check, train, export."""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from caphuman_bench.folder import write_whole
from caphuman_core.check import fail
from caphuman_core.files.weights import read_state_dict, write_safetensors

from .album import LICENCE, SOURCE
from .eyes import measured
from .known import Known, facenet_crops, find_eye, known_tools
from .latents import PHOTO, open_latents
from .training import LOSSES
from .work import Work

FACENET = "facenet-measures.safetensors"         # of the stage's folder
EXPORTED = "capface.safetensors"
MEASURED = 64                                    # pictures that FaceNet's normalisations are measured on
WARNED = 3                                       # status of `check` that found something odd


def train_capface(work: Work, base: Path) -> bool:
    """base: the narrow checkpoint it is trained for. False: stopped."""
    place = work.place("capface")
    prepare_shards(work, place / "shards")
    if not (place / "shards" / "check" / "facts.json").is_file():
        _command("check", str(place / "shards"), fine=(0, WARNED))
    if not _train(work, place, base):
        return False
    _command("export", str(place / "run"), str(place / EXPORTED), "--title", "CapHuman miniature", "--licence", LICENCE,
             "--notes", "Trained on drawn heads only; it draws drawn heads.")
    return True


def measures_of(work: Work, known: Known) -> dict[str, Any]:
    """FaceNet's normalisations, measured once."""
    path = work.place("capface") / FACENET
    if not path.is_file():
        pictures = work.album.pixels[::work.recipe.pictures.each][:MEASURED].float() / 255
        write_safetensors(path, measured(work.recipe.pictures.seed, facenet_crops(known, pictures, find_eye())), {})
    return read_state_dict(path, "FaceNet's measures")


def prepare_shards(work: Work, folder: Path) -> None:
    """`prepare`, with what is known in the place of what it would find."""
    from caphuman_bench.folder import locked

    from ..data.sources import open_source
    from ..prepare.pool import Here
    from ..prepare.run import prepare
    from ..prepare.settings import Settings
    recipe = work.recipe.pictures
    known = Known(work, open_latents(work.place("latents"), PHOTO))
    settings = Settings(width=recipe.side, height=recipe.side, face_share=0.0, least_face_pixels=1, least_sharpness=0.0,
                        licence=LICENCE, source=SOURCE, flips=True, whiten=False)      # the demo's graph has no face parser
    pool = Here(settings, lambda: known_tools(known, recipe.seed, measures_of(work, known)))
    with locked(folder, "prepare", "shards folder"):
        prepare(folder, open_source(work.folder / "pictures", True, {}), settings, pool, {"seed": recipe.seed}, _bars(work))


def _bars(work: Work) -> Callable[[str, int, int, int], Callable[[bool], None]]:
    def begin(phase: str, total: int, done: int, refused: int) -> Callable[[bool], None]:
        count, said = [done + refused], work.every(200, f"prepare, {phase}", total)

        def step(was_refused: bool) -> None:
            count[0] += 1
            said(count[0])
        return step
    return begin


def _train(work: Work, place: Path, base: Path) -> bool:
    from ..train.toml_file import read_settings
    from .cores import train_on_cores
    path = place / "run.toml"
    write_whole(path, run_toml(work, place, base).encode())
    return train_on_cores(read_settings(path), _Losses(work, place)).done


def run_toml(work: Work, place: Path, base: Path) -> str:
    """The trainer's settings."""
    settings, looks, pictures = work.recipe.capface, work.recipe.looks, work.recipe.pictures
    earlier = work.earlier("capface")
    given = settings.start or ("" if earlier is None else str(earlier / EXPORTED))
    sections: dict[str, dict[str, Any]] = {
        "run": {"folder": str(place / "run"), "seed": pictures.seed, "steps": settings.steps},
        "start": {"base": str(base), "capface": given, "scale_hint": not given, "scale_identity": not given},
        "data": {"shards": str(place / "shards"), "held_out": settings.held_out, "flip_probability": 0.5,
                 "plain_skin_probability": settings.plain_skin_probability, "references": _evenly_lit(pictures.even_light),
                 "workers": 0},
        "batch": {"size": settings.batch, "accumulate": 1},
        "loss": {name: asdict(settings)[name] for name in ("mask_weight", "min_snr_gamma", "snr_power", "text_dropout",
                                                           "identity_dropout", "soft_gate_steps")},
        "optimizer": {"lr": settings.lr, "eps": settings.eps, "clip_norm": 1.0},
        "schedule": {"name": "cosine", "warmup_steps": min(100, settings.steps // 2), "final_share": 0.1},
        "average": {"decay": 0.998}, "compute": {"precision": "fp32", "text_cache_mb": 512},
        "checkpoints": {"every": looks.save_every, "keep": 1},
        "log": {"every": looks.log_every, "held_out_every": looks.sheet_every or settings.steps,
                "pictures_every": looks.sheet_every, "pictures": 6, "picture_cfg": 3.0}}
    return "\n".join(line for name, values in sections.items()
                     for line in (f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""))


def _evenly_lit(count: int) -> str:
    """Which keys are those of a person's pictures under even light."""
    return rf"/({'|'.join(map(str, range(count)))})\.png$" if count else ""


class _Losses:
    """The trainer's entries as lines of the stage's loss.tsv, like those of the other stages."""

    def __init__(self, work: Work, place: Path) -> None:
        self.work, self.path, self.seconds = work, place / LOSSES, 0.0
        self.rows = self.path.read_text(encoding="utf-8").splitlines()[1:] if self.path.is_file() else []
        if self.rows:
            self.seconds = float(self.rows[-1].split("\t")[5])

    def __call__(self, entry: dict[str, float], step: int) -> None:
        speed, looks = entry["samples a second"], self.work.recipe.looks
        self.seconds += looks.log_every * self.work.recipe.capface.batch / max(speed, 1e-9)
        self.rows = [row for row in self.rows if int(row.split("\t")[0]) < step]
        loss = entry["loss/noise"] + entry["loss/mask"]
        self.rows.append(f"{step}\t{loss:.6f}\t{entry.get('gradient norm', 0):.4f}\t{entry['learning rate']:.2e}\t{speed:.2f}\t"
                         f"{self.seconds:.0f}\t{entry['loss/noise']:.6f}\t{entry['loss/mask']:.6f}\t{entry['mask closed']:.4f}")
        head = "step\tloss\tgradient norm\tlr\tsamples/s\tseconds\tnoise\tmask\tmask closed\n"
        self.path.write_text(head + "\n".join(self.rows) + "\n", encoding="utf-8")
        self.work.say(f"capface: step {step:,} of {self.work.recipe.capface.steps:,}, noise {entry['loss/noise']:.4f}, mask "
                      f"{entry['loss/mask']:.4f}, {speed:.1f} samples/s")


def _command(*arguments: str, fine: tuple[int, ...] = (0,)) -> None:
    """A command of the trainer's command line, in this process."""
    from ..cli import main
    status = main(arguments)
    if status not in fine:
        fail(f"the trainer's command '{arguments[0]}'", "must end well", f"status {status}", "see what it said above")
