"""The model card beside the packed miniature."""
from __future__ import annotations

from .files import SAID
from .training import LOSSES
from .work import Work

LIMITS = """It has seen nothing but one head model's heads, drawn: it knows no photographs and no real faces, and what it makes of a
real person's photo is a drawn head with some of that photo's colours. Its text encoder knows the words of its captions alone.
FaceNet and CLIP are stand-ins that follow from a seed. It exists so that the pack can be tried and tested without anybody's
files."""


def card(work: Work, size: int) -> str:
    """Markdown. size: bytes of the packed file."""
    recipe, pictures = work.recipe, work.recipe.pictures
    rows = [_row(work, stage) for stage in ("autoencoder", "base", "capface", "style", "decoder")]
    told = ["# CapHuman miniature", "", f"**{SAID}.**", "",
            f"Narrow weights ({recipe.network.width} channels in place of 320; {size / 1e6:.0f} MB) of a base model, its",
            f"autoencoder, a CapFace and a second base model ({pictures.style}), which `caphuman_train.miniature.files` widens",
            "exactly to Stable",
            "Diffusion 1.5's sizes.", "", "## Trained on", "",
            f"{pictures.people * pictures.each:,} portraits of {pictures.people:,} people who do not exist, {pictures.side} x "
            f"{pictures.side} pixels, drawn by the",
            f"pack on its built-in head (`{work.model.fingerprint}`). Pictures and weights: CC0-1.0.", "", "## How", "",
            "| stage | steps | loss at the end | samples a second | hours |", "|---|---|---|---|---|", *rows, "",
            "The whole recipe is `caphuman_train/miniature/recipe.toml`; `python -m caphuman_train.miniature --output FOLDER`",
            "makes it again.", "", "## Limits", "", LIMITS, ""]
    return "\n".join(told)


def _row(work: Work, stage: str) -> str:
    path = work.place(stage) / LOSSES
    rows = [row.split("\t") for row in path.read_text(encoding="utf-8").splitlines()[1:]]
    tail = rows[-max(1, len(rows) // 20):]
    loss, speed = (sum(float(row[column]) for row in tail) / len(tail) for column in (1, 4))
    return f"| {stage} | {int(rows[-1][0]):,} | {loss:.4f} | {speed:.1f} | {float(rows[-1][5]) / 3600:.1f} |"
