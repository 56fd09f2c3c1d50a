"""The recipe: one TOML file that decides everything the miniature is."""
from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..train.settings import setting
from ..train.toml_file import read_tables, sections_of

DEFAULT = Path(__file__).with_name("recipe.toml")
STYLES = ("ink", "poster")
KINDS = ("fp16", "int8")
MULTIPLE = 64                                    # pixels: latents are halved three times


@dataclass(frozen=True)
class Pictures:
    seed: int = setting(0, "All people and pictures follow from it.", 0, 2**31 - 1)
    side: int = setting(128, "Pixels of width and height, a multiple of 64.", 64, 512)
    people: int = setting(800, "Who is drawn.", 2)
    each: int = setting(4, "Pictures of a person: the reference is never the target.", 2)
    even_light: int = setting(2, "Of these, how many are lit as photos for a passport are. A reference under any light tells "
                                 "little of a skin (correlation by ridge regression: 0.74; under an even one 0.96).", 0)
    style: str = setting("ink", "What the second base model draws.", one_of=STYLES)


@dataclass(frozen=True)
class Start:
    folder: str = setting("", "The output of an earlier miniature whose weights all stages go on from, at a larger size say.")


@dataclass(frozen=True)
class Network:
    width: int = setting(32, "Channels of the UNet's first level, in place of 320.", 32, 320)


@dataclass(frozen=True)
class Autoencoder:
    steps: int = setting(9000, "Optimizer steps.", 1)
    batch: int = setting(4, "Pictures in a step.", 1)
    crop: int = setting(64, "Pixels of the squares it learns from.", 16, 512)
    whole_share: float = setting(0.1, "Of the steps, at the end, that see whole pictures.", 0, 1)
    lr: float = setting(8e-5, "Learning rate, after the warm-up.", 0)
    kl: float = setting(2e-4, "Weight of the latents' divergence from a normal distribution, per number.", 0)
    styled_share: float = setting(0.15, "Of the pictures that are seen in the second style.", 0, 1)


@dataclass(frozen=True)
class Base:
    steps: int = setting(8000, "Optimizer steps.", 1)
    batch: int = setting(16, "Pictures in a step.", 1)
    lr: float = setting(4e-4, "Learning rate, after the warm-up.", 0)
    min_snr_gamma: float = setting(1.0, "As `loss.min_snr_gamma` of the trainer: else the error of the fine grain outweighs that "
                                        "of the whole.", 0)
    text_dropout: float = setting(0.1, "Chance that a caption is left out: guidance needs it.", 0, 1)


@dataclass(frozen=True)
class CapFace:
    start: str = setting("", "A CapFace file to go on from. Empty: anew, or from the same stage of start.folder.")
    steps: int = setting(20000, "Optimizer steps.", 1)
    batch: int = setting(16, "Pictures in a step.", 1)
    lr: float = setting(4e-4, "Learning rate, after the warm-up.", 0)
    eps: float = setting(1e-12, "See `optimizer.eps` of the trainer: half of the gradients are below its 1e-8.", 0)
    held_out: int = setting(32, "Pictures kept out, of people who are in no other.", 0)
    plain_skin_probability: float = setting(0.8, "See `data.plain_skin_probability` of the trainer.", 0, 1)
    mask_weight: float = setting(1.0, "See `loss.mask_weight` of the trainer.", 0)
    min_snr_gamma: float = setting(0.0, "See `loss.min_snr_gamma` of the trainer.", 0)
    snr_power: float = setting(-0.5, "See `loss.snr_power` of the trainer.", -1, 0)
    soft_gate_steps: int = setting(300, "See `loss.soft_gate_steps` of the trainer.", 0)
    text_dropout: float = setting(0.1, "See `loss.text_dropout` of the trainer.", 0, 1)
    identity_dropout: float = setting(0.05, "See `loss.identity_dropout` of the trainer.", 0, 1)


