"""The demo's story on one sheet, left to right: photo, fit, maps, edits, mask, picture, timings."""
from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageOps

from ..sheet import INK, PAPER, QUIET, RULE, WARN, font

GAP = 26                                    # between panels
EDGE = 48                                   # around the sheet
CAPTION = 68                                # below each panel
HEAD = 122                                  # title strip
SMALL = 320                                 # height of a picture where three are stacked
LARGE = (3 * SMALL + CAPTION + GAP) // 2    # height of a picture where two are stacked: the columns end alike
MAPS = {"Normals": "where the skin faces", "Albedo": "skin without light", "Shaded": "skin under the light"}
STAGES = {                                  # rows of the timings: the classes of nodes in each
    "Find faces": ("CapHumanLoadFaceDetector", "CapHumanDetectFaces"),
    "Fit head": ("CapHumanLoadHeadModel", "CapHumanFitHeadLandmarks"),
    "Edit head, four times": ("CapHumanEditHead",),
    "Render head, four times": ("CapHumanRenderHead",),
    "Read identity": ("CapHumanLoadIdentityEncoder", "CLIPVisionLoader", "CapHumanEncodeIdentity"),
    "Load networks": ("CheckpointLoaderSimple", "CapHumanLoadCapFace"),
    "Encode prompt": ("CLIPTextEncode",),
    "Apply CapFace": ("CapHumanApplyCapFace",),
    "Sample": ("KSampler",),
    "Decode": ("VAEDecode",),
}
TABLE = 420                                 # width of the timings


@dataclass(frozen=True)
class Panel:
    """One picture with its number in the story, title and one line of explanation."""

    picture: Image.Image
    title: str
    line: str = ""


def make(prompt: dict[str, Any], previews: Sequence[str], result: Any, captions: Sequence[str], noise: bool) -> Image.Image:
    """The sheet for a finished run of the demo's prompt.

    previews: ids of the edited heads' preview nodes, captions: what was edited; result.images holds encoded pictures and
    result.seconds times by node id; noise: the sampled picture comes from untrained networks.
    """
    found = {entry.get("_meta", {}).get("title", ""): node for node, entry in prompt.items()}

    def picture(title: str) -> Image.Image:
        return _decode(result.images[found[title]][0])
    width, height = picture("Shaded").size
    sampled = Panel(picture("Portrait"), "6  Sampled picture", "noise: untrained" if noise else
                    f"{width} x {height}, Stable Diffusion 1.5 + CapFace")
    maps = [picture(title) for title in MAPS]
    heads = [_decode(result.images[node][0]) for node in previews]
    drawn_boxes = [drawn.getbbox() for drawn in maps + heads]
    box = _square_around(_union([found for found in drawn_boxes if found]), maps[0].size, 0.06)
    photo, fitted = picture("Face taken"), picture("Fitted head over the photo")
    columns = [
        [Panel(photo, "1  Photo", "faces found and numbered"),
         Panel(fitted.crop(_square_around(ImageChops.difference(fitted, photo).getbbox(), fitted.size, 0.2)), "2  Fitted head",
               "the 3D head, laid over the photo")],
        [Panel(drawn.crop(box), f"3  {title}", line) for drawn, (title, line) in zip(maps, MAPS.items(), strict=True)],
        [Panel(drawn.crop(box), "4  Edited head", caption) for drawn, caption in zip(heads, captions, strict=True)],
        [Panel(picture("Predicted face mask"), "5  Predicted face mask", "noise: untrained" if noise else "where CapFace acts"),
         sampled],
    ]
    return _lay_out(columns, _timings(prompt, result), noise)


Box = tuple[int, int, int, int]


def _union(boxes: Sequence[Box]) -> Box | None:
    if not boxes:
        return None
    left, top, right, bottom = (pick(side) for pick, side in zip((min, min, max, max), zip(*boxes, strict=True), strict=True))
    return left, top, right, bottom


