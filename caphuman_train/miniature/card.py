"""The model card beside the packed miniature."""
from __future__ import annotations

from .files import SAID, SAMPLING
from .training import LOSSES
from .work import Work

LIMITS = """It has seen nothing but one head model's heads, drawn: it knows no photographs and no real faces, and what it makes of a
real person's photo is a drawn head with some of that photo's colours. Its text encoder knows the words of its captions alone.
FaceNet and CLIP are stand-ins that follow from a seed. It exists so that the pack can be tried and tested without anybody's
files."""
SHARES = (0.05, 0.2, 0.4, 0.6, 0.8, 1.0)         # of a stage's steps, whose losses are told


def card(work: Work, size: int) -> str:
    """Markdown. size: bytes of the packed file."""
    recipe, pictures = work.recipe, work.recipe.pictures
    rows = [_row(work, stage) for stage in ("autoencoder", "base", "capface", "style", "points", "decoder")]
    told = ["# CapHuman miniature", "", f"**{SAID}.**", "",
            f"Narrow weights ({recipe.network.width} channels in place of 320; {size / 1e6:.0f} MB) of a base model, its",
            f"autoencoder, a CapFace, a second base model ({pictures.style}) and a ControlNet of landmarks, which",
            "`caphuman_train.miniature.files` widens exactly to Stable Diffusion 1.5's sizes.", "",
            "Sampled best with {sampler_name}, {scheduler}, {steps} steps, CFG {cfg:g}.".format(**SAMPLING), "",
            "## Trained on", "",
            f"{pictures.people * pictures.each:,} portraits of {pictures.people:,} people who do not exist, {pictures.side} x "
            f"{pictures.side} pixels, drawn by the",
            f"pack on its built-in head (`{work.model.fingerprint}`). Pictures and weights: CC0-1.0.", "", "## How", "",
            f"| stage | steps | samples a second | hours | loss after {' | '.join(f'{share:.0%}' for share in SHARES)} |",
            "|---" * (4 + len(SHARES)) + "|", *rows, "", "Losses are means over a twentieth of the steps before.", "",
            "The whole recipe is `caphuman_train/miniature/recipe.toml`; `python -m caphuman_train.miniature --output FOLDER`",
            "makes it again.", "", "## Limits", "", LIMITS, ""]
    return "\n".join(told)


def _row(work: Work, stage: str) -> str:
    path = work.place(stage) / LOSSES
    if not path.is_file():
        return f"| {stage} | as it was unpacked |{' |' * (2 + len(SHARES))}"
    rows = [[float(one) for one in row.split("\t")] for row in path.read_text(encoding="utf-8").splitlines()[1:]]
    few, steps, seconds = max(1, len(rows) // 20), rows[-1][0], rows[-1][5]
    speed = sum(row[4] for row in rows) / len(rows)
    losses = []
    for share in SHARES:
        end = max(few, round(share * len(rows)))
        losses.append(f"{sum(row[1] for row in rows[end - few:end]) / few:.4f}")
    return f"| {stage} | {steps:,.0f} | {speed:.1f} | {seconds / 3600:.1f} | {' | '.join(losses)} |"
