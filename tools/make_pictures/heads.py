"""Draws docs/heads.jpg: poses, expressions and lights, on the built-in head and on the FLAME-format test head.

    python -m tools.make_pictures.heads [--out FILE] [--tile PIXELS]

Drawn with the pack's own renderer. The test head is the synthetic one of tools/stand_ins.
"""
from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from caphuman_core.flow import Head
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.relight import relight
from caphuman_core.head.model.flame_files import find_flame_files, load_flame
from caphuman_core.head.model.head_model import HeadModel, load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.render.maps import render

from ..devkit.places import ROOT
from ..sheet import INK, Look, Tile, grid
from ..stand_ins import face_synthetic
from .builtin_head import over, shaded

EDITS = {
    "new": Edit(), "yaw 40": Edit(yaw_degrees=40), "pitch 20, roll 20": Edit(pitch_degrees=20, roll_degrees=20),
    "jaw 18": Edit(jaw_degrees=18), "smile": Edit(expressions={"smile": 1.0}), "surprise": Edit(expressions={"surprise": 1.0}),
    "x 0.2, scale 0.7": Edit(x=0.2, scale=0.7),
}
LIGHTS = {
    "front": (0, 0, 0.6, 0.7, (1, 1, 1)), "from the right": (75, 10, 1.2, 0.25, (1, 1, 1)),
    "from the left": (-75, 10, 1.2, 0.25, (1, 1, 1)), "from above": (0, 80, 1.2, 0.25, (1, 1, 1)),
    "from below": (0, -70, 1.0, 0.25, (1, 1, 1)), "warm": (45, 30, 0.9, 0.4, (1.0, 0.75, 0.5)),
    "cold, from behind": (160, 30, 1.4, 0.2, (0.6, 0.8, 1.0)),
}


def test_head() -> HeadModel:
    """The synthetic head in FLAME's original file formats."""
    with tempfile.TemporaryDirectory() as folder:
        face_synthetic.write(folder)
        mean, basis = face_synthetic.texture(50)
        np.savez(Path(folder, "FLAME_texture.npz"), mean=mean, tex_dir=basis)
        return load_flame(find_flame_files(Path(folder, "generic_model.pkl"), []))


def rows(model: HeadModel, size: int) -> list[list[Tile]]:
    """Captioned tiles: edits shaded, edits as normals, lights."""
    neutral = edit_head(new_head(model, size, size), model, Edit(scale=1.25, y=-0.08))
    edited = {name: edit_head(neutral, model, edit) for name, edit in EDITS.items()}

    def drawn(head: Head):
        return render(head, model, size, size)
    turned = edit_head(neutral, model, Edit(yaw_degrees=-20))
    normals = {name: drawn(head) for name, head in edited.items()}
    return [[(shaded(drawn(head)), name) for name, head in edited.items()],
            [(over(one, one.normal * 0.5 + 0.5), "normals") for one in normals.values()],
            [(shaded(drawn(relight(turned, *light))), name) for name, light in LIGHTS.items()]]


def main() -> None:
    """Draw the page."""
    parser = argparse.ArgumentParser(description="Draw the page of heads.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "heads.jpg")
    parser.add_argument("--tile", type=int, default=190)
    chosen = parser.parse_args()
    made = [row for model in (load_builtin(), test_head()) for row in rows(model, chosen.tile)]
    grid(made, Look("white", INK, gap=6, rim=6, letters=12)).save(chosen.out, quality=85)


if __name__ == "__main__":
    main()
