"""The contact sheet: of each sample the target, what CLIP sees of the reference, the hint on the target, the mask, the caption."""
from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from caphuman_core.pixels import image_of
from caphuman_core.render.maps import render
from caphuman_core.render.overlay import blend_over
from caphuman_core.render.strip import INK, PAPER

from ..data.shards import Shards
from ..data.webp import decoded

if TYPE_CHECKING:
    from PIL.Image import Image

    from caphuman_core.head.model.head_model import HeadModel

SIDE = 144                               # pixels of a small picture's height
GAP, LINE, LINES = 4, 13, 3              # pixels; of a caption
DIMMED = 0.35                            # of what the mask leaves out


def contact_sheet(shards: Shards, chosen: Sequence[int], model: HeadModel, columns: int = 3) -> Image:
    """The chosen samples, some in a row."""
    from PIL import Image as Pil
    cells = [cell(shards, index, model) for index in chosen]
    columns = min(columns, len(cells))
    wide, tall = max(one.width for one in cells), max(one.height for one in cells)
    rows = -(-len(cells) // columns)
    sheet = Pil.new("RGB", (columns * (wide + 3 * GAP) + GAP, rows * (tall + 3 * GAP) + GAP), PAPER)
    for number, one in enumerate(cells):
        sheet.paste(one, (GAP + number % columns * (wide + 3 * GAP), GAP + number // columns * (tall + 3 * GAP)))
    return sheet


def cell(shards: Shards, index: int, model: HeadModel) -> Image:
    """Four pictures of a sample side by side, its caption below."""
    from PIL import Image as Pil
    from PIL import ImageDraw, ImageFont
    target = shards.record(index)
    others = shards.others(index)
    reference = shards.record(others[0]) if others else target
    photo = decoded(target.photo)[None] / 255
    drawn = render(target.head, model, target.head.width, target.head.height)
    mask = functional.interpolate(target.face_target[None], photo.shape[2:], mode="nearest")
    pictures = [photo, decoded(reference.face)[None] / 255, blend_over(photo, drawn), photo * (DIMMED + (1 - DIMMED) * mask)]
    small = [_small(picture[0]) for picture in pictures]
    wide = sum(picture.width + GAP for picture in small) - GAP
    made = Pil.new("RGB", (wide, SIDE + LINE * LINES + GAP), PAPER)
    left = 0
    for picture in small:
        made.paste(picture, (left, 0))
        left += picture.width + GAP
    _write(ImageDraw.Draw(made), ImageFont.load_default(size=11), target.key, target.text, wide)
    return made


def _small(picture: Tensor) -> Image:
    from PIL import Image as Pil
    whole = image_of(picture)
    return whole.resize((max(1, round(whole.width * SIDE / whole.height)), SIDE), Pil.Resampling.LANCZOS)


def _write(draw, font, key: str, text: str, wide: int) -> None:
    """The key, and the caption cut to what has room."""
    letters = max(8, wide // 6)
    lines = [f"{key}"[:letters], *(textwrap.wrap(text, letters)[:LINES - 1] or ["(no caption)"])]
    for number, line in enumerate(lines):
        shown = "".join(letter if letter.isprintable() else "?" for letter in line)
        draw.text((0, SIDE + 2 + number * LINE), shown, fill=INK if number else (150, 160, 170), font=font)


def spread(count: int, most: int, seed: int = 0) -> list[int]:
    """At most `most` of `count` samples, chosen at random but the same every time, in order."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return sorted(order[:most].tolist())
