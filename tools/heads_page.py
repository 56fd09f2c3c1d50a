"""Draws docs/heads.jpg: poses, expressions and lights, on the built-in head and on the FLAME-format test head.

    python tools/heads_page.py [--out FILE] [--tile PIXELS]

Drawn with the pack's own renderer; needs matplotlib. The test head is the synthetic one of tests/golden.
"""
from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from head_page import ROOT, over, shaded

sys.path.insert(0, str(ROOT / "tests" / "golden"))

from caphuman_core.flow import Head
from caphuman_core.head.edit.edit import Edit, edit_head
from caphuman_core.head.edit.relight import relight
from caphuman_core.head.model.flame_files import find_flame_files, load_flame
from caphuman_core.head.model.head_model import HeadModel, load_builtin
from caphuman_core.head.new import new_head
from caphuman_core.render.maps import render

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
    import face_synthetic
    with tempfile.TemporaryDirectory() as folder:
        face_synthetic.write(folder)
        mean, basis = face_synthetic.texture(50)
        np.savez(Path(folder, "FLAME_texture.npz"), mean=mean, tex_dir=basis)
        return load_flame(find_flame_files(Path(folder, "generic_model.pkl"), []))


def rows(model: HeadModel, size: int) -> list[list[tuple[str, np.ndarray]]]:
    """Captioned tiles: edits shaded, edits as normals, lights."""
    neutral = edit_head(new_head(model, size, size), model, Edit(scale=1.25, y=-0.08))
    edited = {name: edit_head(neutral, model, edit) for name, edit in EDITS.items()}

    def drawn(head: Head):
        return render(head, model, size, size)
    turned = edit_head(neutral, model, Edit(yaw_degrees=-20))
    normals = {name: drawn(head) for name, head in edited.items()}
    return [[(name, shaded(drawn(head))) for name, head in edited.items()],
            [("normals", over(one, one.normal * 0.5 + 0.5)) for one in normals.values()],
            [(name, shaded(drawn(relight(turned, *light)))) for name, light in LIGHTS.items()]]


def main() -> None:
    """Draw the page."""
    parser = argparse.ArgumentParser(description="Draw the page of heads.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "heads.jpg")
    parser.add_argument("--tile", type=int, default=190)
    chosen = parser.parse_args()
    import matplotlib
    matplotlib.use("agg")
    from matplotlib import pyplot
    grid = [row for model in (load_builtin(), test_head()) for row in rows(model, chosen.tile)]
    figure, axes = pyplot.subplots(len(grid), len(grid[0]), figsize=(14, 13), dpi=100)
    for line, row in zip(axes, grid, strict=True):
        for axis, (caption, picture) in zip(line, row, strict=True):
            axis.imshow(picture)
            axis.set_title(caption, fontsize=9)
            axis.axis("off")
    figure.tight_layout(pad=0.4)
    figure.savefig(chosen.out)


if __name__ == "__main__":
    main()