@dataclass(frozen=True)
class Style:
    steps: int = setting(1200, "Optimizer steps from the base model on.", 1)
    batch: int = setting(16, "Pictures in a step.", 1)
    lr: float = setting(1e-4, "Learning rate, after the warm-up.", 0)


@dataclass(frozen=True)
class Points:
    steps: int = setting(700, "Optimizer steps from a copy of the base model's encoder on.", 1)
    batch: int = setting(16, "Pictures in a step.", 1)
    lr: float = setting(4e-4, "Learning rate, after the warm-up.", 0)
    snr_power: float = setting(-0.5, "See `loss.snr_power` of the trainer.", -1, 0)


@dataclass(frozen=True)
class Decoder:
    steps: int = setting(2400, "Optimizer steps, of the autoencoder's second half alone.", 1)
    batch: int = setting(8, "Pictures in a step.", 1)
    crop: int = setting(64, "Pixels of the squares it learns from.", 16, 512)
    whole_share: float = setting(0.15, "Of the steps, at the end, that see whole pictures.", 0, 1)
    lr: float = setting(3e-4, "Learning rate, after the warm-up.", 0)
    styled_share: float = setting(0.3, "Of the pictures that are seen in the second style.", 0, 1)


@dataclass(frozen=True)
class Pack:
    base: str = setting("fp16", "How the base model's UNet is kept.", one_of=KINDS)
    style: str = setting("int8", "How the second UNet's difference from it is kept.", one_of=KINDS)
    capface: str = setting("fp16", "How CapFace is kept.", one_of=KINDS)
    points: str = setting("int8", "How the ControlNet of landmarks is kept.", one_of=KINDS)
    autoencoder: str = setting("fp16", "How the autoencoder is kept.", one_of=KINDS)


@dataclass(frozen=True)
class Looks:
    """What is seen on the way; it changes no number."""

    log_every: int = setting(20, "Steps between lines of a stage's loss.tsv.", 1, affects=False)
    save_every: int = setting(200, "Steps between checkpoints: what a kill can cost.", 1, affects=False)
    sheet_every: int = setting(500, "Steps between sample sheets. 0: none.", 0, affects=False)


@dataclass(frozen=True)
class Recipe:
    """A whole recipe.toml; each section is a table of it."""

    pictures: Pictures = field(default_factory=Pictures)
    start: Start = field(default_factory=Start)
    network: Network = field(default_factory=Network)
    autoencoder: Autoencoder = field(default_factory=Autoencoder)
    base: Base = field(default_factory=Base)
    capface: CapFace = field(default_factory=CapFace)
    style: Style = field(default_factory=Style)
    points: Points = field(default_factory=Points)
    decoder: Decoder = field(default_factory=Decoder)
    pack: Pack = field(default_factory=Pack)
    looks: Looks = field(default_factory=Looks)


def read_recipe(path: Path) -> Recipe:
    """A checked recipe. InputError for whatever does not fit."""
    from caphuman_core.check import require
    recipe = Recipe(**sections_of(Recipe, read_tables(path)))
    side, width = recipe.pictures.side, recipe.network.width
    require(side % MULTIPLE == 0, "setting pictures.side", f"must be a multiple of {MULTIPLE}", side, "take 128 or 256")
    for name, crop in (("autoencoder", recipe.autoencoder.crop), ("decoder", recipe.decoder.crop)):
        require(crop % 8 == 0 and crop <= side, f"setting {name}.crop", "must be a multiple of 8 up to pictures.side", crop,
                "take 64")
    require(320 % width == 0 and width % 32 == 0, "setting network.width", "must be 32, 64, 160 or 320", width, "take 32")
    return recipe


def told(*sections: Any) -> dict[str, Any]:
    """Settings of some sections, by name: what a stage's result depends on."""
    return {f"{type(section).__name__.lower()}.{name}": value for section in sections for name, value in asdict(section).items()}
