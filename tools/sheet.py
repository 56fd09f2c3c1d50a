"""Sheets of captioned pictures: gallery, contact sheet, thumbnails and the pictures of the pages are laid out with these."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

PAPER, INK, QUIET, RULE, WARN = "#f6f4ef", "#22262b", "#6d7278", "#d9d4c8", "#a8480f"
Tile = tuple[Image.Image, str]               # picture, caption


@dataclass(frozen=True)
class Look:
    """How a grid looks. Sizes are pixels."""

    ground: str = PAPER
    ink: str = QUIET
    gap: int = 14                            # between tiles
    rim: int = 14                            # around the sheet
    letters: int = 19                        # of captions
    title: int = 32                          # letters of the title


def grid(rows: Sequence[Sequence[Tile]], look: Look, title: str = "") -> Image.Image:
    """Rows of tiles from left to right, each tile's caption centred below it; no room is kept where there are no captions."""
    below = look.letters * 9 // 5 if any(caption for row in rows for _, caption in row) else 0
    top = look.rim + (look.title * 15 // 8 if title else 0)
    width = max(sum(tile.width + look.gap for tile, _ in row) - look.gap for row in rows)
    height = sum(max(tile.height for tile, _ in row) + below + look.gap for row in rows) - look.gap
    sheet = Image.new("RGB", (width + 2 * look.rim, top + height + look.rim), look.ground)
    draw, y = ImageDraw.Draw(sheet), top
    if title:
        draw.text((look.rim, look.rim), title, font=font(look.title, bold=True), fill=INK)
    for row in rows:
        x = look.rim
        for tile, caption in row:
            sheet.paste(tile, (x, y))
            draw.text((x + tile.width / 2, y + tile.height + below // 5), caption, look.ink, font(look.letters), "ma")
            x += tile.width + look.gap
        y += max(tile.height for tile, _ in row) + below + look.gap
    return sheet


def picture(pixels: Any) -> Image.Image:
    """A tensor [3, H, W] or [H, W] of 0..1 as a picture."""
    from caphuman_core.pixels import image_of
    return image_of(pixels if pixels.dim() == 3 else pixels.expand(3, -1, -1))


def to_height(tile: Image.Image, height: int) -> Image.Image:
    """The same picture, so many pixels high."""
    return tile.resize((round(tile.width * height / tile.height), height), Image.Resampling.LANCZOS)


@cache
def font(size: int, bold: bool = False) -> Any:
    """DejaVu Sans, which matplotlib brings along on every system."""
    import matplotlib
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf"), size)