def _square_around(box: Box | None, size: tuple[int, int], margin: float) -> Box:
    """A square with the box in its middle and a margin in shares of its side; moved inside the picture where it fits."""
    width, height = size
    if box is None:
        return 0, 0, width, height
    left, top, right, bottom = box
    side = min(round(max(right - left, bottom - top) * (1 + 2 * margin)), max(width, height))
    x, y = (left + right - side) // 2, (top + bottom - side) // 2
    x, y = max(0, min(x, width - side)), max(0, min(y, height - side))
    return x, y, x + side, y + side


def _decode(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def _timings(prompt: dict[str, Any], result: Any) -> list[tuple[str, float]]:
    """Seconds by stage, in the order of the story."""
    rows = [(name, sum(result.seconds.get(node, 0.0) for node, entry in prompt.items() if entry["class_type"] in classes))
            for name, classes in STAGES.items()]
    return [*rows, ("Everything", result.total_seconds)]


def _lay_out(columns: list[list[Panel]], timings: list[tuple[str, float]], noise: bool) -> Image.Image:
    heights = [LARGE if len(column) == 2 else SMALL for column in columns]
    widths = [max(min(_width_at(panel.picture, height), 3 * height // 2) for panel in column)
              for column, height in zip(columns, heights, strict=True)]
    size = (2 * EDGE + sum(widths) + len(widths) * GAP + GAP + TABLE, HEAD + 2 * EDGE + 2 * (LARGE + CAPTION) + GAP)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    _header(draw, sheet.width, noise)
    x = EDGE
    for column, width, height in zip(columns, widths, heights, strict=True):
        for row, panel in enumerate(column):
            _panel(sheet, draw, panel, (x, HEAD + EDGE + row * (height + CAPTION + GAP), width, height))
        x += width + GAP
    _table(draw, timings, (x + GAP, HEAD + EDGE), TABLE)
    return sheet


def _width_at(picture: Image.Image, height: int) -> int:
    return round(picture.width * height / picture.height)


def _header(draw: ImageDraw.ImageDraw, width: int, noise: bool) -> None:
    draw.text((EDGE, 42), "CapHuman: one photo, the head at will", font=font(44, bold=True), fill=INK)
    draw.line((EDGE, HEAD, width - EDGE, HEAD), fill=RULE, width=2)
    if noise:
        text = "UNTRAINED stand-in networks: 1-4 are real, 5 and 6 are noise"
        right, size = width - EDGE, draw.textlength(text, font=font(26, bold=True))
        draw.rounded_rectangle((right - size - 52, 42, right, 96), 27, fill="#fbe9dc", outline=WARN, width=2)
        draw.text((right - size - 26, 69), text, font=font(26, bold=True), fill=WARN, anchor="lm")


def _panel(sheet: Image.Image, draw: ImageDraw.ImageDraw, panel: Panel, box: tuple[int, int, int, int]) -> None:
    x, y, width, height = box
    picture = ImageOps.contain(panel.picture, (width, height), Image.Resampling.LANCZOS)
    sheet.paste(picture, (x, y))
    draw.rectangle((x - 1, y - 1, x + picture.width, y + picture.height), outline=RULE, width=1)
    below = y + picture.height + 10
    draw.text((x, below), panel.title, font=font(26, bold=True), fill=INK)
    draw.text((x, below + 34), panel.line, font=font(20), fill=QUIET)


def _table(draw: ImageDraw.ImageDraw, rows: list[tuple[str, float]], corner: tuple[int, int], width: int) -> None:
    x, y = corner
    draw.text((x, y), "7  Timings", font=font(26, bold=True), fill=INK)
    y += 58
    for name, seconds in rows:
        last = name == rows[-1][0]
        if last:
            draw.line((x, y, x + width, y), fill=QUIET, width=2)
            y += 14
        figure = f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
        draw.text((x, y), name, font=font(23, bold=last), fill=INK)
        draw.text((x + width, y), figure, font=font(23, bold=last), fill=INK, anchor="ra")
        y += 48
