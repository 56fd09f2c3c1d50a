"""Sizes and places, in the pixels of the frontend's canvas: x to the right, y down; a node's title stands above its `pos`."""
from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from .node import Node

TITLE, SOCKET, WIDGET = 30, 20, 24                  # of a node in the frontend's classic look
WIDTH, WIDE, NOTE_WIDTH = 320, 420, 340
GAP, COLUMN_GAP, GROUP_GAP, MARGIN = 56, 50, 60, 24   # between nodes, columns and groups; inside a group's frame
FOLDED_GAP = 24                                     # below a folded node
HEADER = 54                                         # of a group's title
WINDOW = (1400, 820)                                # a workflow opens at a scale at which this shows all of it,
BESIDE = (75, 70)                                   # pixels that the frontend's bars take, left and above
LEAST_SCALE = 0.5                                   # but not at one at which nothing can be read
NOTE_LINE, NOTE_LETTER, NOTE_FRAME = 14, 5.7, 60    # of a note's text
PICTURE = 300

# Room that the frontend adds below sockets and widgets: (width, more height).
ROOMY: dict[str, tuple[int, int]] = {
    "CapHumanLoadPhoto": (WIDTH, PICTURE), "PreviewImage": (WIDTH, PICTURE), "MaskPreview": (WIDTH, PICTURE),
    "SaveImage": (WIDE, 440), "CLIPTextEncode": (WIDE, 90), "PreviewAny": (WIDTH, 90), "TextOverlay": (WIDTH, 60),
    "SaveGLB": (WIDTH, 320), "CapHumanLoadVideo": (WIDTH, PICTURE + 30),
    "SaveVideo": (WIDE, PICTURE), "SaveAnimatedWEBP": (WIDE, 440),
    "CapHumanEncodeIdentity": (WIDTH, 240), "CapHumanApplyCapFace": (360, 20),
    "CapHumanLoadCLIPVision": (420, 0), "CapHuman Photo to Person": (360, 0), "CapHuman Portrait": (400, 160),
}


FIXED = {"CapHumanEditHead": (400, 900)}             # the editor stands in the place of its many widgets


def size(kind: str, sockets: int, outputs: int, widgets: int) -> tuple[int, int]:
    """A node's size: its rows, as the frontend counts them, and the room its kind needs for pictures and texts."""
    if kind in FIXED:
        return FIXED[kind]
    width, more = ROOMY.get(kind, (WIDTH, 0))
    rows = SOCKET * max(sockets, outputs, 1) + 6 + (WIDGET * widgets + 8 if widgets else 0)
    return width, rows + more


def note_height(text: str, width: int) -> int:
    """About as high as its Markdown is when drawn."""
    letters = (width - 50) / NOTE_LETTER
    lines = 0.0
    for line in text.split("\n"):
        heading = len(line) - len(line.lstrip("#"))
        if not line.strip():
            lines += 0.6
        elif heading:
            lines += 2.6 - 0.4 * heading
        else:
            lines += math.ceil(len(re.sub(r"\]\(.*?\)|[`*[]", "", line)) / letters)
    return round((lines * NOTE_LINE + NOTE_FRAME) / 10) * 10


class Page:
    """Groups from left to right; each holds columns of nodes from left to right."""

    def __init__(self) -> None:
        self.groups: list[dict[str, Any]] = []
        self.placed: list[Node] = []
        self.left, self.right, self.bottom = 0, 0, 0

    def place(self, columns: Sequence[Sequence[Node]], title: str | None, colour: str, below: bool) -> None:
        """Place columns of nodes right of everything, or below what was placed last."""
        if below:
            top = self.bottom + GROUP_GAP
        else:
            self.left = self.right + GROUP_GAP if self.placed else 0
            top = 0
        x, lowest = self.left + MARGIN, top
        for column in columns:
            y = top + HEADER + TITLE
            for node in column:
                node.pos = (x, y)
                y += node.height + (GAP if node.height else FOLDED_GAP) + TITLE
                self.placed.append(node)
            lowest = max(lowest, *(node.pos[1] + node.height for node in column))
            x += max(node.size[0] for node in column) + COLUMN_GAP
        right, bottom = x - COLUMN_GAP + MARGIN, lowest + MARGIN
        if title:
            self.groups.append({"id": len(self.groups) + 1, "title": title, "color": colour, "font_size": 24, "flags": {},
                                "bounding": [self.left, top, right - self.left, bottom - top]})
        self.right, self.bottom = max(self.right, right), bottom


def view(page: Page) -> dict[str, Any]:
    """Scale and offset at which the workflow opens: its beginning, and all of it if that can be read."""
    low = max(node.pos[1] + node.height for node in page.placed)
    scale = round(max(min(WINDOW[0] / max(page.right, 1), WINDOW[1] / max(low, 1), 1.0), LEAST_SCALE), 2)
    return {"scale": scale, "offset": [round(BESIDE[0] / scale), round(BESIDE[1] / scale)]}
