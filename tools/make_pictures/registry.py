"""python -m tools.make_pictures.registry: docs/icon.png and docs/banner.png, the built-in head by the pack's renderer."""
from __future__ import annotations

from dataclasses import replace

import torch
from PIL import Image

from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.relight import relight
from caphuman_core.head.model.head_model import HeadModel, load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.render.maps import render

from ..devkit.places import ROOT
from ..sheet import picture

BACKGROUND = (24, 27, 34)
SIDE = 1024                  # pixels drawn; reduced afterwards, which smooths the edges


def head(model: HeadModel, side: int, look: str = "shaded", **edit: float) -> Image.Image:
    """One head of the built-in model on the background, side x side pixels. look: "shaded" or "normal"."""
    made = edit_head(new_head(model, SIDE, SIDE), model, replace(Edit(scale=1.35, y=0.04), **edit))
    drawn = render(relight(made, 35, 25, 0.75, 0.6, (1.0, 0.97, 0.92)), model, SIDE, SIDE)
    colour = (drawn.normal[0] + 1) / 2 if look == "normal" else drawn.shaded[0].clamp(0, 1)
    mask = drawn.mask[0].reshape(1, SIDE, SIDE)
    ground = torch.tensor(BACKGROUND).reshape(3, 1, 1) / 255
    return picture(colour * mask + ground * (1 - mask)).resize((side, side), Image.Resampling.LANCZOS)


def main() -> None:
    """Write both pictures."""
    model = load_builtin()
    head(model, 400, yaw_degrees=-22).save(ROOT / "docs" / "icon.png")
    banner = Image.new("RGB", (1260, 540), BACKGROUND)
    views = ((-42, "normal"), (-22, "shaded"), (0, "shaded"), (22, "shaded"), (42, "normal"))
    for place, (yaw, look) in enumerate(views):
        banner.paste(head(model, 330, look, yaw_degrees=yaw).crop((39, 0, 291, 330)), (place * 252, 210))
    banner.save(ROOT / "docs" / "banner.png")


if __name__ == "__main__":
    main()
