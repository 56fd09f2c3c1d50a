"""The grammar of captions, and what its words look like: what the text decides and CapFace does not."""
from __future__ import annotations

from dataclasses import dataclass

import torch

Colour = tuple[float, float, float]              # red, green, blue of 0..1

HAIR_COLOURS: dict[str, Colour] = {
    "black": (0.035, 0.03, 0.03), "brown": (0.17, 0.10, 0.06), "blond": (0.62, 0.46, 0.22), "red": (0.45, 0.13, 0.05),
    "grey": (0.42, 0.42, 0.43), "white": (0.80, 0.79, 0.76)}
SHIRT_COLOURS: dict[str, Colour] = {
    "black": (0.05, 0.05, 0.06), "white": (0.86, 0.86, 0.85), "red": (0.68, 0.07, 0.08), "green": (0.10, 0.42, 0.16),
    "blue": (0.09, 0.19, 0.58), "yellow": (0.86, 0.70, 0.10), "purple": (0.38, 0.12, 0.48), "orange": (0.86, 0.40, 0.06),
    "pink": (0.88, 0.50, 0.60), "grey": (0.42, 0.43, 0.45)}
GROUND_COLOURS: dict[str, Colour] = {
    "black": (0.06, 0.06, 0.07), "white": (0.93, 0.93, 0.92), "red": (0.62, 0.14, 0.13), "green": (0.24, 0.50, 0.28),
    "blue": (0.24, 0.40, 0.72), "yellow": (0.88, 0.78, 0.34), "purple": (0.45, 0.26, 0.56), "orange": (0.88, 0.54, 0.22),
    "pink": (0.90, 0.66, 0.72), "grey": (0.52, 0.53, 0.55)}
CUTS = ("short", "curly", "long", "bald")        # of hair, as `caphuman_core.head.options.HAIR_STYLES` calls them
GROUNDS = ("plain", "soft", "blurred")           # one colour; a gradient; patches out of focus
MEDIA = ("photo", "grey photo")


@dataclass(frozen=True)
class Look:
    """What a caption names."""

    cut: str                                     # of CUTS
    hair: str                                    # of HAIR_COLOURS
    shirt: str                                   # of SHIRT_COLOURS
    ground: str                                  # of GROUND_COLOURS
    ground_kind: str                             # of GROUNDS
    medium: str                                  # of MEDIA
    order: tuple[int, int, int] = (0, 1, 2)      # in which the caption names hair, shirt and background

    @property
    def caption(self) -> str:
        """As people would prompt it; each colour stands just before what has it."""
        hair = "no hair" if self.cut == "bald" else f"{self.cut} {self.hair} hair"
        ground = self.ground if self.ground_kind == "plain" else f"{self.ground_kind} {self.ground}"
        clauses = (hair, f"{article(self.shirt)} {self.shirt} shirt", f"{article(ground)} {ground} background")
        return f"{self.medium} of a person, " + ", ".join(clauses[index] for index in self.order)


def article(word: str) -> str:
    """a or an."""
    return "an" if word[0] in "aeiou" else "a"


def draw_look(source: torch.Generator) -> Look:
    """Every word as likely as the others of its kind; one picture in eight without hair, one in eight grey."""
    def pick(names: list[str] | tuple[str, ...]) -> str:
        return names[int(torch.randint(len(names), (), generator=source))]
    cut = CUTS[-1] if float(torch.rand((), generator=source)) < 1 / 8 else pick(CUTS[:-1])
    hair, shirt, ground, kind = (pick(list(HAIR_COLOURS)), pick(list(SHIRT_COLOURS)), pick(list(GROUND_COLOURS)), pick(GROUNDS))
    medium = MEDIA[1] if float(torch.rand((), generator=source)) < 1 / 8 else MEDIA[0]
    first, second, third = torch.randperm(3, generator=source).tolist()
    return Look(cut, hair, shirt, ground, kind, medium, (first, second, third))
