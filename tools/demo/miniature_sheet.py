"""The miniature's contact sheet: photo and fit at the left, then a row for each head: hint, mask, and what was sampled."""
from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageOps

from caphuman_train.miniature.files import SAID

from ..sheet import INK, PAPER, QUIET, RULE, WARN, font

TILE, GAP, EDGE, HEAD, LINE = 256, 16, 40, 150, 60
COLUMNS = {"hint": ("Head", "the hint, under its light"), "mask": ("Predicted face mask", "where CapFace acts"),
           "picture": ("Sampled", "this head, this person"), "other person": ("Another person", "same head, other photo"),
           "other style": ("Another base model", "the same CapFace")}
LEFT = {"Face taken": "Photo", "Fitted head over the photo": "Its fitted head", "other photo": "Another person's photo",
        "without CapFace": "Same seed, no CapFace"}


def make(pictures: Mapping[tuple[str, str], bytes], rows: Sequence[str], line: str, style: str) -> Image.Image:
    """pictures: encoded ones by (row, column), the left column's by ("", name). line: below the title.
    style: of the second base model."""
    step = TILE + GAP
    size = (2 * EDGE + step * (1 + len(COLUMNS)), HEAD + LINE + max(len(rows), len(LEFT)) * (step + LINE - GAP))
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    _header(draw, size[0], line)
    top = HEAD + LINE
    for number, (name, title) in enumerate(LEFT.items()):
        _tile(sheet, draw, pictures["", name], (EDGE, top + number * (step + LINE - GAP)), title)
    for column, (name, (title, about)) in enumerate(COLUMNS.items()):
        x = EDGE + GAP + (column + 1) * step
        draw.text((x, HEAD + 4), title, font=font(21, bold=True), fill=INK)
        draw.text((x, HEAD + 31), f"{about} ({style})" if name == "other style" else about, font=font(16), fill=QUIET)
        for number, row in enumerate(rows):
            _tile(sheet, draw, pictures[row, name], (x, top + number * (step + LINE - GAP)), row if column == 0 else "")
    return sheet


def _header(draw: ImageDraw.ImageDraw, width: int, line: str) -> None:
    draw.text((EDGE, 28), "CapHuman: one photo, the head at will", font=font(38, bold=True), fill=INK)
    draw.text((EDGE, 86), line, font=font(19), fill=QUIET)
    words = font(19, bold=True)
    long = draw.textlength(SAID, font=words)
    right = width - EDGE
    draw.rounded_rectangle((right - long - 36, 76, right, 116), 20, fill="#fbe9dc", outline=WARN, width=2)
    draw.text((right - long - 18, 96), SAID, font=words, fill=WARN, anchor="lm")
    draw.line((EDGE, HEAD - 14, right, HEAD - 14), fill=RULE, width=2)


def _tile(sheet: Image.Image, draw: ImageDraw.ImageDraw, content: bytes, corner: tuple[int, int], title: str) -> None:
    picture = ImageOps.contain(Image.open(io.BytesIO(content)).convert("RGB"), (TILE, TILE), Image.Resampling.LANCZOS)
    sheet.paste(picture, corner)
    x, y = corner
    draw.rectangle((x - 1, y - 1, x + picture.width, y + picture.height), outline=RULE, width=1)
    draw.text((x, y + TILE + 5), title, font=font(19, bold=True), fill=INK)
